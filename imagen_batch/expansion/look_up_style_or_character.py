"""Finds names in a table; upper and lower case do not matter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from imagen_batch.text import did_you_mean


class UnknownName(ValueError):
    """A name that a table does not have; the message suggests the nearest one."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def find_name(name: str, table: Mapping[str, Any], *, kind: str, file: str) -> str:
    """Return the table's spelling of a name. Raises UnknownName."""
    if name in table:
        return name
    known = _by_lower_case(tuple(table)).get(name.lower())
    if known is None:
        first_names = ", ".join(list(table)[:20])
        hint = did_you_mean(name, table) or f"; it has {first_names}"
        raise UnknownName(name, f"{file} has no {kind} {name!r}{hint}")
    return known


def split_names(cell: str) -> list[str]:
    """Return the names in a cell, each once; a semicolon separates them."""
    return _unique(part.strip() for part in cell.split(";"))


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name for name in names if name))


@lru_cache(maxsize=8)
def _by_lower_case(names: tuple[str, ...]) -> dict[str, str]:
    return {name.lower(): name for name in reversed(names)}
