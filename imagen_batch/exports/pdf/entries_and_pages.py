"""Turns rows into the entries of a contact sheet and divides them into pages and files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from imagen_batch.exports.escaping import shorten
from imagen_batch.exports.rows.manifest import RunImage
from imagen_batch.reports.explain_refusal import explain, refusal_in

_PROMPT_LONGEST = 900
_FILE_BYTES = 200_000_000  # a PDF is built in memory

_REASONS: Mapping[str, str] = {
    "failed": "Failed",
    "unknown": "No reply arrived",
    "skipped_budget": "Not requested: the budget was used up",
    "not_attempted": "Not requested yet",
    "rejected": "Rejected in review",
    "redo": "Marked to be redone",
    "not_approved": "Not approved",
    "near_duplicate": "Left out: near-duplicate",
    "identical": "Left out: same bytes as another image",
    "flat": "Left out: a single flat color",
    "shape": "Left out: another shape than requested",
    "small": "Left out: too small",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One cell of a sheet. `image` is None if there is no image; `reason` is the reason for that."""

    group: str
    order: tuple[int, int]
    heading: str
    detail: str
    prompt: str
    image: RunImage | None
    bytes: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """The entries of one page, and the group they belong to."""

    group: str
    entries: Sequence[Entry]


def image_entry(image: RunImage, group: str) -> Entry:
    """Return the entry of an image in a group, with only those columns that are needed to read it."""
    row = image.row
    detail = f"{row['width']} x {row['height']}" if row.get("width") else ""
    needed = {name: row.get(name) for name in ("row", "id", "sample", "file", "sha256", "mimeType", "key")}
    return _entry(row, group, detail, RunImage(needed, image.split))


def missing_entry(row: Mapping[str, Any], reason: str, group: str) -> Entry:
    """Return the entry of a row without an image."""
    return _entry(row, group, "", None, _sentence(row, reason))


def _sentence(row: Mapping[str, Any], reason: str) -> str:
    """Return the reason for a missing image; for a refusal with advice."""
    if reason == "filtered":
        advice = explain(refusal_in(row), row.get("prompt") or "")
        return f"Refused for {advice.words}. {shorten(advice.hint, 200)}"
    title, cause = _REASONS.get(reason, reason), str(row.get("error") or "")
    return f"{title}: {shorten(cause, 160)}" if cause and reason in _WITH_CAUSE else title


_WITH_CAUSE = {"failed", "unknown"}


def _entry(row: Mapping[str, Any], group: str, detail: str, image: RunImage | None, reason: str = "") -> Entry:
    return Entry(
        group=shorten(group, 80),
        order=(row["row"], row["sample"]),
        heading=f"{shorten(str(row.get('id') or row['row']), 60)}  #{row['sample']}",
        detail=detail,
        prompt=shorten(row["prompt"] or "", _PROMPT_LONGEST),
        image=image,
        bytes=row.get("bytes") or 0 if image else 0,
        reason=reason,
    )


def paginate(entries: Iterable[Entry], *, per_page: int) -> list[Page]:
    """Divide the entries into pages. Groups are in the order of their first row, and each begins a page."""
    groups: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.order):
        groups.setdefault(entry.group, []).append(entry)
    pages = []
    for group, members in groups.items():
        left = iter(members)
        while part := list(islice(left, per_page)):
            pages.append(Page(group, part))
    return pages


def files(pages: Sequence[Page]) -> list[list[Page]]:
    """Divide the pages among PDF files, so that each file fits into memory."""
    parts: list[list[Page]] = [[]]
    size = 0
    for page in pages:
        more = sum(entry.bytes for entry in page.entries)
        if parts[-1] and size + more > _FILE_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(page)
        size += more
    return parts
