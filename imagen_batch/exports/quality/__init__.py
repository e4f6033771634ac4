"""Finds images that look wrong: duplicates, flat color, wrong shape, too small."""
