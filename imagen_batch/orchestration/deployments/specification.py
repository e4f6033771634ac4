"""Describes a deployment as plain values: its name, its schedule and the settings of its runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from imagen_batch.errors import SettingsInvalid
from imagen_batch.settings import Settings
from imagen_batch.storage import is_url

TAG: Final = "imagen-batch"
FLOW: Final = "imagen-batch"
ENTRYPOINT: Final = "imagen_batch.orchestration.flow.generate_images"
NOT_IN_FORM: Final = ("notify", "heartbeat")
"""Settings with secret addresses: Prefect would store and show what is typed into its form."""

GRACE_S: Final = 20.0  # Prefect kills a canceled run after 30 seconds; tables are written after the grace time
_NOT_IN_NAMES: Final = "/%&<>"
_PATHS: Final = ("prompts", "template", "styles", "characters", "api_key_file", "budget_root")


@dataclass(frozen=True, slots=True)
class Specification:
    """A deployment. Without `cron` it has no schedule and runs on request only."""

    name: str
    settings: Mapping[str, Any]
    cron: str | None = None
    timezone: str = "UTC"

    @property
    def tags(self) -> list[str]:
        """The tags of the deployment and of its runs."""
        return [TAG, self.name]

    @property
    def description(self) -> str:
        """The text of the deployment's page."""
        prompts = Path(self.settings.get("prompts", "")).name
        return (
            f"Makes the images of {prompts}. Run it again to continue: nothing that arrived is paid for twice.\n\n"
            f"Folder: `{self.settings.get('out')}`"
        )


def specify(settings: Settings, *, template: str | None, cron: str | None, timezone: str) -> Specification:
    """Describe a deployment of these settings. Paths become absolute; what has its default is left out.

    Raises SettingsInvalid for a name that Prefect does not take.

    `template` is the output folder as it was given, with {name} and {date}.
    """
    name = settings.job_name
    if any(character in name for character in _NOT_IN_NAMES):
        raise SettingsInvalid(
            f"--name {name}: Prefect takes no {' '.join(_NOT_IN_NAMES)} in the name of a deployment"
        )
    values = settings.model_dump(mode="json", exclude_defaults=True)
    for setting in _PATHS:
        if values.get(setting):
            values[setting] = _absolute(values[setting])
    folder = f"{name}-rehearsal" if settings.provider == "simulator" else name
    values["out"] = _absolute_template(template or f"outputs/{_escaped(folder)}/{{date}}")
    values["name"] = name
    values["timezone"] = timezone
    values.pop("date", None)
    values["grace"] = min(settings.grace, GRACE_S)
    if "references" in values:
        values["references"] = [_absolute(each) for each in values["references"]]
    return Specification(name, values, cron, timezone)


def _absolute(path: str) -> str:
    return path if is_url(path) else os.path.abspath(path)  # noqa: PTH100 - links are kept as the user made them


def _absolute_template(out: str) -> str:
    """Make an output folder absolute. Braces in the name of the current folder are no fields."""
    here = _escaped(os.getcwd())  # noqa: PTH109 - a text and not a path
    return out if is_url(out) else os.path.normpath(os.path.join(here, out))  # noqa: PTH118


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
