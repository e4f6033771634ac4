"""Measurements of speed, reliability and scale."""
