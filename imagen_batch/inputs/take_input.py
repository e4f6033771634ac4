"""Decides what a prompt file means for the folder that it is given with.

A folder has one input: the stored one. What is given continues, edits, patches or replaces it:

    the folder's own copy            the run goes on (`resume`)
    the file that was given before   an edited one replaces the input
    a failures.csv of the folder     a patch of the rows that it names; everything else stays as it is
    another file                     replaces the input where no row with an image leaves the tables; else it takes
                                     --add (its rows follow the others), --replace, or a yes at the terminal

A file counts as the one given before when it has the same path, or, elsewhere, when at least half of the rows with
images are in it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

from imagen_batch.errors import SettingsInvalid
from imagen_batch.inputs.changes import Changes, Pushed, compared, pushed_out
from imagen_batch.inputs.new_input import added, history_of, patched
from imagen_batch.inputs.snapshot import (
    READING,
    file_sha256,
    holds_run,
    is_stored_input,
    load_settings_snapshot,
    reload_plan,
    remember_origin,
    stored_origin,
)
from imagen_batch.planning.origin import Origin
from imagen_batch.planning.plan import RunPlan, make_plan
from imagen_batch.reports.failures import MARK
from imagen_batch.settings import Settings
from imagen_batch.storage import in_reach, is_url, open_storage
from imagen_batch.text import plural

Confirm = Callable[[str], bool]
_HEAD_BYTES = 1 << 16


def take_input(settings: Settings, *, today: date, confirm: Confirm | None = None) -> RunPlan:
    """The input of a run with these settings, read and checked. `confirm` asks the user; None where nobody is there.

    Raises InputInvalid with every problem of the file, SettingsInvalid for what can't be done or needs a choice.
    """
    if is_stored_input(settings):
        plan = make_plan(settings, today=today)
        remember_origin(plan)
        return plan
    plan = make_plan(_as_headed(_fetched(settings)), today=today)
    try:
        _beside_its_folder(plan)
        return _taken(plan, today=today, confirm=confirm)
    except BaseException:
        plan.delete_spool()
        raise


def changes_of(plan: RunPlan, *, today: date) -> Changes | None:
    """What taking this input changes in its folder; None where there is no run yet."""
    place = plan.settings.place
    if not holds_run(place):
        return None
    return compared(reload_plan(place, today=today), history_of(place), plan)


def _taken(plan: RunPlan, *, today: date, confirm: Confirm | None) -> RunPlan:
    settings = plan.settings
    patch = plan.file.failures and settings.other_input != "replace"
    if not holds_run(settings.place):
        if patch and settings.out is None:
            raise SettingsInvalid(
                f"{settings.prompts} is the failures.csv of a run: give that run's folder with --out DIR"
            )
        return plan
    if patch:
        return patched(plan, today=today)
    if settings.other_input == "add":
        return added(plan, today=today)
    return plan if settings.other_input == "replace" else _edited(plan, today=today, confirm=confirm)


def _edited(plan: RunPlan, *, today: date, confirm: Confirm | None) -> RunPlan:
    """The file that was given before, as it is now; or another one."""
    origin = stored_origin(plan.settings.place)
    if origin is not None and _is_source(plan, origin):
        if origin.evolved and origin.sha256 == file_sha256(Path(str(origin.source))):
            return _stored_again(plan, origin, today=today)
        if not origin.added:
            return _with_notice(plan, origin, today=today)
    return _other(plan, origin, today=today, confirm=confirm)


def _with_notice(plan: RunPlan, origin: Origin, *, today: date) -> RunPlan:
    """An edited file says how many images it takes out of the tables."""
    if plan.source is not None and origin.sha256 != file_sha256(plan.source):
        place = plan.settings.place
        pushed = pushed_out(reload_plan(place, today=today), history_of(place), plan)
        if pushed.rows:
            rows, images = plural(pushed.rows, "row"), plural(pushed.images, "image")
            said = f"{rows} with {images} are not in {plan.source} as they were: these images leave the tables"
            plan.notices = (*plan.notices, f"{said}, their files stay")
    return plan


def _is_source(plan: RunPlan, origin: Origin) -> bool:
    return plan.source is not None and origin.source == str(plan.source)


def _fetched(settings: Settings) -> Settings:
    """A failures.csv in a bucket is read from there; it is about the run at its place."""
    place, _, name = settings.prompts.rpartition("/")
    if not is_url(settings.prompts) or not name.startswith("failures") or not holds_run(place):
        return settings
    with in_reach(place, to="be read"):
        path = open_storage(place).local(name)
    return settings.model_copy(update={"prompts": str(path), "out": settings.out or place})


def _as_headed(settings: Settings) -> Settings:
    """In a failures.csv the prompts stand in the column in which the run found them."""
    path = Path(settings.prompts)
    place = next((one for one in (settings.out, str(path.parent)) if one is not None and holds_run(one)), None)
    if place is None or settings.prompt_column is not None or settings.prompts == "-" or not _is_marked(path):
        return settings
    return settings.model_copy(update={"prompt_column": load_settings_snapshot(place).prompt_column})


def _is_marked(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    return any(MARK.encode(encoding) in head.lower() for encoding in ("ascii", "utf-16-le", "utf-16-be"))


def _beside_its_folder(plan: RunPlan) -> None:
    """A failures.csv that lies in the folder of a run is about that run."""
    folder = Path(plan.settings.prompts).parent
    known = plan.settings.out is not None or plan.source is None
    if plan.file.failures and not known and holds_run(folder):
        plan.settings = plan.settings.model_copy(update={"out": str(folder)})


def _stored_again(plan: RunPlan, origin: Origin, *, today: date) -> RunPlan:
    """The folder's input, which is that of the given file with the rows that were patched or added since."""
    stored = load_settings_snapshot(plan.settings.place)
    reading = {name: getattr(stored, name) for name in (*READING, "prompts")}
    again = make_plan(plan.settings.model_copy(update=reading), today=today)
    again.origin, again.source = origin, plan.source
    return again


def _other(plan: RunPlan, origin: Origin | None, *, today: date, confirm: Confirm | None) -> RunPlan:
    place = plan.settings.place
    pushed = pushed_out(reload_plan(place, today=today), history_of(place), plan)
    alike = pushed.rows * 2 <= pushed.rows_with_images and not (origin and origin.added)
    if not pushed.rows or alike:
        return plan
    said = _said(plan, pushed)
    if confirm is not None and confirm(f"{said}. Replace the input of the run?"):
        return plan
    raise SettingsInvalid(
        f"{said}: --add appends the rows of this file to those of the run, --replace drops those from the tables"
    )


def _said(plan: RunPlan, pushed: Pushed) -> str:
    file = "standard input" if plan.source is None else str(plan.source)
    rows, images = plural(pushed.rows, "row"), plural(pushed.images, "image")
    return (
        f"{file} is another input than that of the run in {plan.settings.place}: {rows} with {images} would "
        "leave the tables (the files stay)"
    )
