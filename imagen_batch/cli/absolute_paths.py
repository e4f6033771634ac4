"""Makes paths on a command line absolute, so that the command can be repeated in any current folder."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from contextlib import suppress

_PATH_ARGUMENTS = (
    "prompts",
    "out",
    "config",
    "api_key_file",
    "folder",
    "template",
    "styles",
    "characters",
    "budget_root",
    "notify_file",
    "metrics",
)
_SECRET_OPTIONS = ("--notify", "--heartbeat")


def with_absolute_paths(argv: Sequence[str], parsed: argparse.Namespace) -> list[str]:
    """Return the arguments with absolute paths."""
    paths = {str(value) for name in _PATH_ARGUMENTS if (value := getattr(parsed, name, None))}
    return [_with_absolute_path(word, paths) for word in argv]


def without_addresses(argv: Sequence[str]) -> list[str]:
    """Leave out the options with an address that holds a secret: the rest is stored with the run."""
    kept: list[str] = []
    skip = False
    for word in argv:
        if skip:
            skip = False
        elif word in _SECRET_OPTIONS:
            skip = True
        elif word.partition("=")[0] not in _SECRET_OPTIONS:
            kept.append(word)
    return kept


def _with_absolute_path(word: str, paths: set[str]) -> str:
    option, equals, value = word.partition("=")
    if word.startswith("--") and equals and value in paths:
        return f"{option}={_with_absolute_path(value, paths)}"
    local = word in paths and word != "-" and "://" not in word
    with suppress(OSError):  # the current folder is gone
        return os.path.abspath(word) if local else word  # noqa: PTH100 - links are kept as the user made them
    return word
