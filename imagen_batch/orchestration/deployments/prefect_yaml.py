"""Writes a deployment as a `prefect.yaml`, for work pools and repositories of infrastructure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imagen_batch.errors import SettingsInvalid
from imagen_batch.orchestration.deployments.specification import ENTRYPOINT, Specification

_MARK = "# Written by imagen-batch deploy; the next one overwrites it.\n"


def write(spec: Specification, path: Path, *, work_pool: str | None) -> None:
    """Write the file. Raises SettingsInvalid for one that someone else wrote."""
    import yaml  # type: ignore[import-untyped]  # noqa: PLC0415 - comes with Prefect

    try:
        if path.exists() and not path.read_text(encoding="utf-8").startswith(_MARK):
            raise SettingsInvalid(f"{path} was not written by imagen-batch deploy: choose another name")
        path.write_text(_MARK + yaml.safe_dump(content(spec, work_pool=work_pool), sort_keys=False), encoding="utf-8")
    except OSError as error:
        raise SettingsInvalid(f"{path}: {error.strerror or error}") from error


def content(spec: Specification, *, work_pool: str | None) -> dict[str, Any]:
    """Return the content of the file."""
    schedules = [{"cron": spec.cron, "timezone": spec.timezone, "active": True}] if spec.cron else []
    return {
        "name": "imagen-batch",
        "pull": [],
        "deployments": [
            {
                "name": spec.name,
                "entrypoint": ENTRYPOINT,
                "description": spec.description,
                "tags": spec.tags,
                "parameters": {"settings": dict(spec.settings)},
                "schedules": schedules,
                "work_pool": {"name": work_pool or "imagen-batch"},
            }
        ],
    }
