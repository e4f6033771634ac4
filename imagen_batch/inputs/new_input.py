"""Makes the input that a folder has from then on, from the one it has and a file that patches or extends it.

Settings of the run hold for every row, so what was asked for otherwise goes into the cells of the rows of that file.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from imagen_batch.errors import SettingsInvalid
from imagen_batch.inputs.failures_patch import named_rows, rows_of
from imagen_batch.inputs.image_moves import moves_between, numbers_with_image
from imagen_batch.inputs.merge import Cells, Merge, role_column, stored_names, write_merged
from imagen_batch.inputs.snapshot import READING, file_sha256, read_record, reload_plan, stored_origin
from imagen_batch.inputs.spreadsheet_encoding import better_encoding, numbers_in
from imagen_batch.ledger.history import History, read_history
from imagen_batch.planning.origin import Origin
from imagen_batch.planning.plan import RunPlan, make_plan, opened_prompts
from imagen_batch.planning.rows import PlannedRow
from imagen_batch.prompts import PromptFile
from imagen_batch.prompts.sources import Spool
from imagen_batch.records import PromptRow
from imagen_batch.reports.failures import cells_of
from imagen_batch.reports.next_steps import absolute
from imagen_batch.settings import Settings
from imagen_batch.storage import LEDGER, in_reach, open_storage

# Settings that a row may have of its own; such as would change every row; such as are about the file that is given.
_CELLS = ("model", "samples", "aspect_ratio", "image_size", "person_generation", "negative_prompt", "seed")
_FIXED = ("provider", "dialect", "parameters", "name_template")
_OF_THE_FILE = (*READING, "prompts", "out", "limit", "retry", "other_input")


@dataclass(frozen=True, slots=True)
class _Folder:
    """What a folder has, to make a new input from."""

    current: RunPlan
    past: History
    origin: Origin
    basis: bytes

    @property
    def orders(self) -> Iterator[PlannedRow]:
        return self.current.orders()


def patched(patch: RunPlan, *, today: date) -> RunPlan:
    """The folder's input with the rows of a failures.csv, of which only those are asked for that it names."""
    folder = _folder(patch.settings.place, today=today)
    patch = _as_saved(patch, folder, today=today)
    stored = folder.current.settings
    overrides = _overrides(patch, stored)
    names = stored_names(patch.file.columns, folder.current.file.columns)
    ok = numbers_with_image(folder.current, folder.past)
    asked = enumerate(folder.current.asked, 1)
    waiting = frozenset(row for row, (_, samples) in asked if len(ok.get(row, ())) < samples)

    def rows() -> Iterator[PromptRow]:
        return (order.row for order in folder.orders)

    marks = folder.origin.marks
    named = named_rows(list(rows_of(patch.file.rows())), rows, names=names, waiting=waiting, marks=marks)
    patched = _Patch(names, overrides, stored.samples)
    merge = Merge(
        folder.current.file.columns,
        {number: patched.cells(row, ok.get(number, ())) for number, row in named.items()},
    )
    only = frozenset(list(named)[: patch.settings.limit])
    merged = _merged(merge, folder, _base(patch, stored), today=today, only=only)
    merged.moves = moves_between(folder.current, folder.past, merged, edited=set(named))
    merged.notices = (*patch.notices, *patch.file.warnings)
    merged.taken = None if patch.source is None else file_sha256(patch.source)
    mine = {row.mark.strip().lower(): number for number, row in named.items() if row.mark}
    merged.origin = replace(folder.origin, evolved=True, marks={**marks, **mine})
    patch.delete_spool()
    return merged


def added(new: RunPlan, *, today: date) -> RunPlan:
    """The folder's input with those rows of another file behind it that it does not have yet."""
    folder = _folder(new.settings.place, today=today)
    stored = folder.current.settings
    overrides = _overrides(new, stored)
    names = stored_names(new.file.columns, folder.current.file.columns)
    there = Counter(_content(order) for order in folder.orders)
    appended: list[Cells] = []
    patch = _Patch(names, overrides, stored.samples)
    for order in new.orders():
        if there[_content(order)] > 0:
            there[_content(order)] -= 1
        else:
            appended.append(patch.cells(order.row, ()))
    merged = _merged(Merge(folder.current.file.columns, {}, appended), folder, _base(new, stored), today=today)
    merged.notices = new.file.warnings
    file = "-" if new.source is None else str(new.source)
    merged.origin = replace(folder.origin, evolved=True, added=tuple(dict.fromkeys([*folder.origin.added, file])))
    new.delete_spool()
    return merged


def _as_saved(patch: RunPlan, folder: _Folder, *, today: date) -> RunPlan:
    """The same file, read in the encoding in which its unchanged cells are those of the folder's input."""
    file, settings = patch.file, patch.settings
    if settings.encoding is not None or file.encoding.replace("_", "-").startswith(("utf", "ascii")):
        return patch
    numbers = numbers_in(file)
    stored = {order.row.row: order.row for order in folder.orders if order.row.row in numbers}

    def reread(encoding: str) -> PromptFile:
        return opened_prompts(file.path, settings.model_copy(update={"encoding": encoding}))

    encoding = better_encoding(file, stored, reopen=reread)
    if encoding is None or encoding == file.encoding:
        return patch
    again = make_plan(settings.model_copy(update={"encoding": encoding}), today=today)
    again.spool = patch.spool
    again.notices = (
        f"the file is read as {encoding}, in which its cells are those of the run; --encoding forces one",
    )
    return again


@dataclass(frozen=True, slots=True)
class _Patch:
    """How a line of a failures.csv becomes cells of the input."""

    names: dict[str, str]
    overrides: dict[str, str]
    default_samples: int

    def cells(self, row: PromptRow, ok: tuple[int, ...]) -> Cells:
        """The cells; siblings that have their images are never dropped, whatever number of samples it says."""
        cells = {self.names[name]: text for name, text in cells_of(row).items()}
        cells |= _with_overrides(cells, self.overrides)
        column = role_column("samples", list(cells))
        wanted = row.samples or int(self.overrides.get("samples", self.default_samples))
        return {**cells, column: str(max(ok))} if ok and column in cells and wanted < max(ok) else cells


def _with_overrides(cells: Cells, overrides: Cells) -> dict[str, str]:
    changed = {}
    for role, text in overrides.items():
        column = role_column(role, list(cells))
        if not cells.get(column, "").strip():
            changed[column] = text
    return changed


def _overrides(given: RunPlan, stored: Settings) -> dict[str, str]:
    """What was asked for otherwise than by the run: it holds for the rows of this file only."""
    settings = given.settings
    explicit = settings.model_fields_set
    for name in _FIXED:
        if name in explicit and getattr(settings, name) != getattr(stored, name):
            raise SettingsInvalid(
                f"the run in {settings.place} has another {name} ({getattr(stored, name)!r}): its rows are retried, "
                f"and others added, with that; leave it out, or: {_without_environment(settings)}"
            )
    changed = {name: getattr(settings, name) for name in _CELLS if name in explicit}
    return {name: str(value) for name, value in changed.items() if value not in (None, getattr(stored, name))}


def _without_environment(settings: Settings) -> str:
    """The command in which neither environment nor imagen-batch.toml count."""
    choice = [f"--{settings.other_input}"] if settings.other_input else []
    known = [absolute(settings.place), "--prompts", absolute(settings.prompts)]
    return shlex.join(["imagen-batch", "resume", *known, *choice])


def _base(given: RunPlan, stored: Settings) -> Settings:
    """The run's settings, with what was given for how to send and what to spend."""
    mine = given.settings
    names = mine.model_fields_set - {*_CELLS, *_FIXED, *_OF_THE_FILE}
    once: dict[str, Any] = {"retry": (), "other_input": None, "out": mine.place}
    return stored.model_copy(update={**{name: getattr(mine, name) for name in names}, **once})


def _merged(
    merge: Merge, folder: _Folder, base: Settings, *, today: date, only: frozenset[int] | None = None
) -> RunPlan:
    spool = Spool(write_merged(merge, (order.row for order in folder.orders)))
    reading = {
        "prompts": str(spool.path),
        "format": "csv",
        "delimiter": ",",
        "encoding": "utf-8",
        "join_extra": False,
    }
    try:
        merged = make_plan(base.model_copy(update=reading), today=today, only=only)
    except BaseException:
        spool.remove()
        raise
    merged.spool = spool
    merged.source = None if folder.origin.source is None else Path(folder.origin.source)
    merged.basis = folder.basis
    return merged


def _content(order: PlannedRow) -> int:
    return hash((order.model.id, order.prompt, order.options))


def _folder(place: str, *, today: date) -> _Folder:
    basis = read_record(open_storage(place))
    current = reload_plan(place, today=today)
    return _Folder(current, history_of(place), stored_origin(place) or Origin(), basis)


def history_of(place: str) -> History:
    """What the ledger at `place` says."""
    with in_reach(place, to="be read"):
        return read_history(open_storage(place).logs(LEDGER))
