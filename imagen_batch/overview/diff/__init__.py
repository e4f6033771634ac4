"""Compares two runs of the same rows, sample by sample."""
