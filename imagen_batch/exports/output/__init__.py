"""Writes what an export leaves: folders that appear whole, shards, side tables."""
