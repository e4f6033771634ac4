"""The physical lines of a file, none of them longer than memory allows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TextIO

LONGEST: Final = 1 << 25
"""Characters of a line: twice what a cell may hold."""


class LineTooLong(ValueError):
    """A line that is no line of prompts."""

    def __init__(self, number: int) -> None:
        super().__init__(f"the line has more than {LONGEST:,} characters: is this a file of prompts?")
        self.number = number


def bounded_lines(file: TextIO) -> Iterator[str]:
    """Every line with its line end. Raises LineTooLong at one that has no end."""
    number = 0
    while line := file.readline(LONGEST):
        number += 1
        if len(line) >= LONGEST:
            raise LineTooLong(number)
        yield line
