"""Defines the data of one sample in the gallery, and of its earlier versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

ReviewDecision = Literal["approve", "reject", "redo"]
DECISIONS: tuple[ReviewDecision, ...] = get_args(ReviewDecision)

_SPELLINGS: dict[str, ReviewDecision | None] = {
    "": None,
    "approve": "approve",
    "approved": "approve",
    "reject": "reject",
    "rejected": "reject",
    "redo": "redo",
}


def parse_decision(text: str) -> ReviewDecision | None:
    """Return the decision that `text` names, None if it is empty. Raises ValueError for any other word."""
    try:
        return _SPELLINGS[text.strip().lower()]
    except KeyError:
        raise ValueError(f"a decision is one of {', '.join(DECISIONS)}, or empty") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierVersion:
    """A version of a sample that a later one replaced."""

    version: int
    status: str
    file: str | None = None  # relative to the run folder, "/" between segments
    prompt: str | None = None  # None if it is the present one
    sha256: str | None = None
    reason: str | None = None
    decision: ReviewDecision | None = None
    note: str | None = None
    thumbnail: str | None = None  # relative to the run folder


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryItem:
    """One sample with all data of its card and its full view. `width` and `height` are in pixels."""

    row: int
    sample: int
    status: str
    prompt: str  # as it was sent
    key: str  # 64 hex digits; empty where the sample has none
    version: int = 1
    id: str | None = None
    file: str | None = None  # relative to the run folder, "/" between segments
    sha256: str | None = None
    thumbnail: str | None = None  # relative to the run folder
    width: int | None = None
    height: int | None = None
    input_prompt: str | None = None  # the row's own text where a style or template changed it
    model: str | None = None
    provider: str | None = None
    seed: int | None = None  # the one that was sent
    reason: str | None = None
    category: str | None = None  # of the reason, in words
    advice: str | None = None  # what can be done where there is no image
    warnings: tuple[str, ...] = ()
    cost_usd: float | None = None
    user: Mapping[str, str | None] = field(default_factory=dict)
    earlier: tuple[EarlierVersion, ...] = ()  # oldest first
    decision: ReviewDecision | None = None
    edited_prompt: str | None = None  # for a redo
    new_seed: int | None = None  # for a redo
    note: str | None = None
