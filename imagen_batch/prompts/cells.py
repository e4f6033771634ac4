"""What does the text of a cell mean?

One function per kind of cell. Each takes the cell with its ends trimmed, never empty, and returns its value;
a ValueError says what is allowed.
"""

from __future__ import annotations

import re
from functools import lru_cache

from imagen_batch.prompts.column_names import fold

_WHOLE = re.compile(r"0*([0-9]{1,10})(?:\.0*)?")  # "3.0": pandas writes whole numbers so beside an empty cell
_RATIO = re.compile(r"([0-9]{1,2})\s*[:xX×/-]\s*([0-9]{1,2})")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})(:[0-9]{2}(?:[.,]0+)?)?\s*([ap]\.?m\.?)?", re.IGNORECASE)
_SIZES = {"512": "512", "0.5K": "512", "1K": "1K", "2K": "2K", "4K": "4K"}
_PEOPLE = ("dont_allow", "allow_adult", "allow_all")


def samples(text: str) -> int:
    """How many pictures of a row."""
    return _whole(text, 1, 10_000)


def seed(text: str) -> int:
    """A start for the service's random numbers: 32 bits without sign."""
    return _whole(text, 0, 2**32 - 1)


@lru_cache(maxsize=1024)
def aspect_ratio(text: str) -> str:
    """A ratio as "16:9", however it is written; whether a model offers it is asked elsewhere."""
    if problem := _clock_problem(text):
        raise ValueError(problem)
    ratio = _RATIO.fullmatch(text)
    if ratio is None or not int(ratio[1]) or not int(ratio[2]):
        raise ValueError("an aspect ratio is written like 16:9")
    return f"{int(ratio[1])}:{int(ratio[2])}"


@lru_cache(maxsize=1024)
def image_size(text: str) -> str:
    """A size as the services name it: "512", "1K", "2K" or "4K"."""
    size = _SIZES.get(text.upper())
    if size is None:
        raise ValueError("an image size is one of 512, 1K, 2K, 4K")
    return size


@lru_cache(maxsize=1024)
def person_generation(text: str) -> str:
    """Which people a picture may show: "dont_allow", "allow_adult" or "allow_all"."""
    choice = fold(text.replace("'", "").lower())
    if choice not in _PEOPLE:
        raise ValueError(f"person generation is one of {', '.join(_PEOPLE)}")
    return choice


def _whole(text: str, low: int, high: int) -> int:
    number = _WHOLE.fullmatch(text)
    if number is None or not low <= int(number[1]) <= high:
        raise ValueError(f"must be a whole number from {low} to {high}")
    return int(number[1])


def _clock_problem(text: str) -> str | None:
    """What to say of a ratio that became a time: 16:09, 16:09:00 or 4:09 PM, but not 16:10 or 9:16."""
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
