"""Applies template, style presets and characters to each row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from imagen_batch.expansion.characters import CharacterAccess, CharacterList, Characters, add_descriptions
from imagen_batch.expansion.look_up_style_or_character import UnknownName, split_names
from imagen_batch.expansion.styles import Style, Styles
from imagen_batch.expansion.template import PromptTemplate, RenderFailed
from imagen_batch.prompts import PromptFile
from imagen_batch.prompts.column_names import fold
from imagen_batch.records import Problem, PromptRow

_CHARACTERS = "characters"
_ROW_VARIABLES = ("prompt", "id", "style", "row", "columns")
_CHARACTER_VARIABLES = (_CHARACTERS, "char")


def expand_rows(
    file: PromptFile, *, template: PromptTemplate | None, styles: Styles | None, characters: Characters | None
) -> PromptFile:
    """Return the file with expanded rows. Raises SettingsInvalid for a template that does not fit its columns."""
    columns = _Columns.of(file)
    if template:
        of_characters = _CHARACTER_VARIABLES if characters else ()
        template.check_variables((*_ROW_VARIABLES, *columns.names, *of_characters))
    rows = _RowExpansion(template, styles, characters, columns)
    expand_before = file.expand or iter
    return replace(
        file,
        warnings=(*file.warnings, *rows.warnings(file)),
        expand=lambda unexpanded: rows.expand(expand_before(unexpanded)),
    )


@dataclass(frozen=True, eq=False)
class _RowExpansion:
    """What is applied to the rows of one file."""

    template: PromptTemplate | None
    styles: Styles | None
    characters: Characters | None
    columns: _Columns

    def expand(self, rows: Iterator[PromptRow | Problem]) -> Iterator[PromptRow | Problem]:
        """Yield each row expanded, or the problems that prevent it."""
        for row in rows:
            if isinstance(row, Problem):
                yield row
            else:
                yield from self._expand(row)

    def warnings(self, file: PromptFile) -> Iterator[str]:
        """Yield a warning for each file that has no effect."""
        used = self.template.variables if self.template else frozenset()
        if self.styles and "style" not in file.roles and "style" not in used:
            yield "--styles has no effect: the prompt file has no column 'style'"
        if self.characters and self.columns.characters is None and "char" not in used:
            yield "--characters has no effect: the prompt file has no column 'characters'"

    def _expand(self, row: PromptRow) -> Iterator[PromptRow | Problem]:
        if problems := list(self._unknown_names(row)):
            yield from problems
            return
        try:
            yield self._expand_row(row)
        except RenderFailed as error:
            name = self.template.name if self.template else None
            cause = error.__cause__
            value = cause.name if isinstance(cause, UnknownName) else name
            yield Problem(row.line, "template", value, str(error))

    def _unknown_names(self, row: PromptRow) -> Iterator[Problem]:
        """Yield a problem for each style and character of the row that the files do not have."""
        names: list[tuple[str, str, Callable[[str], object]]] = []
        if self.styles and row.style:
            names.append(("style", row.style, self.styles.find))
        if self.characters and self.columns.characters is not None:
            cell = row.cells.get(self.columns.characters, "")
            names += [(self.columns.characters, name, self.characters.find) for name in split_names(cell)]
        for column, name, find in names:
            try:
                find(name)
            except UnknownName as error:
                yield Problem(row.line, column, error.name, str(error))

    def _expand_row(self, row: PromptRow) -> PromptRow:
        style = self.styles.find(row.style) if self.styles and row.style else None
        cast = CharacterList(())
        if self.characters and self.columns.characters is not None:
            cast = self.characters.find_all(row.cells.get(self.columns.characters, ""))
        access = CharacterAccess(self.characters) if self.characters else None
        text, used = row.prompt, frozenset[str]()
        if self.template:
            used = self.template.variables
            text = _render_prompt(self.template, self.columns.variables(row, style, cast=cast, access=access))
        if not used & set(_CHARACTER_VARIABLES):
            text = add_descriptions(text, cast)
        row = _with_style(row, text, style, in_template="style" in used)
        members = [*cast.members, *(access.used if access else ())]
        return _with_references(row, [each for member in members for each in member.references])


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
        self, row: PromptRow, style: Style | None, *, cast: CharacterList, access: CharacterAccess | None
    ) -> dict[str, Any]:
        """Return the variables of a template for this row. Cells are text, as in the file."""
        cells = row.cells
        values: dict[str, Any] = {name: cells.get(header, "") for name, header in self.names.items()}
        values |= {"prompt": row.prompt, "id": row.id or "", "row": row.row, "columns": dict(cells)}
        values["style"] = style or row.style or ""
        if access is not None:
            values |= {_CHARACTERS: cast, "char": access}
        return values


def _render_prompt(template: PromptTemplate, variables: Mapping[str, Any]) -> str:
    text = template.render(variables)
    if not text:
        raise RenderFailed("it makes an empty prompt for this row")
    if "\0" in text:
        raise RenderFailed("it makes a prompt with a null character")
    return text


def _with_style(row: PromptRow, text: str, style: Style | None, *, in_template: bool) -> PromptRow:
    """Return the row with its new text. A style without a placeholder for the prompt is appended later, as always."""
    appended = row.style if style is None else str(style)
    if in_template:
        appended = None
    elif style is not None and style.has_placeholder:
        text, appended = style.surround(text), None
    options = row.options
    if style is not None and style.negative_prompt:
        negative = ", ".join(filter(None, [options.negative_prompt, style.negative_prompt]))
        options = replace(options, negative_prompt=negative)
    changed = text != row.prompt or appended != row.style
    input_prompt = (row.input_prompt or row.prompt) if changed else row.input_prompt
    return replace(row, prompt=text, style=appended or None, options=options, input_prompt=input_prompt)


def _with_references(row: PromptRow, references: Sequence[str]) -> PromptRow:
    """Return the row with the references of its characters after its own, each once.

    The cells stay as the user wrote them, because a stored input is expanded again.
    """
    added = [each for each in dict.fromkeys(references) if each not in row.references]
    return replace(row, references=(*row.references, *added), of_characters=len(added)) if added else row
