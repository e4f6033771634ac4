"""Reads the formats and encodings of prompt files: delimited tables, plain lists, JSON lines."""
