"""Writes the options of the command line in a message as the arguments of the Python functions.

Messages name options ("--max-cost 5 is spent"), and a caller of `imagen_batch.run` types `max_cost=5`. Commands to
paste into a shell ("imagen-batch audit DIR --repair") stay as they are.
"""

from __future__ import annotations

import re
from typing import Final

from imagen_batch.settings.settings import Settings

_ARGUMENTS: Final = frozenset(Settings.model_fields) | {"where", "approved"}
_OTHER_NAMES: Final = {
    "add": 'other_input="add"',
    "replace": 'other_input="replace"',
    "no_gallery": "gallery=False",
    "parameter": "parameters",
    "reference": "references",
    "redo": "redo=True",
    "join_extra": "join_extra=True",
}
_WITH_CHOICE: Final = frozenset({"format", "retry", "on_unknown", "provider", "runner"})
_COMMAND: Final = re.compile(r"(imagen-batch [a-z]+ [^\n]*)")
_OPTION: Final = re.compile(r"(?<![\w-])--([a-z]+(?:-[a-z]+)*)(?: ([a-z]+)(?![\w-]))?")


def name_arguments(message: str) -> str:
    """Return the message with `max_cost` for `--max-cost`, and with `retry="missing"` for `--retry missing`."""
    parts = _COMMAND.split(message)
    return "".join(part if index % 2 else _OPTION.sub(_argument, part) for index, part in enumerate(parts))


def _argument(option: re.Match[str]) -> str:
    name, word = option[1].replace("-", "_"), option[2]
    if name in _WITH_CHOICE and word is not None:
        return f'{name}="{word}"'
    if (argument := _OTHER_NAMES.get(name, name if name in _ARGUMENTS else None)) is None:
        return option[0]
    return argument if word is None else f"{argument} {word}"
