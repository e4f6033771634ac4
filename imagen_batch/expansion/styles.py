"""Style presets: named texts that are added to prompts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from imagen_batch.errors import SettingsInvalid
from imagen_batch.expansion.names import find_name
from imagen_batch.expansion.sandbox import Expression
from imagen_batch.expansion.tables import read_table

_PLACE = "{prompt}"
_EMPTY_PARTS = re.compile(r"\s*,(?:\s*,)+")


@dataclass(frozen=True, slots=True)
class Style(Expression):
    """A preset. In a template its text is `prompt` without the place of the row's own prompt."""

    name: str
    prompt: str
    negative_prompt: str = ""

    def __str__(self) -> str:
        """Return the text for a template."""
        return _EMPTY_PARTS.sub(",", self.prompt.replace(_PLACE, "")).strip(" ,\n")

    @property
    def surrounds(self) -> bool:
        """Whether the preset says where the prompt stands in it."""
        return _PLACE in self.prompt

    def around(self, prompt: str) -> str:
        """Return the preset with a prompt in its place."""
        return self.prompt.replace(_PLACE, prompt)


@dataclass(frozen=True, slots=True)
class Styles:
    """The presets of a file, by name."""

    presets: Mapping[str, Style]
    file: str

    def find(self, name: str) -> Style:
        """Return a preset. Raises UnknownName, with the nearest one."""
        return self.presets[find_name(name, self.presets, kind="style", file=self.file)]


def load_styles(path: Path) -> Styles:
    """Read a file of presets. Raises SettingsInvalid."""
    presets = {}
    for name, entry in read_table(path, option="--styles", text="prompt").items():
        texts = {member: entry.get(member) or "" for member in ("prompt", "negative_prompt")}
        texts["prompt"] = texts["prompt"] or entry.get("text") or ""  # an old header of A1111
        if not all(isinstance(text, str) for text in texts.values()):
            raise SettingsInvalid(f"--styles {path}: {name!r}: prompt and negative_prompt are texts")
        presets[name] = Style(name, texts["prompt"].strip(), texts["negative_prompt"].strip())
    return Styles(presets, path.name)
