"""Finds out which dates of a job have been made, from the folders of its runs."""

from __future__ import annotations

import datetime as dt
import json
from typing import Literal

from imagen_batch.errors import SettingsInvalid
from imagen_batch.inputs.stored_input_and_settings import holds_run
from imagen_batch.schedules.out_template import fields_in
from imagen_batch.settings import WATCHING, Settings, load_settings
from imagen_batch.storage import open_storage

DateState = Literal["missing", "unfinished", "failed", "ok"]
_FINISHED_WITH_GAPS = (3, 4)


def settings_of_date(settings: Settings, date: dt.date, *, env: dict[str, str]) -> Settings:
    """Return the settings of a date's run. `settings` are as they were given, with {date} in the output folder."""
    if settings.out is not None and "date" not in fields_in(settings.out):
        raise SettingsInvalid(f"--out {settings.out} has no {{date}}: all dates of this job share one folder")
    given = settings.model_dump(exclude_unset=True, exclude_none=True)
    watching = {name: getattr(settings, name) for name in WATCHING if name in settings.model_fields_set}  # not dumped
    return load_settings({**given, **watching, "date": date}, env=env)


def state_of(folder: str) -> DateState:
    """Return the state of the run in a folder: none, not finished, finished with missing images, or complete."""
    if not holds_run(folder):
        return "missing"
    try:
        summary = json.loads(open_storage(folder).read("summary.json"))
        code, state = summary["exit_code"], summary["state"]
    except (OSError, ValueError, KeyError, TypeError):  # the run was killed before its summary
        return "unfinished"
    if code == 0:
        return "ok"
    return "failed" if code in _FINISHED_WITH_GAPS and state == "finished" else "unfinished"
