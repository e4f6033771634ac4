"""Keeps with a run what it was asked for, so that it can be continued from its storage alone.

    input.csv       a copy of the prompt file without its secrets; the run reads this copy from then on
    settings.json   every setting, whichever of command line, environment and file gave it
    run.json        the argument vector, and which file of the user's the input came from

Paths are absolute, so that a run can be continued from any current folder. A folder that an earlier version wrote
has no run.json.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from hashlib import file_digest
from pathlib import Path
from typing import Any, Final

import orjson

from imagen_batch.errors import SettingsInvalid
from imagen_batch.planning.origin import Origin
from imagen_batch.planning.plan import RunPlan, make_plan
from imagen_batch.settings import Settings, validated
from imagen_batch.storage import STATE, Storage, open_storage

SETTINGS: Final = f"{STATE}/settings.json"
RUN: Final = f"{STATE}/run.json"
_INPUT: Final = f"{STATE}/input."
READING: Final = ("format", "delimiter", "encoding", "prompt_column", "join_extra")
"""Settings that say how a prompt file is read."""


def save_snapshot(
    plan: RunPlan, storage: Storage, *, argv: Sequence[str] = (), pinned: Mapping[str, object] | None = None
) -> None:
    """Keep prompt file and settings, and read from the copy from now on.

    `pinned` are settings that the environment decided, as the project of a Google Cloud account.
    """
    origin = plan.origin or _origin(plan)
    copy = _INPUT + plan.file.format
    made = plan.origin is not None and plan.spool is not None
    if made:  # first: a kill before the settings are written leaves the copy readable, and its rows known
        with storage.write(RUN) as target:
            target.write(_record(origin, argv, copy=_reading_of(plan)))
    with storage.write(copy) as target:
        recoded = plan.file.copy_to(target)
    reading = {"format": plan.file.format, "delimiter": plan.file.delimiter}
    reading |= {"encoding": "utf-8"} if recoded else {}
    shown = os.fsencode(origin.source or "-").decode(errors="replace")
    facts = {"prompts": shown, "other_input": None, **_absolute(plan.settings), **(pinned or {})}
    kept = plan.settings.model_copy(update=reading | facts)
    with storage.write(SETTINGS) as target:
        target.write(kept.model_dump_json(indent=1).encode())
    if not made:
        with storage.write(RUN) as target:
            target.write(_record(origin, argv))
    for older in _copies(storage):
        if older != copy:
            storage.remove(older)
    plan.read_from(storage.local(copy), plan.settings.model_copy(update=reading))
    plan.delete_spool()


def load_settings_snapshot(place: str | Path) -> Settings:
    """The settings of the last run into `place`, with its own copy of the prompt file as the input.

    Raises SettingsInvalid when there is no run.
    """
    storage = open_storage(place)
    try:
        stored = orjson.loads(storage.read(SETTINGS))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SettingsInvalid(f"{place} holds no run of imagen-batch") from error
    except OSError as error:
        raise SettingsInvalid(f"{place} can't be read: {error.strerror or error}") from error
    except orjson.JSONDecodeError as error:
        raise SettingsInvalid(f"{place}: {SETTINGS} is damaged: {error}") from error
    if not isinstance(stored, dict):
        raise SettingsInvalid(f"{place}: {SETTINGS} is damaged: it holds no settings")
    # A run that was killed while it took up a file of another format leaves two.
    copies = sorted(_copies(storage), key=lambda name: name == _INPUT + str(stored.get("format")))
    if not copies:
        raise SettingsInvalid(f"{place} has lost its copy of the prompt file")
    copy = storage.local(copies[-1])
    own = {"prompts": str(copy), "format": copy.suffix[1:], "out": str(place)}
    return validated({**stored, **_recorded_reading(storage, copy), **own})


def holds_run(place: str | Path) -> bool:
    """Whether a run has kept its input there."""
    try:
        return open_storage(place).size(SETTINGS) is not None
    except OSError:  # told by whoever needs the place
        return False


def stored_origin(place: str | Path) -> Origin | None:
    """Where the input of the last run into `place` came from; None where that is not known."""
    try:
        record = json.loads(open_storage(place).read(RUN))
        found = record["origin"]
        return Origin(**{**found, "added": tuple(found["added"])})
    except (OSError, ValueError, KeyError, TypeError):  # an earlier version's folder, or a damaged file
        return None


def continued(place: str | Path, changes: Mapping[str, Any]) -> Settings:
    """The settings of a run that continues the one in `place`, with a few `changes`.

    What was asked for once only, as a retry, is not asked for again. A prompt file among the changes is read as the
    first one was.
    """
    once: dict[str, Any] = {"retry": (), "other_input": None}
    origin = stored_origin(place)
    if "prompts" in changes:
        reading = dict(origin.reading) if origin else {}
        once |= {**dict.fromkeys(READING[:3]), **reading}
    return validated({**load_settings_snapshot(place).model_dump(), **once, **changes})


def read_record(storage: Storage) -> bytes:
    """run.json as it is; empty where there is none. Every run writes it anew."""
    try:
        return storage.read(RUN)
    except OSError:
        return b""


def check_unchanged(plan: RunPlan, storage: Storage) -> None:
    """Raise SettingsInvalid where another run changed the input that this one was made from."""
    if plan.basis is not None and plan.basis != read_record(storage):
        raise SettingsInvalid(f"another run changed the input of {storage.place} meanwhile: start again")


def source_edited(place: str | Path) -> str | None:
    """The user's prompt file, where it is not what it was when the run took it over."""
    origin = stored_origin(place)
    if origin is None or origin.source is None or origin.sha256 is None:
        return None
    found = file_sha256(Path(origin.source))
    return origin.source if found not in (None, origin.sha256) else None


def is_stored_input(settings: Settings) -> bool:
    """Whether the prompt file is the folder's own copy."""
    path = Path(settings.prompts)
    return path.parent.name == STATE and path.name.startswith("input.")


def reload_plan(place: str | Path, *, today: date | None = None) -> RunPlan:
    """What the last run was asked for, to look at and not to send: a retired model is no obstacle."""
    settings = load_settings_snapshot(place)
    plan = make_plan(
        settings.model_copy(update={"base_url": "http://localhost"}), today=today or datetime.now(UTC).date()
    )
    plan.settings = settings
    remember_origin(plan)
    return plan


def remember_origin(plan: RunPlan) -> None:
    """Let an examination of the folder's own copy know of the user's file behind it."""
    plan.origin = stored_origin(plan.settings.place) or Origin(evolved=True)
    plan.source = None if plan.origin.source is None else Path(plan.origin.source)


def file_sha256(path: Path) -> str | None:
    """The digest of a file; None where it can't be read."""
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _origin(plan: RunPlan) -> Origin:
    reading = {name: getattr(plan.settings, name) for name in READING}
    if plan.source is None:
        return Origin(reading=reading)
    return Origin(str(plan.source), file_sha256(plan.source), reading)


def _reading_of(plan: RunPlan) -> dict[str, object]:
    """How an input that was put together is read, for the copy that has its bytes."""
    file = plan.file
    reading = {"delimiter": file.delimiter, "encoding": "utf-8", "join_extra": False}
    return {"sha256": file_sha256(file.path), "reading": reading}


def _recorded_reading(storage: Storage, copy: Path) -> dict[str, object]:
    try:
        found = json.loads(storage.read(RUN))["copy"]
        return dict(found["reading"]) if found["sha256"] == file_sha256(copy) else {}
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
    return json.dumps(record, indent=1).encode()  # names that are no UTF-8 survive, escaped


def _absolute(settings: Settings) -> dict[str, object]:
    key_file = settings.api_key_file
    return {} if key_file is None else {"api_key_file": os.path.abspath(key_file)}  # noqa: PTH100 - links are kept


def _copies(storage: Storage) -> list[str]:
    formats = ("csv", "tsv", "txt", "jsonl")
    return [name for name in (_INPUT + one for one in formats) if storage.size(name) is not None]
