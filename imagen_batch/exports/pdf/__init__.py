"""Draws contact sheets: fonts and text, images without loss, pages."""
