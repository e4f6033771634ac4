"""How is a run taken up again from its folder alone?"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import orjson

from imagen_batch.errors import SettingsInvalid
from imagen_batch.examine import Examined, examine
from imagen_batch.settings import Settings, validated
from imagen_batch.shelf import STATE


def stored_settings(folder: Path) -> Settings:
    """The settings of the last run into `folder`, with its own copy of the prompt file as the input.

    Raises SettingsInvalid when there is no run.
    """
    state = folder / STATE
    try:
        stored = orjson.loads((state / "settings.json").read_bytes())
    except OSError as error:
        raise SettingsInvalid(f"{folder} holds no run of imagen-batch") from error
    except orjson.JSONDecodeError as error:
        raise SettingsInvalid(f"{state / 'settings.json'} is damaged: {error}") from error
    copies = sorted(state.glob("input.*"), key=lambda path: path.stat().st_mtime)
    if not copies:
        raise SettingsInvalid(f"{folder} has lost its copy of the prompt file")
    copy = copies[-1]  # a run with a file of another format leaves the older copy beside it
    return validated({**stored, "prompts": str(copy), "format": copy.suffix[1:], "out": str(folder)})


def reopened(folder: Path, *, today: date | None = None) -> Examined:
    """What the last run was asked for, to look at and not to send: a retired model is no obstacle."""
    settings = stored_settings(folder).model_copy(update={"base_url": "http://localhost"})
    return examine(settings, today=today or datetime.now(UTC).date())
