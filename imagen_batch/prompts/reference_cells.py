"""Parses the cells that name reference images: paths, URIs and rows, separated by semicolons."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from imagen_batch.prompts.cells import samples

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_MAX = 100  # more than any service takes; a cell with thousands is a mistake


@dataclass(frozen=True, slots=True)
class RowImage:
    """A reference to the image of another row: its id, and the number of the sample if one is named."""

    id: str
    sample: int | None = None


def references(text: str) -> tuple[str, ...]:
    """Return the references in a cell, in order. A list in JSON, as in a JSONL file, is read as well."""
    names = _json_list(text) if text.startswith("[") else text.split(";")
    stripped = tuple(name.strip() for name in names)
    # A semicolon at the end is common; two in a row leave a gap, which would shift the numbers that a prompt uses.
    listed = stripped[:-1] if len(stripped) > 1 and not stripped[-1] else stripped
    if not all(listed):
        raise ValueError("there is an empty name between two semicolons")
    if len(listed) > _MAX:
        raise ValueError(f"{len(listed)} references; a row can have at most {_MAX}")
    for name in listed:
        row_image(name)
    return listed


def row_image(text: str) -> RowImage | None:
    """Return the row that `@id` or `@id#2` names; None for a path or a URI. Raises ValueError for a malformed one."""
    if not text.startswith("@"):
        return None
    name, mark, number = text[1:].rpartition("#")
    if not mark:
        name, number = text[1:], ""
    if not name.strip():
        raise ValueError(f"{text!r} names no row; write @ and the id of a row, as in @fox or @fox#2")
    if not mark:
        return RowImage(name.strip())
    try:
        return RowImage(name.strip(), samples(number.strip()))
    except ValueError:
        raise ValueError(
            f"{text!r}: # must be followed by the number of an image of that row, as in @fox#2"
        ) from None


def is_uri(text: str) -> bool:
    """Return whether a reference is an address such as gs://bucket/fox.png, not a path."""
    return _SCHEME.match(text) is not None


def _json_list(text: str) -> list[str]:
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        return text.split(";")  # a file name may begin with a bracket
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError('a list of references must contain strings, as in ["fox.png", "hat.png"]')
    return names
