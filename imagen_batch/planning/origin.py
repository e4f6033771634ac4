"""Where the input that a folder holds came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Origin:
    """The user's file behind a folder's input.

    `source` is its absolute path, None for standard input; `sha256` is of its bytes when it was taken over.
    `reading` is how the user said that it is to be read. `added` are files whose rows were appended later.
    `marks` are those of rows before they were patched, as failures.csv has them, with the numbers of the rows.
    `evolved`: rows were appended or patched since, so that the folder's input is no longer that of the file.
    """

    source: str | None = None
    sha256: str | None = None
    reading: Mapping[str, object] = field(default_factory=dict)
    added: tuple[str, ...] = ()
    marks: Mapping[str, int] = field(default_factory=dict)
    evolved: bool = False
