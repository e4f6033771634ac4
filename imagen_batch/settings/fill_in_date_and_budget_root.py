"""Fills in the folders of a run: its name and date in the output folder, and the folder that shares a budget."""

from __future__ import annotations

import os
from pathlib import Path

from imagen_batch.errors import SettingsInvalid
from imagen_batch.schedules.out_template import expand, fields_in, fixed_part
from imagen_batch.settings.settings import Settings


def with_folder_of_date(settings: Settings) -> Settings:
    """Fill in `{name}` and `{date}` in the output folder. Raises SettingsInvalid where the template is wrong."""
    if settings.out is None:
        return settings
    try:
        fields = fields_in(settings.out)
        folder = expand(settings.out, name=settings.job_name, date=settings.date)
    except ValueError as error:
        raise SettingsInvalid(f"out = {settings.out!r}: {error}") from None
    if settings.date is not None and "date" not in fields:
        raise SettingsInvalid(
            f"--date {settings.date} has no effect: --out {settings.out} has no {{date}}. "
            "Use, for example, --out 'outputs/{name}/{date}'"
        )
    return settings.model_copy(update={"out": folder})


def with_budget_root(settings: Settings, *, template: str | None) -> Settings:
    """Fill in the folder whose runs share --max-cost-per: by default what all runs of this job are in."""
    if not settings.max_cost_per or "://" in settings.folder:
        return settings
    if settings.budget_root is not None:
        root = settings.budget_root
    elif template is not None:
        root = fixed_part(template) if fields_in(template) else str(Path(template).parent)
    else:
        root = "outputs"
    return settings.model_copy(update={"budget_root": os.path.abspath(root)})  # noqa: PTH100 - links are kept
