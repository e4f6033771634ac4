"""Reads the template, style presets, characters and matrix of a run, and applies them to its prompt file.

A run without them imports nothing of what applies them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from imagen_batch.expansion.characters import Characters
    from imagen_batch.expansion.matrix import Matrix
    from imagen_batch.expansion.styles import Styles
    from imagen_batch.expansion.template import PromptTemplate
    from imagen_batch.prompts import PromptFile


@dataclass(frozen=True, eq=False)
class Expansion:
    """The template, styles, characters and matrix that change the rows of a file before they are planned.

    Each is None unless the user gives it.
    """

    template: PromptTemplate | None = None
    styles: Styles | None = None
    characters: Characters | None = None
    matrix: Matrix | None = None

    @property
    def matrix_options(self) -> tuple[str, ...]:
        """The axes of the matrix as options that need no files."""
        return tuple(axis.as_option() for axis in self.matrix.axes) if self.matrix else ()

    def apply_to(self, file: PromptFile) -> PromptFile:
        """Return the file with expanded rows. Raises SettingsInvalid for a template that does not fit its columns."""
        if self.matrix:
            file = self.matrix.apply_to(file)
        if not (self.template or self.styles or self.characters):
            return file
        from imagen_batch.expansion.expand_rows import expand_rows  # noqa: PLC0415 - imports Jinja

        return expand_rows(file, template=self.template, styles=self.styles, characters=self.characters)

    def stored_files(self) -> dict[str, tuple[str, bytes]]:
        """Return what a run stores: setting -> name and content. The names depend on the content."""
        files = {}
        if self.template:
            files["template"] = _name_by_content("template", ".txt", self.template.source.encode())
        if self.styles:
            presets = {
                name: {"prompt": style.prompt, "negative_prompt": style.negative_prompt}
                for name, style in self.styles.presets.items()
            }
            files["styles"] = _name_by_content("styles", ".json", orjson.dumps(presets))
        if self.characters:
            table = {
                name: {"description": each.description, "references": each.references}
                for name, each in self.characters.table.items()
            }
            files["characters"] = _name_by_content("characters", ".json", orjson.dumps(table))
        return files


def load_expansion(
    *, template: str | None, styles: str | None, characters: str | None, matrix: Sequence[str] = ()
) -> Expansion:
    """Read the files with these names. Raises SettingsInvalid."""
    return Expansion(
        template=_load_template(Path(template)) if template else None,
        styles=_load_styles(Path(styles)) if styles else None,
        characters=_load_characters(Path(characters)) if characters else None,
        matrix=_read_matrix(matrix) if matrix else None,
    )


def _load_template(path: Path) -> PromptTemplate:
    from imagen_batch.expansion.style_and_character_files import read_text  # noqa: PLC0415
    from imagen_batch.expansion.template import compile_template  # noqa: PLC0415 - imports Jinja

    return compile_template(read_text(path, option="--template"), name=path.name)


def _load_styles(path: Path) -> Styles:
    from imagen_batch.expansion.styles import load_styles  # noqa: PLC0415 - imports Jinja

    return load_styles(path)


def _load_characters(path: Path) -> Characters:
    from imagen_batch.expansion.characters import load_characters  # noqa: PLC0415 - imports Jinja

    return load_characters(path)


def _read_matrix(options: Sequence[str]) -> Matrix | None:
    from imagen_batch.expansion.matrix import read_matrix  # noqa: PLC0415 - only few runs have one

    return read_matrix(options)


def _name_by_content(name: str, suffix: str, content: bytes) -> tuple[str, bytes]:
    return f"{name}-{sha256(content).hexdigest()[:16]}{suffix}", content
