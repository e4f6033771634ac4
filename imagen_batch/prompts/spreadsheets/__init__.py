"""Reads spreadsheets, .xlsx and .ods, as tables of the text that their cells display."""
