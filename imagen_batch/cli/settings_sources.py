"""Combines the settings that were typed with the environment and the settings file."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from imagen_batch.errors import SettingsInvalid

if TYPE_CHECKING:
    from imagen_batch.settings import Settings

_NO_PLUGINS = "PYDANTIC_DISABLE_PLUGINS"
NOT_SETTINGS = {
    "command",
    "argv",
    "api_key",
    "config",
    "yes",
    "as_json",
    "progress",
    "quiet",
    "verbose",
    "parameter",
}
"""Arguments of commands that are not settings of the run."""


def settings_from(args: Namespace) -> Settings:
    """Combine what was typed with the environment and the settings file."""
    with _without_pydantic_plugins():
        from imagen_batch.settings import load_settings  # noqa: PLC0415

    typed: dict[str, Any] = {name: value for name, value in vars(args).items() if name not in NOT_SETTINGS}
    if "parameter" in args:
        typed["parameters"] = _parse_parameters(args.parameter)
    typed = with_upgrade(typed)
    return load_settings(typed, env=os.environ, config=args.config)


def out_template_from(args: Namespace) -> str | None:
    """The output folder as it was typed or as environment or settings file have it, with {name} and {date}."""
    from imagen_batch.settings import load_out  # noqa: PLC0415

    return load_out(getattr(args, "out", None), env=os.environ, config=args.config)


def with_upgrade(typed: dict[str, Any]) -> dict[str, Any]:
    """With --upgrade, move --image-size to the size of the new versions; the rows keep theirs."""
    if "upgrade" not in typed:
        return typed
    size = typed.pop("image_size", None)
    if size is None:
        raise SettingsInvalid("--upgrade approved needs the larger size: add --image-size 2K or 4K")
    return {**typed, "upgrade": size}


@contextmanager
def _without_pydantic_plugins(env: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """Keep pydantic from reading the metadata of every installed package, which takes longer than our model."""
    if _NO_PLUGINS in env:
        yield
        return
    env[_NO_PLUGINS] = "__all__"
    try:
        yield
    finally:
        del env[_NO_PLUGINS]


def _parse_parameters(pairs: Sequence[str]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise SettingsInvalid(f"--parameter {pair!r}: expected NAME=VALUE")
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}
