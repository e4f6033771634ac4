"""Parses the text of cells, and of the options that mean the same on the command line and in a settings file.

One function for each kind of value. Its argument has no blanks at its ends and is never empty. A ValueError says what
is allowed.
"""

from __future__ import annotations

import re
from functools import lru_cache

from imagen_batch.choices import IMAGE_SIZES, PERSON_GENERATIONS
from imagen_batch.prompts.column_names import fold

_WHOLE = re.compile(r"0*([0-9]{1,10})(?:\.0*)?")  # "3.0": as pandas writes it in a column with empty cells
_RATIO = re.compile(r"([0-9]{1,2})\s*[:xX×/-]\s*([0-9]{1,2})")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})(:[0-9]{2}(?:[.,]0+)?)?\s*([ap]\.?m\.?)?", re.IGNORECASE)
_ERROR_VALUE = re.compile(r"#[A-ZÀ-Ý]{1,12}(?:[!?]|/[A-ZÀ-Ý]{1,3}|/0!)|Err:[0-9]{3}")  # "#NAME?", "#N/A", "#DIV/0!"
_SIZES: dict[str, str] = {**{size: size for size in IMAGE_SIZES}, "0.5K": "512"}


def samples(text: str) -> int:
    """Parse the number of images for a row."""
    return _parse_whole_number(text, 1, 10_000)


def seed(text: str) -> int:
    """Parse a seed: an unsigned number of 32 bits."""
    return _parse_whole_number(text, 0, 2**32 - 1)


@lru_cache(maxsize=1024)
def aspect_ratio(text: str) -> str:
    """Return a ratio as "16:9", however it is written. Whether a model offers it is not checked here."""
    if problem := _clock_problem(text):
        raise ValueError(problem)
    ratio = _RATIO.fullmatch(text)
    if ratio is None or not int(ratio[1]) or not int(ratio[2]):
        raise ValueError("an aspect ratio is written like 16:9")
    return f"{int(ratio[1])}:{int(ratio[2])}"


@lru_cache(maxsize=1024)
def image_size(text: str) -> str:
    """Return a size as the services name it: "512", "1K", "2K" or "4K". "0.5K" is "512"."""
    size = _SIZES.get(text.upper())
    if size is None:
        raise ValueError(f"an image size is one of {', '.join(IMAGE_SIZES)}")
    return size


@lru_cache(maxsize=1024)
def person_generation(text: str) -> str:
    """Return which people an image may show: "dont_allow" (or "don't allow"), "allow_adult" or "allow_all"."""
    choice = fold(text.replace("'", "").replace("’", "").lower())
    if choice not in PERSON_GENERATIONS:
        raise ValueError(f"person generation is one of {', '.join(PERSON_GENERATIONS)}")
    return choice


def is_spreadsheet_error(text: str) -> bool:
    """Return whether a cell holds what Excel or LibreOffice saves for a failed formula: #NAME?, #WERT!, Err:508."""
    return _ERROR_VALUE.fullmatch(text) is not None


def _parse_whole_number(text: str, low: int, high: int) -> int:
    number = _WHOLE.fullmatch(text)
    if number is None or not low <= int(number[1]) <= high:
        raise ValueError(f"must be a whole number from {low} to {high}")
    return int(number[1])


def _clock_problem(text: str) -> str | None:
    """Describe a ratio that a spreadsheet turned into a time: 16:09, 16:09:00 or 4:09 PM, but not 16:10 or 9:16."""
    time = _TIME.fullmatch(text)
    if not time or not (text.startswith("0") or time[2].startswith("0") or time[3] or time[4]):
        return None
    hour, minute = int(time[1]), int(time[2])
    if time[4]:
        hour = hour % 12 + (12 if time[4].lower().startswith("p") else 0)
    if not hour or not minute:
        return "looks like a time of day; an aspect ratio is written like 16:9"
    ratio = f"{hour}:{minute}"
    return f"looks like a spreadsheet turned {ratio} into a time; write {ratio} and format the column as text"
