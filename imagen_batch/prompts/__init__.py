"""What does this prompt file ask for, and what is wrong with it?

    find the encoding -> find the layout -> give each column its role -> check each row

Four formats, chosen by the name's suffix, else by content:

    .csv           cells as spreadsheets write them; the delimiter comes from the header line
    .tsv .tab      the same with tabs
    .txt           one prompt a line, every line
    .jsonl .ndjson one object a line (.json is read so, too: a list is refused with a word)
    anything else  JSONL if it begins with "{", a table if its first line names a prompt column, else as .txt

Text is kept to the character; only the ends of a prompt are trimmed.
"""

from imagen_batch.prompts.prompt_file import PromptFile, open_prompts

__all__ = ["PromptFile", "open_prompts"]
