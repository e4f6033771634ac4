"""Makes settings from plain values, or reports every wrong one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from imagen_batch.errors import SettingsInvalid
from imagen_batch.settings.service_parameters import Parameters
from imagen_batch.settings.settings import Settings
from imagen_batch.text import did_you_mean, is_unicode

_SECRET = ("notify", "heartbeat")


def make_settings(values: Mapping[str, Any]) -> Settings:
    """Return settings from plain values. Raises SettingsInvalid, which names every wrong setting."""
    for name, value in values.items():
        if name not in _SECRET:
            _check_text(name, value)
    try:
        return Settings.model_validate(dict(values))
    except ValidationError as error:
        raise SettingsInvalid("\n".join(_format_error(details) for details in error.errors())) from None


def _check_text(name: str, value: object) -> None:
    texts = [item for item in (value if isinstance(value, tuple | list) else [value]) if isinstance(item, str)]
    if not all(map(is_unicode, texts)):
        raise SettingsInvalid(f"{name} = {value!r} contains bytes that are not UTF-8")
    if isinstance(value, str) and "\0" in value:
        raise SettingsInvalid(f"{name} = {value!r} contains a null character")


def _format_error(error: Any) -> str:
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        known = Parameters if name.startswith("parameters.") else Settings
        hint = did_you_mean(name.rpartition(".")[2], known.model_fields)
        return f"unknown setting {name!r}{hint or '.'} Known: {', '.join(sorted(known.model_fields))}"
    message = error["msg"].removeprefix("Value error, ")
    if name.partition(".")[0] in _SECRET:
        return f"{name.partition('.')[0]}: {message.lower()}; its value is not shown"
    return f"{name} = {error['input']!r}: {message.lower()}" if name else message
