"""Measures how often a judgment about images is right."""
