"""Reads the service's safety ratings from their JSON text into a list with one entry for each category.

`:generateContent` sends a list of ratings, `:predict` two lists, of categories and of scores. The text stays in a
column of its own; what does not have one of these forms is null here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import orjson
import pyarrow as pa

from imagen_batch.records import SampleResult

Rating = Mapping[str, str | float | bool | None]

RATINGS: Final = pa.list_(
    pa.struct(
        [
            ("category", pa.string()),
            ("probability", pa.string()),
            ("score", pa.float64()),
            ("severity", pa.string()),
            ("severity_score", pa.float64()),
            ("blocked", pa.bool_()),
        ]
    )
)
"""The type of the column: `score` is `probabilityScore` or the score of `:predict`, between 0 and 1."""


def safety_ratings(sample: SampleResult) -> tuple[Rating, ...] | None:
    """Return the ratings of a sample; None if it has none, or none that can be read."""
    return None if sample.safety is None else _parse(sample.safety)


@lru_cache(maxsize=256)  # most images have the ratings of many others
def _parse(text: str) -> tuple[Rating, ...] | None:
    try:
        value = orjson.loads(text)
    except (orjson.JSONDecodeError, RecursionError):
        return None
    if isinstance(value, list):
        ratings = [_rating(each) for each in value if isinstance(each, dict)]
    else:
        ratings = _zipped(value) if isinstance(value, dict) else []
    return tuple(ratings) or None


def _rating(given: Mapping[str, Any]) -> Rating:
    blocked = given.get("blocked")
    return {
        "category": _text(given.get("category")),
        "probability": _text(given.get("probability")),
        "score": _number(given.get("probabilityScore")),
        "severity": _text(given.get("severity")),
        "severity_score": _number(given.get("severityScore")),
        "blocked": blocked if isinstance(blocked, bool) else None,
    }


def _zipped(given: Mapping[str, Any]) -> list[Rating]:
    categories, scores = given.get("categories"), given.get("scores")
    if not isinstance(categories, list) or not isinstance(scores, list) or len(categories) != len(scores):
        return []
    pairs = zip(categories, scores, strict=True)
    return [{"category": _text(category), "score": _number(score)} for category, score in pairs]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
