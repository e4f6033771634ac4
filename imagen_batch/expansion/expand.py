"""Applies template, style presets and characters to each row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from imagen_batch.expansion.characters import (
    Cast,
    CharacterAccess,
    Characters,
    add_descriptions,
    load_characters,
)
from imagen_batch.expansion.matrix import Matrix, read_matrix
from imagen_batch.expansion.names import UnknownName
from imagen_batch.expansion.styles import Style, Styles, load_styles
from imagen_batch.expansion.tables import read_text
from imagen_batch.expansion.template import PromptTemplate, RenderFailed, compile_template
from imagen_batch.prompts import PromptFile
from imagen_batch.prompts.column_names import fold
from imagen_batch.records import Problem, PromptRow

_CHARACTERS = "characters"
_ALWAYS = ("prompt", "id", "style", "row", "columns")
_OF_TABLES = (_CHARACTERS, "char")


@dataclass(frozen=True, eq=False)
class Expansion:
    """What changes the rows of a file before they are planned. None of it is there unless the user gives it."""

    template: PromptTemplate | None = None
    styles: Styles | None = None
    characters: Characters | None = None
    matrix: Matrix | None = None

    @property
    def matrix_options(self) -> tuple[str, ...]:
        """The axes of the matrix as options that need no files."""
        return tuple(axis.text() for axis in self.matrix.axes) if self.matrix else ()

    def apply_to(self, file: PromptFile) -> PromptFile:
        """Return the file with expanded rows. Raises SettingsInvalid for a template that does not fit its columns."""
        if self.matrix:
            file = self.matrix.apply_to(file)
        if not (self.template or self.styles or self.characters):
            return file
        variants = file.expand or iter
        columns = _Columns.of(file)
        if self.template:
            self.template.check_variables((*_ALWAYS, *columns.names, *(_OF_TABLES if self.characters else ())))
        warnings = (*file.warnings, *self._warnings(file, columns))
        return replace(
            file,
            warnings=warnings,
            expand=lambda rows: self.rows(variants(rows), columns),
        )

    def rows(self, rows: Iterator[PromptRow | Problem], columns: _Columns) -> Iterator[PromptRow | Problem]:
        """Yield each row expanded, or the problem that prevents it."""
        for row in rows:
            yield row if isinstance(row, Problem) else self._expand(row, columns)

    def stored_files(self) -> dict[str, tuple[str, bytes]]:
        """Return what a run stores: setting -> name and content. The names depend on the content."""
        files = {}
        if self.template:
            files["template"] = _stored("template", ".txt", self.template.source.encode())
        if self.styles:
            presets = {
                name: {"prompt": style.prompt, "negative_prompt": style.negative_prompt}
                for name, style in self.styles.presets.items()
            }
            files["styles"] = _stored("styles", ".json", orjson.dumps(presets))
        if self.characters:
            table = {
                name: {"description": each.description, "references": each.references}
                for name, each in self.characters.table.items()
            }
            files["characters"] = _stored("characters", ".json", orjson.dumps(table))
        return files

    def _warnings(self, file: PromptFile, columns: _Columns) -> Iterator[str]:
        uses = self.template.variables if self.template else frozenset()
        if self.styles and "style" not in file.roles and not uses & {"style"}:
            yield "--styles has no effect: the prompt file has no column 'style'"
        if self.characters and columns.characters is None and not uses & {"char"}:
            yield "--characters has no effect: the prompt file has no column 'characters'"

    def _expand(self, row: PromptRow, columns: _Columns) -> PromptRow | Problem:
        try:
            return self._expanded(row, columns)
        except UnknownName as error:
            column = "style" if error.name == row.style else columns.characters or "characters"
            return Problem(row.line, column, error.name, str(error))
        except RenderFailed as error:
            name = self.template.name if self.template else None
            cause = error.__cause__
            found = cause.name if isinstance(cause, UnknownName) else name
            return Problem(row.line, "template", found, str(error))

    def _expanded(self, row: PromptRow, columns: _Columns) -> PromptRow:
        style = self.styles.find(row.style) if self.styles and row.style else None
        cast = Cast(())
        if self.characters and columns.characters is not None:
            cast = self.characters.cast(row.cells.get(columns.characters, ""))
        access = CharacterAccess(self.characters) if self.characters else None
        text, uses = row.prompt, frozenset[str]()
        if self.template:
            uses = self.template.variables
            text = self.template.render(columns.variables(row, style, cast=cast, access=access))
            if not text:
                raise RenderFailed("it makes an empty prompt for this row")
            if "\0" in text:
                raise RenderFailed("it makes a prompt with a null character")
        if not uses & set(_OF_TABLES):
            text = add_descriptions(text, cast)
        row = _with_style(row, text, style, in_template="style" in uses)
        used = [*cast.members, *(access.used if access else ())]
        return _with_references(row, [each for member in used for each in member.references])


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns of a file as a template's variables."""

    names: Mapping[str, str]  # variable -> header
    characters: str | None  # header of the column of characters

    @classmethod
    def of(cls, file: PromptFile) -> _Columns:
        roles = {role: header for role, header in file.roles.items() if role != "prompt"}
        headers = {header: header for header in file.columns if header.isidentifier()}
        folded = {fold(header): header for header in reversed(file.columns) if fold(header).isidentifier()}
        names = {**folded, **headers, **roles}
        characters = next((header for header in file.columns if fold(header) == _CHARACTERS), None)
        return cls({name: header for name, header in names.items() if name != "columns"}, characters)

    def variables(
        self, row: PromptRow, style: Style | None, *, cast: Cast, access: CharacterAccess | None
    ) -> dict[str, Any]:
        """Return what a template may use for this row. Cells are texts, as in the file."""
        cells = row.cells
        values: dict[str, Any] = {name: cells.get(header, "") for name, header in self.names.items()}
        values |= {"prompt": row.prompt, "id": row.id or "", "row": row.row, "columns": dict(cells)}
        values["style"] = style or row.style or ""
        if access is not None:
            values |= {_CHARACTERS: cast, "char": access}
        return values


def load_expansion(
    *, template: str | None, styles: str | None, characters: str | None, matrix: Sequence[str] = ()
) -> Expansion:
    """Read the files with these names. Raises SettingsInvalid."""
    return Expansion(
        template=_load_template(Path(template)) if template else None,
        styles=load_styles(Path(styles)) if styles else None,
        characters=load_characters(Path(characters)) if characters else None,
        matrix=read_matrix(matrix),
    )


def _load_template(path: Path) -> PromptTemplate:
    return compile_template(read_text(path, option="--template"), name=path.name)


def _stored(name: str, suffix: str, content: bytes) -> tuple[str, bytes]:
    return f"{name}-{sha256(content).hexdigest()[:16]}{suffix}", content


def _with_style(row: PromptRow, text: str, style: Style | None, *, in_template: bool) -> PromptRow:
    """Return the row with its new text. A style without a place for the prompt is appended later, as always."""
    added = row.style if style is None else str(style)
    if in_template:
        added = None
    elif style is not None and style.surrounds:
        text, added = style.around(text), None
    options = row.options
    if style is not None and style.negative_prompt:
        negative = ", ".join(filter(None, [options.negative_prompt, style.negative_prompt]))
        options = replace(options, negative_prompt=negative)
    changed = text != row.prompt or added != row.style
    own = (row.input_prompt or row.prompt) if changed else row.input_prompt
    return replace(row, prompt=text, style=added or None, options=options, input_prompt=own)


def _with_references(row: PromptRow, references: Sequence[str]) -> PromptRow:
    """Return the row with the references of its characters behind its own, each once.

    The cells stay the user's own, because a stored input is expanded again.
    """
    added = [each for each in dict.fromkeys(references) if each not in row.references]
    return replace(row, references=(*row.references, *added), of_characters=len(added)) if added else row
