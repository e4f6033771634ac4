"""Reads a prompt file into typed rows, or reports every problem in it.

    find the encoding -> find the layout -> give each column its role -> check each row

Formats, recognized by the suffix of the name, else by content:

    .csv           cells as spreadsheets write them; the delimiter comes from the header line
    .tsv .tab      the same with tabs
    .txt           one prompt a line, every line
    .jsonl .ndjson one object a line (.json is read the same way; a list is refused)
    .xlsx .ods     the first sheet, or the one that is named: the text that cells display (always by content)
    anything else  JSONL if it begins with "{", a table if its first line names a prompt column, else as .txt

Text is kept exactly; only blanks at the ends of a prompt are removed.
"""

from imagen_batch.prompts.prompt_file import PromptFile, open_prompts

__all__ = ["PromptFile", "open_prompts"]
