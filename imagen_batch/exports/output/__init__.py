"""Writes the output of an export: folders that are complete or absent, shards, side tables."""
