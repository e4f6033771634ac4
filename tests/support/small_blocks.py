"""Lets short prompt files be read in blocks, as long ones are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from unittest.mock import patch

from imagen_batch.prompts.prompt_file import PromptFile
from imagen_batch.prompts.row_blocks import read_rows_in_blocks


@contextmanager
def in_blocks(block_bytes: int) -> Iterator[None]:
    """Let every file be read in blocks of this size."""
    read = partial(read_rows_in_blocks.read_rows_in_blocks, block_bytes=block_bytes)
    with patch.object(read_rows_in_blocks, "read_rows_in_blocks", read), patch.object(PromptFile, "is_long", True):
        yield
