"""Describes an export: the dataset card and Croissant metadata."""
