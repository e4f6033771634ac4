"""Reads the tables beside a prompt file: style presets and characters.

.csv    a row for each: A1111's name,prompt,negative_prompt, or name,description,references
.toml   a table for each, or only its text: ink = "loose ink lines"
.json   the same as an object; what a run stores
"""

from __future__ import annotations

import csv
import io
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imagen_batch.errors import SettingsInvalid
from imagen_batch.prompts.column_names import fold
from imagen_batch.prompts.sources import read_small

_MAX_BYTES = 1 << 24
_MAX_ENTRIES = 100_000
Entries = Mapping[str, Mapping[str, Any]]


def read_table(path: Path, *, option: str, text: str) -> Entries:
    """Return the entries of a file by name. An entry that is a single string becomes its member `text`.

    Raises SettingsInvalid, which begins with `option`.
    """
    content = read_text(path, option=option)
    reader = {".toml": tomllib.loads, ".json": json.loads}.get(path.suffix.lower())
    try:
        entries = _read_entries(reader(content), text) if reader else _read_csv(content)
    except (ValueError, csv.Error, RecursionError) as error:
        raise SettingsInvalid(f"{option} {path}: {str(error)[:300]}") from error
    if not entries:
        raise SettingsInvalid(f"{option} {path}: the file has no entries")
    if len(entries) > _MAX_ENTRIES:
        raise SettingsInvalid(f"{option} {path}: the file has more than {_MAX_ENTRIES:,} entries")
    return entries


def read_text(path: Path, *, option: str) -> str:
    """Return the text of a file. Raises SettingsInvalid."""
    try:
        text = read_small(path, limit=_MAX_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise SettingsInvalid(f"{option} {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SettingsInvalid(f"{option} {path} is not UTF-8 (at byte {error.start}): save it as UTF-8") from error
    if "\0" in text:
        raise SettingsInvalid(f"{option} {path} contains a null character, which is not text")
    return text


def _read_entries(values: Any, text: str) -> dict[str, dict[str, Any]]:
    if not isinstance(values, dict):
        raise ValueError("expected a table for each name")  # noqa: TRY004 - input, not a bug
    entries = {}
    for name, value in values.items():
        if not isinstance(value, str | dict):
            raise ValueError(f"{name!r}: expected text or a table")  # noqa: TRY004
        entries[name.strip()] = {text: value} if isinstance(value, str) else value
    return entries


def _read_csv(content: str) -> dict[str, dict[str, Any]]:
    first = content.lstrip().partition("\n")[0]
    delimiter = max((",", ";", "\t"), key=first.count)
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter)
    header = [fold(name) for name in next(reader, [])]
    if "name" not in header:
        raise ValueError(f"the file has no column 'name'; it has {', '.join(map(repr, header[:20]))}")
    entries = {}
    for cells in reader:
        entry = dict(zip(header, cells, strict=False))
        if name := entry.get("name", "").strip():
            entries[name] = entry
    return entries
