"""Describes where the stored input of a run folder came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Origin:
    """The user's file from which a folder's input was stored.

    `source` is its absolute path, None for standard input; `sha256` is that of its bytes when the run stored it.
    `reading` has the settings that say how to read it. `added` are files whose rows were appended later.
    `marks` maps the mark of a row before it was patched, as failures.csv has it, to the number of the row.
    `evolved`: rows were appended or patched since, so the stored input differs from the file.
    """

    source: str | None = None
    sha256: str | None = None
    reading: Mapping[str, object] = field(default_factory=dict)
    added: tuple[str, ...] = ()
    marks: Mapping[str, int] = field(default_factory=dict)
    evolved: bool = False
    folder: str | None = None  # what paths of reference images are relative to; None for a run of an earlier version
