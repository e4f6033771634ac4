"""What does a run keep of what it was asked, so that it can be taken up again from its storage alone?

A copy of the prompt file without its secrets, and the settings. From then on the run reads the copy: the original may
be edited or go away.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import orjson

from imagen_batch.errors import SettingsInvalid
from imagen_batch.examine import Examined, examine
from imagen_batch.settings import Settings, validated
from imagen_batch.storage import STATE, Storage, open_storage

SETTINGS: Final = f"{STATE}/settings.json"
_INPUT: Final = f"{STATE}/input."


def keep_input(examined: Examined, storage: Storage) -> None:
    """Keep prompt file and settings, and read from the copy from now on."""
    copy = _INPUT + examined.file.format
    with storage.write(copy) as target:
        recoded = examined.file.copy_to(target)
    reading = {"format": examined.file.format, "delimiter": examined.file.delimiter}
    kept = examined.settings.model_copy(update=reading | ({"encoding": "utf-8"} if recoded else {}))
    with storage.write(SETTINGS) as target:
        target.write(kept.model_dump_json(indent=1).encode())
    for older in _copies(storage):
        if older != copy:
            storage.remove(older)
    examined.read_from(storage.local(copy), kept)
    examined.forget_spool()


def stored_settings(place: str | Path) -> Settings:
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
    # A run that was killed while it took up a file of another format leaves two.
    copies = sorted(_copies(storage), key=lambda name: name == _INPUT + str(stored.get("format")))
    if not copies:
        raise SettingsInvalid(f"{place} has lost its copy of the prompt file")
    copy = storage.local(copies[-1])
    return validated({**stored, "prompts": str(copy), "format": copy.suffix[1:], "out": str(place)})


def reopened(place: str | Path, *, today: date | None = None) -> Examined:
    """What the last run was asked for, to look at and not to send: a retired model is no obstacle."""
    settings = stored_settings(place).model_copy(update={"base_url": "http://localhost"})
    return examine(settings, today=today or datetime.now(UTC).date())


def _copies(storage: Storage) -> list[str]:
    formats = ("csv", "tsv", "txt", "jsonl")
    return [name for name in (_INPUT + one for one in formats) if storage.size(name) is not None]
