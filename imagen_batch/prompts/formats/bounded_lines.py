"""Reads the physical lines of a file, with a limit on their length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TextIO

LONGEST: Final = 1 << 25
"""Characters in a line: twice the limit of a cell."""


class LineTooLong(ValueError):
    """A line that is too long for a prompt file."""

    def __init__(self, number: int) -> None:
        super().__init__(f"the line has more than {LONGEST:,} characters: is this a file of prompts?")
        self.number = number


def bounded_lines(file: TextIO, *, before: int = 0) -> Iterator[str]:
    """Yield every line with its line end. Raises LineTooLong, with the line's number after `before` others."""
    number = before
    while line := file.readline(LONGEST):
        number += 1
        if len(line) >= LONGEST:
            raise LineTooLong(number)
        yield line
