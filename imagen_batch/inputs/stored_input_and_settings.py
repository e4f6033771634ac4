"""Stores a run's input and settings in its folder, so that it can be continued from there alone.

    input.csv       a copy of the prompt file without its secrets; the run reads this copy from then on
    settings.json   every setting, whether it came from the command line, the environment or a file
    run.json        the argument vector, and which file of the user's the input came from

Paths are absolute, so that a run can be continued from any current folder. A folder that an earlier version wrote
has no run.json.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, date, datetime
from hashlib import file_digest
from pathlib import Path
from typing import Any, Final

import orjson

from imagen_batch.errors import SettingsInvalid
from imagen_batch.inputs.reference_facts import save_reference_facts, stored_references
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.planning.input_origin import Origin
from imagen_batch.planning.plan import RunPlan
from imagen_batch.planning.references.find_reference_images import RunReferences
from imagen_batch.settings import Settings, make_settings
from imagen_batch.storage import STATE, Storage, open_storage

SETTINGS: Final = f"{STATE}/settings.json"
RUN: Final = f"{STATE}/run.json"
EXPANSION_FILES: Final = f"{STATE}/expansion"
_EXPANSION_FILE: Final = re.compile(rf"{re.escape(EXPANSION_FILES)}/[a-z]+-[0-9a-f]{{16}}\.(?:txt|json)")
_INPUT: Final = f"{STATE}/input."
ONE_RUN: Final[Mapping[str, Any]] = {"retry": (), "redo": False, "upgrade": None}
"""Settings that apply to one run only, with the values that a later run begins with."""

READING: Final = ("format", "delimiter", "encoding", "prompt_column", "join_extra", "sheet", "matrix")
"""Settings that say how a prompt file is read."""
EXPANSION: Final = ("template", "styles", "characters")
"""Settings that name files which change rows before they are planned; a run stores their content."""


def save_snapshot(
    plan: RunPlan, storage: Storage, *, argv: Sequence[str] = (), pinned: Mapping[str, object] | None = None
) -> RunPlan:
    """Store prompt file and settings; return a plan that reads the stored copy.

    `pinned` are settings that the environment decided, such as the project of a Google Cloud account.
    """
    origin = plan.origin or _origin(plan)
    copy = _INPUT + plan.file.format
    is_merged = plan.origin is not None and plan.spool is not None
    if is_merged:  # first, so that a kill before the settings are written leaves a copy that can be read
        with storage.write(RUN) as target:
            target.write(_record(origin, argv, copy=_reading_of(plan)))
    save_reference_facts(plan.references, storage)
    with storage.write(copy) as target:
        recoded = plan.file.copy_to(target)
    reading: dict[str, object] = {"format": plan.file.format, "delimiter": plan.file.delimiter, "sheet": None}
    reading |= {"encoding": "utf-8"} if recoded else {}
    changes = {**_stored_changes(plan, origin, storage), **(pinned or {})}
    settings = plan.settings.model_copy(update=reading | changes)
    with storage.write(SETTINGS) as target:
        target.write(settings.model_dump_json(indent=1).encode())
    if not is_merged:
        with storage.write(RUN) as target:
            target.write(_record(origin, argv))
    for older in _copies(storage):
        if older != copy:
            storage.remove(older)
    _remove_other_expansions(changes, storage)
    copied = plan.reading_copy(storage.local(copy), plan.settings.model_copy(update=reading))
    plan.delete_spool()
    return replace(copied, spool=None)


def _stored_changes(plan: RunPlan, origin: Origin, storage: Storage) -> dict[str, object]:
    """Return the settings that are stored with other values than those of the run: paths, and one-run options."""
    return {
        "prompts": os.fsencode(origin.source or "-").decode(errors="replace"),
        "other_input": None,
        "redo": False,
        "upgrade": None,
        **_absolute_paths(plan.settings),
        **_store_expansion(plan, storage),
        "matrix": plan.expansion.matrix_options,
    }


def load_settings_snapshot(location: str | Path) -> Settings:
    """Return the settings of the last run into `location`, with its own copy of the prompt file as the input.

    Raises SettingsInvalid when there is no run.
    """
    storage = open_storage(location)
    try:
        stored = orjson.loads(storage.read(SETTINGS))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SettingsInvalid(f"No imagen-batch run found in {location}.") from error
    except OSError as error:
        raise SettingsInvalid(f"{location} can't be read: {error.strerror or error}") from error
    except orjson.JSONDecodeError as error:
        raise SettingsInvalid(f"{location}: {SETTINGS} is damaged: {error}") from error
    if not isinstance(stored, dict):
        raise SettingsInvalid(f"{location}: {SETTINGS} is damaged: it contains no settings")
    # A run that was killed while it replaced the copy by one of another format leaves two.
    copies = sorted(_copies(storage), key=lambda name: name == _INPUT + str(stored.get("format")))
    if not copies:
        raise SettingsInvalid(f"{location}: the copy of the prompt file is missing from {STATE}")
    copy = storage.local(copies[-1])
    paths = {
        **_local_expansion(stored, storage),
        "prompts": str(copy),
        "format": copy.suffix[1:],
        "out": str(location),
    }
    return make_settings({**stored, **_recorded_reading(storage, copy), **paths})


def holds_run(location: str | Path) -> bool:
    """Return whether a run has stored its settings there."""
    try:
        return open_storage(location).size(SETTINGS) is not None
    except OSError:  # reported when the folder is opened for reading or writing
        return False


def load_origin(location: str | Path) -> Origin | None:
    """Return the origin of the input of the last run into `location`; None if it is unknown."""
    try:
        record = json.loads(open_storage(location).read(RUN))
        origin = record["origin"]
        return Origin(**{**origin, "added": tuple(origin["added"])})
    except (OSError, ValueError, KeyError, TypeError):  # an earlier version's folder, or a damaged file
        return None


def load_settings_to_continue(location: str | Path, changes: Mapping[str, Any]) -> Settings:
    """Return the settings of a run that continues the one in `location`, with a few `changes`.

    Options that apply to one run only, such as --retry, are reset. A prompt file among the changes is read with the
    options of the first one.
    """
    reset: dict[str, Any] = {**ONE_RUN, "other_input": None}
    origin = load_origin(location)
    if "prompts" in changes:
        reading = dict(origin.reading) if origin else {}
        reset |= {**dict.fromkeys(READING[:3]), **reading}
    return make_settings({**load_settings_snapshot(location).model_dump(), **reset, **changes})


def read_run_record(storage: Storage) -> bytes:
    """Return the bytes of run.json, which every run replaces; empty where there is none."""
    try:
        return storage.read(RUN)
    except OSError:
        return b""


def check_unchanged(plan: RunPlan, storage: Storage) -> None:
    """Raise SettingsInvalid where another run has changed the input that this plan was made from."""
    if plan.basis is not None and plan.basis != read_run_record(storage):
        raise SettingsInvalid(f"Another run has just changed the input of {storage.location}. Start again.")


def find_edited_source(location: str | Path) -> str | None:
    """Return the user's prompt file, if it has changed since the run read it; else None."""
    origin = load_origin(location)
    if origin is None or origin.source is None or origin.sha256 is None:
        return None
    sha256 = file_sha256(Path(origin.source))
    return origin.source if sha256 not in (None, origin.sha256) else None


def is_stored_input(settings: Settings) -> bool:
    """Return whether the prompt file is the folder's own copy."""
    path = Path(settings.prompts)
    return path.parent.name == STATE and path.name.startswith("input.")


def reload_plan(location: str | Path, *, today: date | None = None) -> RunPlan:
    """Return the plan of the last run, for reading and not for sending: a retired model raises no error."""
    settings = load_settings_snapshot(location)
    references = references_of(location, as_recorded=True)
    today = today or datetime.now(UTC).date()
    return attach_origin(make_plan(settings, today=today, allow_retired=True, references=references))


def references_of(location: str | Path, *, as_recorded: bool = False) -> RunReferences:
    """Return the reference images of a folder's input, as the files are now or `as_recorded` by its last run."""
    return stored_references(open_storage(location), load_origin(location), as_recorded=as_recorded)


def attach_origin(plan: RunPlan) -> RunPlan:
    """Return the plan, which reads the folder's own copy, with the origin of that copy."""
    origin = load_origin(plan.settings.folder) or Origin(evolved=True)
    return replace(plan, origin=origin, source=None if origin.source is None else Path(origin.source))


def file_sha256(path: Path) -> str | None:
    """Return the digest of a file; None if it can't be read."""
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _origin(plan: RunPlan) -> Origin:
    folder = plan.references.folder
    reading = {name: getattr(plan.settings, name) for name in READING} | {"matrix": plan.expansion.matrix_options}
    if plan.source is None:
        return Origin(reading=reading, folder=folder)
    return Origin(str(plan.source), file_sha256(plan.source), reading, folder=folder)


def _reading_of(plan: RunPlan) -> dict[str, object]:
    """Return the settings for reading a merged input, and the digest of the copy to which they apply."""
    file = plan.file
    reading = {"delimiter": file.delimiter, "encoding": "utf-8", "join_extra": False}
    return {"sha256": file_sha256(file.path), "reading": reading}


def _recorded_reading(storage: Storage, copy: Path) -> dict[str, object]:
    try:
        recorded = json.loads(storage.read(RUN))["copy"]
        return dict(recorded["reading"]) if recorded["sha256"] == file_sha256(copy) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _record(origin: Origin, argv: Sequence[str], *, copy: Mapping[str, object] | None = None) -> bytes:
    record = {
        "schema_version": 1,
        "argv": list(argv) or None,
        "origin": asdict(origin),
        "copy": copy,
        "started_at": datetime.now(UTC).isoformat(timespec="microseconds"),
    }
    return json.dumps(record, indent=1).encode()  # escapes names that are not UTF-8


def _absolute_paths(settings: Settings) -> dict[str, object]:
    key_file = settings.api_key_file
    return {} if key_file is None else {"api_key_file": os.path.abspath(key_file)}  # noqa: PTH100 - links are kept


def _store_expansion(plan: RunPlan, storage: Storage) -> dict[str, object]:
    """Store template, styles and characters; return the settings that name them below the run's folder."""
    names: dict[str, object] = {}
    for setting, (name, content) in plan.expansion.stored_files().items():
        names[setting] = f"{EXPANSION_FILES}/{name}"
        with storage.write(f"{EXPANSION_FILES}/{name}") as target:
            target.write(content)
    return names


def _remove_other_expansions(stored: Mapping[str, object], storage: Storage) -> None:
    used = {stored.get(setting) for setting in EXPANSION}
    for name in [name for name, _ in storage.sizes(EXPANSION_FILES) if name not in used]:
        storage.remove(name)


def _local_expansion(stored: Mapping[str, Any], storage: Storage) -> dict[str, str | None]:
    """Return the paths of the stored template, styles and characters on this machine.

    A folder from a stranger must not make prompts of other files, so any other path is ignored, and a list in a file
    is refused.
    """
    if any(str(option).partition("=")[2].lstrip().startswith("@") for option in stored.get("matrix") or ()):
        raise SettingsInvalid(f"{storage.location}: {SETTINGS} is damaged: its matrix names a file")
    named = {setting: str(stored.get(setting) or "") for setting in EXPANSION}
    return {
        setting: str(storage.local(name)) if _EXPANSION_FILE.fullmatch(name) else None
        for setting, name in named.items()
    }


def _copies(storage: Storage) -> list[str]:
    formats = ("csv", "tsv", "txt", "jsonl")
    return [_INPUT + format_ for format_ in formats if storage.size(_INPUT + format_) is not None]
