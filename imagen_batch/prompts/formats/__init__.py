"""Reads the ways in which prompt files are written: delimited tables, plain lists, their encodings."""
