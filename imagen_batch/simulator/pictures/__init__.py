"""Draws the images that the simulator returns."""
