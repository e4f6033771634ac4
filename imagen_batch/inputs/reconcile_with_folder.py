"""Decides what a prompt file changes in the folder that is given with it.

A folder has one input: the stored one. The given file continues, edits, patches or replaces it:

    the folder's own copy            the run continues (`resume`)
    the file that was given before   replaces the input, if it was edited
    a failures.csv of the folder     patches the rows that it contains; all others stay as they are
    another file                     replaces the input if no row with an image leaves the tables; otherwise it takes
                                     --add (append its rows), --replace, or a yes at the terminal

A file counts as the one given before if it has the same path, or if it contains at least half of the rows with
images.

What compares, patches and merges inputs is imported where it is needed: most runs begin in a new folder, or with the
file that was given before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import IO, TYPE_CHECKING

from imagen_batch.errors import SettingsInvalid
from imagen_batch.inputs.stored_input_and_settings import (
    READING,
    attach_origin,
    file_sha256,
    holds_run,
    is_stored_input,
    load_origin,
    load_settings_snapshot,
    references_of,
    reload_plan,
)
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.planning.input_origin import Origin
from imagen_batch.planning.plan import RunPlan
from imagen_batch.prompts.column_names import MARK_COLUMN
from imagen_batch.settings import Settings
from imagen_batch.storage import explain_storage_errors, is_url, open_storage
from imagen_batch.text import plural

if TYPE_CHECKING:
    from imagen_batch.inputs.changes import Changes, DroppedRows
    from imagen_batch.ledger.history import History
    from imagen_batch.ledger.records import ReviewedVersion

Confirm = Callable[[str], bool]
_HEAD_BYTES = 1 << 16


def prepare_plan(
    settings: Settings,
    *,
    today: date,
    confirm: Confirm | None = None,
    decisions: tuple[ReviewedVersion, ...] = (),
    stdin: IO[bytes] | None = None,
) -> RunPlan:
    """Read and check the input of a run with these settings. `confirm` asks the user; None without a terminal.

    `stdin` is read if the prompt file is `-`; the process's own standard input without it.

    `decisions` of a review are recorded by the run before anything else.

    Raises InputInvalid with every problem of the file, and SettingsInvalid if the user has to change or choose an
    option.
    """
    if is_stored_input(settings):
        references = references_of(settings.folder)
        plan = make_plan(settings, today=today, references=references)
        return _with_approved_images(replace(attach_origin(plan), decisions=decisions), today=today)
    plan = _read_file(_with_local_file(settings), today=today, stdin=stdin)
    try:
        plan = _choose_input(_use_folder_of_failures(plan), today=today, confirm=confirm)
        return _with_approved_images(replace(plan, decisions=decisions), today=today)
    except BaseException:
        plan.delete_spool()
        raise


def _with_approved_images(plan: RunPlan, *, today: date) -> RunPlan:
    if not holds_run(plan.settings.folder):
        return plan
    from imagen_batch.inputs.keep_approved import with_approved_images  # noqa: PLC0415

    return with_approved_images(plan, today=today)


def count_changes(plan: RunPlan, *, today: date) -> Changes | None:
    """Count the changes that this input would make in its folder; None if there is no run yet."""
    location = plan.settings.folder
    if not holds_run(location):
        return None
    from imagen_batch.inputs.changes import compare_inputs  # noqa: PLC0415

    return compare_inputs(*_read_stored(plan, today=today), plan)


def _read_stored(new: RunPlan, *, today: date) -> tuple[RunPlan, History]:
    """Return the folder's input and history, with the keys of both inputs brought in line with the ledger."""
    from imagen_batch.inputs.patch_or_extend_input import load_history  # noqa: PLC0415

    location = new.settings.folder
    current, history = reload_plan(location, today=today), load_history(location)
    current.follow(history)
    new.follow(history)
    return current, history


def _choose_input(plan: RunPlan, *, today: date, confirm: Confirm | None) -> RunPlan:
    settings = plan.settings
    patch = plan.file.failures and settings.other_input != "replace"
    if not holds_run(settings.folder):
        if patch and settings.out is None:
            raise SettingsInvalid(
                f"{settings.prompts} is the failures.csv of a run. Give that run's folder with --out DIR."
            )
        return plan
    if patch or settings.other_input == "add":
        from imagen_batch.inputs.patch_or_extend_input import extend_input, patch_input  # noqa: PLC0415

        return patch_input(plan, today=today) if patch else extend_input(plan, today=today)
    if settings.other_input == "replace":
        return plan
    return _take_known_or_other_file(plan, today=today, confirm=confirm)


def _take_known_or_other_file(plan: RunPlan, *, today: date, confirm: Confirm | None) -> RunPlan:
    origin = load_origin(plan.settings.folder)
    if origin is not None and plan.source is not None and origin.source == str(plan.source):
        same_matrix = list(plan.expansion.matrix_options) == (origin.reading.get("matrix") or [])
        if origin.evolved and same_matrix and origin.sha256 == file_sha256(Path(str(origin.source))):
            return _keep_stored_input(plan, origin, today=today)
        if not origin.added:
            return _with_loss_notice(plan, origin, today=today)
    return _take_other_file(plan, origin, today=today, confirm=confirm)


def _with_loss_notice(plan: RunPlan, origin: Origin, *, today: date) -> RunPlan:
    """Return the plan, with a notice if the file was edited and images leave the tables."""
    from imagen_batch.inputs.keep_approved import has_other_expansion  # noqa: PLC0415

    # A run of an earlier version sent no reference images; now the same file does.
    has_new_references = origin.folder is None and bool(plan.references.files.facts)
    edited = has_new_references or origin.sha256 != file_sha256(plan.source) if plan.source is not None else False
    if edited or (plan.source is not None and has_other_expansion(plan)):
        dropped = _count_dropped_rows(plan, today=today)
        if dropped.rows:
            rows, images = plural(dropped.rows, "row"), plural(dropped.images, "image")
            notice = f"{rows} with {images} changed in {plan.source}: these images leave the tables, their files stay"
            return replace(plan, notices=(*plan.notices, notice))
    return plan


def _with_local_file(settings: Settings) -> Settings:
    """Return the settings with a local copy of a failures.csv in a bucket, which belongs to the run there."""
    location, _, name = settings.prompts.rpartition("/")
    if not is_url(settings.prompts) or not name.startswith("failures") or not holds_run(location):
        return settings
    with explain_storage_errors(location, to="be read"):
        path = open_storage(location).local(name)
    return settings.model_copy(update={"prompts": str(path), "out": settings.out or location})


def _read_file(settings: Settings, *, today: date, stdin: IO[bytes] | None) -> RunPlan:
    """Return the plan of the given file.

    A failures.csv has the prompt column and reference folder of its run. A file to add may refer to images of the
    folder's rows.
    """
    path = Path(settings.prompts)
    if settings.other_input == "add" and holds_run(settings.folder):
        from imagen_batch.inputs.patch_or_extend_input import references_of_added  # noqa: PLC0415

        return make_plan(settings, today=today, stdin=stdin, references=references_of_added(settings))
    candidates = (settings.out, str(path.parent))
    location = next((location for location in candidates if location is not None and holds_run(location)), None)
    if location is None or settings.prompts == "-" or not _is_marked(path):
        return make_plan(settings, today=today, stdin=stdin)
    from imagen_batch.inputs.patch_or_extend_input import references_of_failures  # noqa: PLC0415

    if settings.prompt_column is None:
        settings = settings.model_copy(update={"prompt_column": load_settings_snapshot(location).prompt_column})
    return make_plan(settings, today=today, references=references_of_failures(location))


def _is_marked(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    return any(MARK_COLUMN.encode(encoding) in head.lower() for encoding in ("ascii", "utf-16-le", "utf-16-be"))


def _use_folder_of_failures(plan: RunPlan) -> RunPlan:
    """Return the plan, whose folder is that of its failures.csv if that file lies in the folder of a run."""
    folder = Path(plan.settings.prompts).parent
    known = plan.settings.out is not None or plan.source is None
    if plan.file.failures and not known and holds_run(folder):
        return replace(plan, settings=plan.settings.model_copy(update={"out": str(folder)}))
    return plan


def _keep_stored_input(plan: RunPlan, origin: Origin, *, today: date) -> RunPlan:
    """Return the folder's input: the unchanged given file with the rows that were patched or added later."""
    stored = load_settings_snapshot(plan.settings.folder)
    reading = {name: getattr(stored, name) for name in (*READING, "prompts")}
    references = references_of(plan.settings.folder)
    same_folder = {"out": plan.settings.folder}  # which may come from the name of the given file
    settings = plan.settings.model_copy(update=reading | same_folder)
    stored_plan = make_plan(settings, today=today, references=references)
    return replace(stored_plan, origin=origin, source=plan.source)


def _take_other_file(plan: RunPlan, origin: Origin | None, *, today: date, confirm: Confirm | None) -> RunPlan:
    dropped = _count_dropped_rows(plan, today=today)
    same_file = dropped.rows * 2 <= dropped.rows_with_images and not (origin and origin.added)
    if not dropped.rows or same_file:
        return plan
    loss = _describe_loss(plan, dropped)
    if confirm is not None and confirm(f"{loss} Replace the input of the run?"):
        return plan
    raise SettingsInvalid(
        f"{loss} Use --add to append the rows of this file to those of the run, or --replace to drop the run's rows."
    )


def _count_dropped_rows(plan: RunPlan, *, today: date) -> DroppedRows:
    from imagen_batch.inputs.changes import count_dropped_rows  # noqa: PLC0415

    return count_dropped_rows(*_read_stored(plan, today=today), plan)


def _describe_loss(plan: RunPlan, dropped: DroppedRows) -> str:
    file = "standard input" if plan.source is None else str(plan.source)
    rows, images = plural(dropped.rows, "row"), plural(dropped.images, "image")
    return (
        f"{file} is not the input of the run in {plan.settings.folder}: {rows} with {images} would leave the tables "
        "(the files stay)."
    )
