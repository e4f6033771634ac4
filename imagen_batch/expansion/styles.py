"""Style presets: named texts that are added to prompts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from imagen_batch.errors import SettingsInvalid
from imagen_batch.expansion.look_up_style_or_character import find_name
from imagen_batch.expansion.sandbox import Expression
from imagen_batch.expansion.style_and_character_files import read_table

_PLACEHOLDER = "{prompt}"
_EMPTY_PARTS = re.compile(r"\s*,(?:\s*,)+")


@dataclass(frozen=True, slots=True)
class Style(Expression):
    """A preset. In a template its text is `prompt` without the placeholder for the row's own prompt."""

    name: str
    prompt: str
    negative_prompt: str = ""

    def __str__(self) -> str:
        """Return the text for a template."""
        return _EMPTY_PARTS.sub(",", self.prompt.replace(_PLACEHOLDER, "")).strip(" ,\n")

    @property
    def has_placeholder(self) -> bool:
        """Whether the preset contains `{prompt}`, which the row's own prompt replaces."""
        return _PLACEHOLDER in self.prompt

    def surround(self, prompt: str) -> str:
        """Return the preset with a prompt instead of the placeholder."""
        return self.prompt.replace(_PLACEHOLDER, prompt)


@dataclass(frozen=True, slots=True)
class Styles:
    """The presets of a file, by name."""

    presets: Mapping[str, Style]
    file: str

    def find(self, name: str) -> Style:
        """Return the preset with this name. Raises UnknownName, which suggests the nearest name."""
        return self.presets[find_name(name, self.presets, kind="style", file=self.file)]


def load_styles(path: Path) -> Styles:
    """Read a file of presets. Raises SettingsInvalid."""
    presets = {}
    for name, entry in read_table(path, option="--styles", text="prompt").items():
        texts = {member: entry.get(member) or "" for member in ("prompt", "negative_prompt")}
        texts["prompt"] = texts["prompt"] or entry.get("text") or ""  # an old header of A1111
        if not all(isinstance(text, str) for text in texts.values()):
            raise SettingsInvalid(f"--styles {path}: {name!r}: prompt and negative_prompt must be text")
        presets[name] = Style(name, texts["prompt"].strip(), texts["negative_prompt"].strip())
    return Styles(presets, path.name)
