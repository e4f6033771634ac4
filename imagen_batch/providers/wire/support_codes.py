"""Reads support codes: which filter removed an image, and whether it checked the prompt or the image."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from imagen_batch.providers.wire.lenient_json import shorten
from imagen_batch.records import NoImage

Stage = Literal["input", "output"]

# (api: 3.4) The categories with the codes of the prompt's filter and those of the image's.
_TABLE: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("child", ("58061214",), ("17301594",)),
    ("celebrity", ("29310472",), ("15236754",)),
    ("celebrity or child", ("64151117",), ("64151117",)),
    ("dangerous content", ("62263041",), ()),
    ("hate", ("57734940",), ("22137204",)),
    ("other", ("42876398",), ("29578790", "74803281")),
    ("people or face", (), ("39322892",)),  # the only one that a setting (personGeneration) can avoid
    ("personal information", ("92201652",), ()),
    ("prohibited content", ("89371032",), ("49114662", "72817394")),
    ("sexual", ("90789179",), ("63429089", "43188360")),
    ("third-party content", ("35561574",), ("35561575",)),
    ("toxic", ("78610348",), ()),
    ("violence", ("61493863",), ("56562880",)),
    ("vulgar", ("32635315",), ()),
)
CATEGORIES = {code: category for category, inputs, outputs in _TABLE for code in (*inputs, *outputs)}
INPUT_CODES = frozenset(code for _, inputs, _ in _TABLE for code in inputs)
OUTPUT_CODES = frozenset(code for _, _, outputs in _TABLE for code in outputs)

_MAX_TEXT = 20_000  # characters that are read
_MAX_CODES = 20
_CODE = re.compile(r"\d{1,20}", re.ASCII)
_NAMED = re.compile(r"support codes?(?:\(s\))?:\s*([\d,\s]+)", re.IGNORECASE | re.ASCII)


def filtered_sample(
    reason: str,
    *,
    stage: Stage,
    category: str | None = None,
    finish_reason: str | None = None,
    safety: str | None = None,
) -> NoImage:
    """Return a sample that a filter removed, with `reason` in the service's words, or as a support code.

    `stage` follows from the form of the reply. Without a finish reason, which names the filter itself, it becomes
    "input" if all codes are those of the prompt's filter. `category` is for a reason without codes.
    """
    codes = support_codes(reason)
    if finish_reason is None and codes and INPUT_CODES.issuperset(codes) and OUTPUT_CODES.isdisjoint(codes):
        stage = "input"
    return NoImage(
        "filtered",
        kind=f"filtered_{stage}",
        reason=shorten(reason),
        stage=stage,
        category=categories(codes) or category,
        codes=codes,
        finish_reason=finish_reason,
        safety=safety,
    )


def support_codes(words: str) -> tuple[str, ...]:
    """Return the support codes in `words`, each once and in order."""
    words = words[:_MAX_TEXT]
    lists = [words] if is_code_list(words) else _NAMED.findall(words)
    distinct = dict.fromkeys(code for codes in lists for code in _CODE.findall(codes))
    return tuple(distinct)[:_MAX_CODES]


def categories(codes: Iterable[str]) -> str | None:
    """Return the categories of the codes; "unknown" for one that is not in the table."""
    return ", ".join(dict.fromkeys(CATEGORIES.get(code, "unknown") for code in codes)) or None


def is_code_list(words: str) -> bool:
    """Return whether `words` contain support codes and nothing else."""
    return re.fullmatch(r"\s*\d[\d,\s]*", words, re.ASCII) is not None
