"""Chooses the sheet to read, and collects the facts about it that a user should know: hidden rows, merged cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from imagen_batch.errors import InputInvalid
from imagen_batch.prompts.spreadsheets.merged_cells import MergedCells
from imagen_batch.records import Problem
from imagen_batch.text import did_you_mean, plural

_LISTED = 5


@dataclass(slots=True)
class SheetNotes:
    """The name of the sheet that is read, the names of all sheets, hidden rows and merged cells."""

    name: str = ""
    names: tuple[str, ...] = ()
    hidden: set[int] = field(default_factory=set)  # row numbers
    merged: MergedCells = field(default_factory=MergedCells)

    def warnings(self, *, chosen: bool) -> list[str]:
        """Return a sentence for each note; `chosen` means that the user named the sheet."""
        texts = []
        if len(self.names) > 1 and not chosen:
            texts.append(f"the file has {len(self.names)} sheets; {self.name!r} is read (--sheet NAME reads another)")
        if self.hidden:
            rows = ", ".join(map(str, sorted(self.hidden)[:_LISTED]))
            more = ", ..." if len(self.hidden) > _LISTED else ""
            texts.append(f"{plural(len(self.hidden), 'hidden row')} of the sheet count like any other: {rows}{more}")
        if self.merged.count:
            cells = (
                "cells are merged" if self.merged.count == 1 else f"{self.merged.count:,} ranges of cells are merged"
            )
            texts.append(f"{cells} across rows, first {self.merged.first}: each of these rows has their text")
        return texts


def choose_sheet(names: Sequence[str], wanted: str | None) -> str:
    """Return the name of the sheet to read. Raises InputInvalid if there is no such sheet."""
    if not names:
        raise InputInvalid([Problem(None, None, None, "the file has no sheet with cells")])
    if wanted is None:
        return names[0]
    matches = [name for name in names if name == wanted] or [name for name in names if name.lower() == wanted.lower()]
    if matches:
        return matches[0]
    listed = ", ".join(map(repr, names[:20]))
    message = f"there is no sheet {wanted!r}{did_you_mean(wanted, names)}; the file has {listed}"
    raise InputInvalid([Problem(None, "--sheet", wanted, message)])
