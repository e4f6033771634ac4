"""Validates image files, with one module for each format or family of formats."""
