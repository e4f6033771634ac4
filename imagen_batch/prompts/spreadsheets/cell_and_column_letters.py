"""Defines a cell of a spreadsheet, and the names of columns."""

from __future__ import annotations

from typing import Final, NamedTuple

MAX_ROWS: Final = 1_048_576
"""As many as a spreadsheet program has."""
MAX_COLUMNS: Final = 16_384


class Cell(NamedTuple):
    """A cell: the text that it displays, and the value behind that text."""

    text: str
    number: float | None = None
    clock: tuple[int, int] | None = None  # hours and minutes of a time of day or a duration
    problem: str | None = None  # why the text can't be used


EMPTY = Cell("")


def column_letters(position: int) -> str:
    """Return the letters of a column; positions count from 0: 0 is A, 26 is AA."""
    letters, number = "", position + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def column_position(letters: str) -> int:
    """Return the position of a column from its letters."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1
