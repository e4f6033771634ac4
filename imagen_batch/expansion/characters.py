"""Reads characters: names in a cell or a template that stand for descriptions and reference images."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imagen_batch.errors import SettingsInvalid
from imagen_batch.expansion.look_up_style_or_character import find_name, split_names
from imagen_batch.expansion.sandbox import Expression
from imagen_batch.expansion.style_and_character_files import read_table
from imagen_batch.prompts.column_names import ALIASES
from imagen_batch.prompts.reference_cells import row_image

_ENDS_SENTENCE = re.compile(r"[.!?…。！？][\"'”’»)\]]*$")
_REFERENCES = (*ALIASES["references"], "reference")


@dataclass(frozen=True, slots=True)
class Character(Expression):
    """A character. In a template its text is the description."""

    name: str
    description: str
    references: tuple[str, ...] = ()  # paths, addresses, or @id of a row

    def __str__(self) -> str:
        """Return the text for a template."""
        return self.description


@dataclass(frozen=True, slots=True)
class CharacterList(Expression):
    """The characters of a row. In a template its text describes all of them, in sentences."""

    members: tuple[Character, ...]

    def __str__(self) -> str:
        """Return the text for a template."""
        return " ".join(_as_sentence(f"{each.name}: {each.description}") for each in self.members)

    def __iter__(self) -> Iterator[Character]:
        """Yield the characters in the order of the cell."""
        return iter(self.members)

    def __len__(self) -> int:
        """Return the number of characters."""
        return len(self.members)


@dataclass(frozen=True, slots=True)
class Characters:
    """The characters of a file, by name."""

    table: Mapping[str, Character]
    file: str

    def find(self, name: str) -> Character:
        """Return the character with this name. Raises UnknownName, which suggests the nearest name."""
        return self.table[find_name(name, self.table, kind="character", file=self.file)]

    def find_all(self, cell: str) -> CharacterList:
        """Return the characters that a cell names. Raises UnknownName."""
        return CharacterList(tuple(map(self.find, split_names(cell))))


@dataclass(slots=True)
class CharacterAccess:
    """The variable `char` of a template: `char.Mole`, `char["Water Rat"]`. Records which characters are used."""

    _characters: Characters
    used: list[Character] = field(default_factory=list)

    def __getitem__(self, name: str) -> Character:
        """Return the character with this name. Raises UnknownName."""
        character = self._characters.find(str(name))
        self.used.append(character)
        return character


def add_descriptions(prompt: str, cast: CharacterList) -> str:
    """Return a prompt followed by the descriptions of its characters."""
    return f"{_as_sentence(prompt)} {cast}" if cast.members else prompt


def load_characters(path: Path) -> Characters:
    """Read a file of characters. Raises SettingsInvalid. Paths of references are relative to the file."""
    table = {}
    for name, entry in read_table(path, option="--characters", text="description").items():
        description = entry.get("description", "")
        if not isinstance(description, str):
            raise SettingsInvalid(f"--characters {path}: {name!r}: the description must be text")
        table[name] = Character(name, " ".join(description.split()), _references(name, entry, path))
    return Characters(table, path.name)


def _references(name: str, entry: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    value = next((entry[key] for key in _REFERENCES if entry.get(key)), ())
    references: Sequence[Any] = split_names(value) if isinstance(value, str) else value
    if not isinstance(references, list | tuple) or not all(isinstance(each, str) for each in references):
        raise SettingsInvalid(f"--characters {path}: {name!r}: references must be a list of strings")
    for each in references:
        try:
            row_image(each)
        except ValueError as error:
            raise SettingsInvalid(f"--characters {path}: {name!r}: {error}") from None
    return tuple(_resolve_path(each, path.parent) for each in references)


def _resolve_path(reference: str, folder: Path) -> str:
    if reference.startswith("@") or "://" in reference:
        return reference
    return os.path.abspath(folder / reference)  # noqa: PTH100 - links are kept as the user made them


def _as_sentence(text: str) -> str:
    return text if _ENDS_SENTENCE.search(text) else f"{text}."
