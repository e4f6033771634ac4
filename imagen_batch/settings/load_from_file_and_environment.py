"""Combines typed settings with the environment (`IMAGEN_BATCH_*`) and `imagen-batch.toml`."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imagen_batch.errors import SettingsInvalid
from imagen_batch.prompts.sources import read_small
from imagen_batch.settings.fill_in_date_and_budget_root import with_budget_root, with_folder_of_date
from imagen_batch.settings.settings import WATCHING, Settings
from imagen_batch.settings.validate_values import make_settings

CONFIG_FILE = "imagen-batch.toml"
ENV_PREFIX = "IMAGEN_BATCH_"

_TABLES = ("parameters", "models", "shapes")


def load_settings(
    typed: Mapping[str, Any], *, env: Mapping[str, str], config: Path | None = None, cwd: Path = Path()
) -> Settings:
    """Return the settings of a run: `typed` over environment over file over defaults.

    `typed` has only the options that were typed. Tables (parameters, models) are merged key by key, at any depth.
    Raises SettingsInvalid, which names every wrong setting.
    """
    from_file, from_env = _from_file(config, cwd), _from_env(env)
    settings = make_settings(merge(merge(from_file, from_env), typed))
    if config is None and "base_url" in from_file and "base_url" not in {**from_env, **typed}:
        settings = settings.with_host_from(str(cwd / CONFIG_FILE))
    return with_budget_root(with_folder_of_date(settings), template=settings.out)


def load_out(typed: str | None, *, env: Mapping[str, str], config: Path | None = None) -> str | None:
    """Return the output folder as it was given, with {name} and {date}: typed, of environment or file."""
    given = typed or merge(_from_file(config, Path()), _from_env(env)).get("out")
    return None if given is None else str(given)


def load_watching(*, env: Mapping[str, str], cwd: Path = Path()) -> dict[str, Any]:
    """Return the settings about one start of a run that environment and file have, for a run that is continued."""
    chosen = {name: env[name] for name in (ENV_PREFIX + field.upper() for field in WATCHING) if name in env}
    values = merge(_from_file(None, cwd), _from_env(chosen))
    return {name: value for name, value in values.items() if name in WATCHING}


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two layers: a key of `above` overrides that of `below`, and a table in both is merged likewise."""
    both = {**below, **above}
    for name in below.keys() & above.keys():
        if isinstance(below[name], Mapping) and isinstance(above[name], Mapping):
            both[name] = merge(below[name], above[name])
    return both


def _from_file(config: Path | None, cwd: Path) -> dict[str, Any]:
    path = config or cwd / CONFIG_FILE
    if config is None and not path.exists():
        return {}
    try:
        values = tomllib.loads(read_small(path).decode())
    except OSError as error:
        raise SettingsInvalid(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SettingsInvalid(f"{path} is not UTF-8, the encoding of TOML (at byte {error.start})") from error
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError, a date of month 13 another
        raise SettingsInvalid(f"{path} is not TOML: {str(error)[:300]}") from error
    return {name.replace("-", "_"): value for name, value in values.items()}


def _from_env(env: Mapping[str, str]) -> dict[str, Any]:
    names = set(Settings.model_fields) - {"prompts"}
    variables = {name for name in env if name.startswith(ENV_PREFIX)}
    if unknown := sorted(variables - {ENV_PREFIX + name.upper() for name in names}):
        raise SettingsInvalid(f"unknown setting in the environment: {', '.join(unknown)}")
    values = {name: env.get(ENV_PREFIX + name.upper()) for name in names}
    return {name: _parse_table(name, value) if name in _TABLES else value for name, value in values.items() if value}


def _parse_table(name: str, value: str) -> object:
    """Parse a table from the environment, where it is a JSON object."""
    try:
        table = json.loads(value)
    except json.JSONDecodeError:
        table = None
    if not isinstance(table, dict):
        raise SettingsInvalid(f"{ENV_PREFIX}{name.upper()}: expected a JSON object")
    return table
