"""Finds the column of a prompt file that a user means by a name."""

from __future__ import annotations

from collections.abc import Iterable

from imagen_batch.errors import SettingsInvalid
from imagen_batch.text import did_you_mean

_MAX_LISTED = 20


def find_column(name: str, columns: Iterable[str], *, option: str) -> str:
    """Return the header that `name` means: the same text, else the same but for case and blanks.

    Raises SettingsInvalid, which lists the headers.
    """
    headers = list(columns)
    if name in headers:
        return name
    for header in headers:
        if header.strip().casefold() == name.strip().casefold():
            return header
    listed = ", ".join(headers[:_MAX_LISTED]) or "none: it has one prompt a line"
    hint = did_you_mean(name, headers)
    raise SettingsInvalid(f"{option} {name}: the prompt file has no such column. Its columns: {listed}{hint}")
