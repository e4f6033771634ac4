"""Decides about dates and times of repeated runs. Nothing here reads a clock or a file."""
