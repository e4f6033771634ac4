"""Builds a folder's new input from the one it has and a file that patches or extends it.

The run's settings apply to every row, so options that are given with the file go into the cells of its rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from imagen_batch.errors import SettingsInvalid
from imagen_batch.inputs.failures_csv.detect_encoding import find_better_encoding, marked_rows
from imagen_batch.inputs.failures_csv.match_rows import match_rows, only_rows
from imagen_batch.inputs.image_owners import find_moves, samples_with_images
from imagen_batch.inputs.merge_rows import Cells, Merge, column_for_role, match_columns, merged_csv
from imagen_batch.inputs.options_as_cells import LineConverter, find_overrides, run_settings
from imagen_batch.inputs.stored_input_and_settings import (
    EXPANSION,
    file_sha256,
    load_origin,
    load_settings_snapshot,
    read_run_record,
    references_of,
    reload_plan,
)
from imagen_batch.ledger.history import History, read_history
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.planning.checking.open_and_expand_prompt_file import open_prompt_file
from imagen_batch.planning.input_origin import Origin
from imagen_batch.planning.plan import RunPlan
from imagen_batch.planning.references.find_reference_images import RunReferences
from imagen_batch.planning.resolve_rows import PlannedRow
from imagen_batch.prompts import PromptFile
from imagen_batch.prompts.reference_cells import references as parse_references
from imagen_batch.prompts.sources import Spool, is_stream
from imagen_batch.records import PromptRow
from imagen_batch.settings import Settings
from imagen_batch.storage import LEDGER, explain_storage_errors, open_storage


@dataclass(frozen=True, slots=True)
class _Folder:
    """The contents of a folder: its input, its history, the origin of the input, and run.json as it was read."""

    current: RunPlan
    history: History
    origin: Origin
    basis: bytes

    @property
    def rows(self) -> Iterator[PlannedRow]:
        return self.current.planned_rows()


def patch_input(patch: RunPlan, *, today: date) -> RunPlan:
    """Return the folder's input, patched with the lines of a failures.csv. The plan sends only the rows of those."""
    folder = _open_folder(patch.settings.folder, today=today)
    _require_same_expansion(patch, folder.current)
    patch = _reread_in_saved_encoding(patch, folder, today=today)
    stored = folder.current.settings
    overrides = find_overrides(patch, stored)
    names = match_columns(patch.file.columns, folder.current.file.columns)
    ok = samples_with_images(folder.current, folder.history)
    requested = enumerate(folder.current.index, 1)
    waiting = frozenset(row for row, (_, samples) in requested if len(ok.get(row, ())) < samples)

    def stored_rows() -> Iterator[PromptRow]:
        return (planned.row for planned in folder.rows)

    marks = folder.origin.marks
    patch_rows = list(only_rows(patch.file.rows()))
    lines = match_rows(patch_rows, stored_rows, names=names, waiting=waiting, marks=marks)
    converter = LineConverter(names, overrides, stored.samples)
    merge = Merge(
        folder.current.file.columns,
        {number: converter.cells(line, ok.get(number, ())) for number, line in lines.items()},
    )
    only = frozenset(list(lines)[: patch.settings.limit])
    merged = _plan_merged(merge, folder, run_settings(patch, stored), today=today, only=only)
    new_marks = {line.mark.strip().lower(): number for number, line in lines.items() if line.mark}
    patch.delete_spool()
    return replace(
        merged,
        moves=find_moves(folder.current, folder.history, merged, edited=set(lines)),
        notices=(*patch.notices, *patch.file.warnings),
        edited_failures_sha256=None if patch.source is None else file_sha256(patch.source),
        origin=replace(folder.origin, evolved=True, marks={**marks, **new_marks}),
    )


def extend_input(new: RunPlan, *, today: date) -> RunPlan:
    """Return the folder's input, followed by those rows of another file that it does not have yet."""
    folder = _open_folder(new.settings.folder, today=today)
    stored = folder.current.settings
    new = _expand_like(folder.current, new, today=today)
    overrides = find_overrides(new, stored)
    names = match_columns(new.file.columns, folder.current.file.columns)
    existing = Counter(_content_hash(planned) for planned in folder.rows)
    appended: list[Cells] = []
    converter = LineConverter(names, overrides, stored.samples)
    for planned in new.planned_rows():
        content = _content_hash(planned)
        if existing[content] > 0:
            existing[content] -= 1
        else:
            appended.append(_with_absolute_references(converter.cells(planned.row, ()), new, folder))
    merge = Merge(folder.current.file.columns, {}, appended)
    merged = _plan_merged(merge, folder, run_settings(new, stored), today=today)
    file = "-" if new.source is None else str(new.source)
    origin = replace(folder.origin, evolved=True, added=tuple(dict.fromkeys([*folder.origin.added, file])))
    new.delete_spool()
    return replace(merged, notices=new.file.warnings, origin=origin)


def references_of_added(settings: Settings) -> RunReferences:
    """Return the references of a file that is added to the folder's input; they may name rows of that input."""
    folder = Path.cwd() if is_stream(settings.prompts) else Path(settings.prompts).parent
    return RunReferences(folder, stored_ids=_stored_ids(settings.folder))


def references_of_failures(location: str | Path) -> RunReferences:
    """Return the references of a failures.csv: those of its run. They may name rows that the file does not have."""
    references = references_of(location)
    references.stored_ids = _stored_ids(location)
    return references


def _stored_ids(location: str | Path) -> frozenset[str]:
    stored = load_settings_snapshot(location)
    rows = only_rows(open_prompt_file(Path(stored.prompts), stored).rows())
    return frozenset(row.id for row in rows if row.id)


def _with_absolute_references(cells: Cells, new: RunPlan, folder: _Folder) -> Cells:
    """Return the cells of a row of another file; its paths are relative to that file's folder, not to the run's."""
    column = column_for_role("references", list(cells))
    own = parse_references(cells.get(column, "").strip()) if cells.get(column, "").strip() else ()
    if not own or new.references.folder == folder.current.references.folder:
        return cells
    return {**cells, column: ";".join(new.references.absolute(text) for text in own)}


def _require_same_expansion(given: RunPlan, current: RunPlan) -> None:
    """Raise SettingsInvalid for a template, styles or characters that are not those of the run's other rows."""
    ours, theirs = current.expansion.stored_files(), given.expansion.stored_files()
    for setting, file in theirs.items():
        if ours.get(setting) != file:
            raise SettingsInvalid(
                f"--{setting} differs from that of the run in {given.settings.folder}, which applies to all of its "
                f"rows. Leave it out, or run the whole prompt file with it."
            )


def _expand_like(current: RunPlan, new: RunPlan, *, today: date) -> RunPlan:
    """Return the plan of the new file, with the template, styles and characters of the run."""
    _require_same_expansion(new, current)
    stored = {setting: getattr(current.settings, setting) for setting in EXPANSION}
    if all(getattr(new.settings, setting) == path for setting, path in stored.items()):
        return new
    as_stored = new.settings.model_copy(update={**stored, "prompts": str(new.file.path)})
    expanded = make_plan(as_stored, today=today, references=new.references)
    return replace(expanded, spool=new.spool, source=new.source, settings=new.settings)


def _reread_in_saved_encoding(patch: RunPlan, folder: _Folder, *, today: date) -> RunPlan:
    """Return the same file, read in the encoding in which its unchanged cells equal those of the folder's input."""
    file, settings = patch.file, patch.settings
    if settings.encoding is not None or file.encoding.replace("_", "-").startswith(("utf", "ascii")):
        return patch
    numbers = marked_rows(file)
    stored = {planned.row.row: planned.row for planned in folder.rows if planned.row.row in numbers}

    def reread(encoding: str) -> PromptFile:
        return open_prompt_file(file.path, settings.model_copy(update={"encoding": encoding}))

    encoding = find_better_encoding(file, stored, reopen=reread)
    if encoding is None or encoding == file.encoding:
        return patch
    as_saved = settings.model_copy(update={"encoding": encoding})
    reread_patch = make_plan(as_saved, today=today, references=patch.references)
    notice = (
        f"the file is read as {encoding}, because its cells then match those of the run; --encoding overrides this"
    )
    return replace(reread_patch, spool=patch.spool, notices=(notice,))


def _plan_merged(
    merge: Merge, folder: _Folder, settings: Settings, *, today: date, only: frozenset[int] | None = None
) -> RunPlan:
    spool = Spool()
    spool.fill(merged_csv(merge, (planned.row for planned in folder.rows)))
    reading = {
        "prompts": str(spool.path),
        "format": "csv",
        "delimiter": ",",
        "encoding": "utf-8",
        "join_extra": False,
        "sheet": None,
        "matrix": (),  # the rows are variants already
    }
    try:
        references = references_of(settings.folder)
        merged = make_plan(settings.model_copy(update=reading), today=today, only=only, references=references)
    except BaseException:
        spool.remove()
        raise
    source = None if folder.origin.source is None else Path(folder.origin.source)
    return replace(merged, spool=spool, source=source, basis=folder.basis)


def _content_hash(planned: PlannedRow) -> int:
    """Return a hash of what a row requests. An image counts by its location: its content may differ by now."""
    images = tuple(each.path or each.uri or each.text for each in planned.references)
    return hash((planned.model.id, planned.prompt, replace(planned.options, references=None), images))


def _open_folder(location: str, *, today: date) -> _Folder:
    basis = read_run_record(open_storage(location))
    current, history = reload_plan(location, today=today), load_history(location)
    if current.settings.accept is not None:  # rows have the samples that were requested, not those of the input
        current.follow(history)
    return _Folder(current, history, load_origin(location) or Origin(), basis)


def load_history(location: str) -> History:
    """Return the history in the ledger at `location`."""
    with explain_storage_errors(location, to="be read"):
        return read_history(open_storage(location).logs(LEDGER))
