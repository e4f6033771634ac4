"""Decides which rows of a manifest are exported, and reads their images."""
