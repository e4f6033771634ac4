"""Reads a failures.csv that a person or a spreadsheet changed."""
