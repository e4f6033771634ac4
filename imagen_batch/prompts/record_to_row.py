"""Turns a record into a typed prompt row, or reports every problem in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from typing import Any

from imagen_batch.prompts import cells
from imagen_batch.prompts.column_names import SHAPE_COLUMN, fold
from imagen_batch.prompts.column_roles import Columns
from imagen_batch.prompts.formats.delimited import Record
from imagen_batch.prompts.formats.record_width import RecordWidth
from imagen_batch.prompts.reference_cells import references
from imagen_batch.records import Options, Problem, PromptRow

Parser = Callable[[str], Any]

_ROW_PARSERS: dict[str, Parser] = {
    "id": str,
    "filename": str,
    "model": str,
    "style": str,
    "references": references,
    "samples": cells.samples,
}
_OPTION_PARSERS: dict[str, Parser] = {
    "aspect_ratio": cells.aspect_ratio,
    "image_size": cells.image_size,
    "person_generation": cells.person_generation,
    "negative_prompt": str,
    "seed": cells.seed,
}
_options = lru_cache(maxsize=1024)(Options)  # most rows of a file have the same options
_MAX_KNOWN = 1024
_SHOWN = 80  # characters of a cell
_SPREADSHEET_ERROR = (
    "a spreadsheet took the prompt for a formula and saved its error; "
    "put the text back, in a column that is formatted as text"
)


@dataclass(frozen=True, slots=True)
class CellParser:
    """One column with a role, and the parser of its cells."""

    role: str
    position: int
    column: str
    parse: Parser


@dataclass(frozen=True, slots=True)
class RowReader:
    """Reads records into rows. Everything that is the same for all rows is prepared here."""

    columns: Columns
    width: RecordWidth | None  # None for formats whose records always fit
    prompt: int  # position
    kept: tuple[tuple[str, int], ...]
    own: tuple[tuple[str, int], ...]
    row_cells: tuple[CellParser, ...]
    option_cells: tuple[CellParser, ...]
    shape: int | None  # position
    option_texts: Callable[[Sequence[str]], str | tuple[str, ...]] | None  # returns those cells of a record
    known_options: dict[str | tuple[str, ...], Options] = field(default_factory=dict, repr=False, compare=False)

    def read_all(self, records: Iterable[Record | Problem], *, before: int = 0) -> Iterator[PromptRow | Problem]:
        """Yield the row in each record, or its problems; `before` is the number of rows above them."""
        number, read = before, self.read
        for record in records:
            if isinstance(record, Problem):
                yield record
                continue
            number += 1
            row = read(number, record)
            if isinstance(row, PromptRow):
                yield row
            else:
                yield from row

    def read(self, number: int, record: Record) -> PromptRow | list[Problem]:
        """Return the row in `record`, the file's `number`th, or all of its problems."""
        texts = record.cells
        if self.width and len(texts) != len(self.columns.names):
            fitted = self.width.fit(record)
            if isinstance(fitted, Problem):
                return [fitted]
            texts = fitted
        problems: list[Problem] = []
        if "\0" in "".join(texts):
            problems += self._null_problems(record.line, texts)
        prompt = texts[self.prompt].strip()
        if not prompt:
            problems.append(Problem(record.line, self.columns.names[self.prompt], "", "empty prompt"))
        elif self.columns.failures and cells.is_spreadsheet_error(prompt):
            problems.append(Problem(record.line, self.columns.names[self.prompt], prompt, _SPREADSHEET_ERROR))
        values = _values(self.row_cells, texts, line=record.line, problems=problems) if self.row_cells else {}
        options = self._read_options(texts, record.line, problems)
        if problems:
            return problems
        return PromptRow(
            row=number,
            line=record.line,
            prompt=prompt,
            options=options,
            cells={name: texts[position] for name, position in self.kept},
            user={name: texts[position] for name, position in self.own},
            shape=None if self.shape is None else texts[self.shape].strip() or None,
            mark=None if self.columns.mark is None else texts[self.columns.mark].strip(),
            **values,
        )

    def id_of(self, record: Record) -> str | None:
        """Return the id in a record, empty if there is none; None if its cells do not fit the columns."""
        position = self.columns.roles.get("id")
        if position is None:
            return ""
        fits = self.width is None or len(record.cells) == len(self.columns.names)
        return record.cells[position].strip() if fits else None

    def _read_options(self, texts: Sequence[str], line: int, problems: list[Problem]) -> Options:
        """Return the options in a record: the same object for all records whose cells are the same."""
        written = self.option_texts(texts) if self.option_texts else ()
        options = self.known_options.get(written)
        if options is None:
            found = len(problems)
            options = _options(**_values(self.option_cells, texts, line=line, problems=problems))
            if len(self.known_options) >= _MAX_KNOWN:
                self.known_options.clear()
            if len(problems) == found:
                self.known_options[written] = options
        return options

    def _null_problems(self, line: int, texts: Sequence[str]) -> Iterable[Problem]:
        for name, position in self.kept:
            if "\0" in texts[position]:
                yield Problem(line, name, None, "contains a NUL byte, which is not text: is the file damaged?")


def row_reader(columns: Columns, *, width: RecordWidth | None) -> RowReader:
    """Return a reader for the rows below a header."""
    option_cells = tuple(_cell_parsers(columns, _OPTION_PARSERS))
    return RowReader(
        columns=columns,
        width=width,
        prompt=columns.roles["prompt"],
        kept=tuple((columns.names[position], position) for position in columns.kept),
        own=tuple((columns.names[position], position) for position in columns.own),
        row_cells=tuple(_cell_parsers(columns, _ROW_PARSERS)),
        option_cells=option_cells,
        option_texts=itemgetter(*(cell.position for cell in option_cells)) if option_cells else None,
        shape=next((position for position in columns.own if fold(columns.names[position]) == SHAPE_COLUMN), None),
    )


def parse_role(role: str, text: str) -> Any:
    """Return the value of a cell's text in a column with this role. Raises ValueError, which says what is allowed."""
    return {**_ROW_PARSERS, **_OPTION_PARSERS}[role](text)


def _cell_parsers(columns: Columns, parsers: dict[str, Parser]) -> Iterable[CellParser]:
    for role, parse in parsers.items():
        if role in columns.roles:
            position = columns.roles[role]
            yield CellParser(role, position, columns.names[position], parse)


def _values(
    parsers: Iterable[CellParser], texts: Sequence[str], *, line: int, problems: list[Problem]
) -> dict[str, Any]:
    """Return the values of the cells, by role, without empty ones. Bad cells are added to `problems`."""
    values = {}
    for cell in parsers:
        text = texts[cell.position].strip()
        if text:
            try:
                values[cell.role] = cell.parse(text)
            except ValueError as exc:
                problems.append(Problem(line, cell.column, text[:_SHOWN], str(exc)))
    return values
