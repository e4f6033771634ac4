"""Validators for image files, one module for each format or family of formats."""
