"""Turns received bytes into one complete, validated file, or none."""
