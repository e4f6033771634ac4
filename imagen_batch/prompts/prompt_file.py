"""Opens a prompt file: finds its format, encoding and columns, and reads its rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from imagen_batch.choices import FILE_FORMATS, FileFormat
from imagen_batch.errors import InputInvalid
from imagen_batch.prompts.column_roles import assign_roles, prompt_position
from imagen_batch.prompts.formats.bounded_lines import LineTooLong, bounded_lines
from imagen_batch.prompts.formats.delimited import Record, Table
from imagen_batch.prompts.formats.detect_table_layout import read_layout
from imagen_batch.prompts.formats.encoding import find_encoding
from imagen_batch.prompts.formats.record_width import RecordWidth
from imagen_batch.prompts.formats.text_and_jsonl import JsonLines, PlainLines, read_json_lines
from imagen_batch.prompts.record_to_row import RowReader, row_reader
from imagen_batch.prompts.redacted_copy import copy_file
from imagen_batch.prompts.sources import check_readable
from imagen_batch.prompts.spreadsheets.recognize_spreadsheet import spreadsheet_kind
from imagen_batch.records import Problem, PromptRow

if TYPE_CHECKING:
    from imagen_batch.prompts.row_blocks.rows_as_columns import RowBlock
    from imagen_batch.prompts.spreadsheets.sheet_to_records import SheetRows

Expand = Callable[[Iterator[PromptRow | Problem]], Iterator[PromptRow | Problem]]
Source: TypeAlias = "Table | PlainLines | JsonLines | SheetRows"
_SPREADSHEETS = ("xlsx", "ods")
_LONG = 8 * 2**20  # bytes

_BY_SUFFIX: dict[str, FileFormat] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".txt": "txt",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}


@dataclass(frozen=True, slots=True)
class PromptFile:
    """A prompt file whose header has been read, and whose rows can be read as often as needed."""

    path: Path
    format: FileFormat  # of the copy that a run stores: that of a spreadsheet is JSONL
    encoding: str
    delimiter: str | None  # None if a format has none
    columns: tuple[str, ...]  # as in the file, in order, secrets left out
    user_columns: tuple[str, ...]  # of those, the user's own, which have no role
    roles: Mapping[str, str]  # role -> header of the column that has it
    warnings: tuple[str, ...]
    failures: bool  # whether this is the failures.csv of a run
    _source: Source
    _reader: RowReader
    expand: Expand | None = None  # changes the rows after they are read

    def copy_to(self, target: BinaryIO) -> bool:
        """Write the file to `target` without its secrets. Return True if that recoded it as UTF-8."""
        return copy_file(self._source, target)

    def rows(self) -> Iterator[PromptRow | Problem]:
        """Yield each row in file order, or its problems. Only one row is in memory at a time."""
        return self.expand(self._file_rows()) if self.expand else self._file_rows()

    def ids(self) -> Iterator[str | None]:
        """Yield the id of each record as it is written, also of rows with problems.

        None stands for a record that can't be divided into cells.
        """
        for record in self._source.records():
            yield None if isinstance(record, Problem) else self._reader.id_of(record)

    @property
    def is_long(self) -> bool:
        """Whether it takes longer to read row by row than to import what reads in blocks."""
        return self.path.stat().st_size >= _LONG

    def row_blocks(self) -> Iterator[RowBlock | Iterator[PromptRow | Problem]]:
        """Yield the same in blocks, as columns where possible. Single rows are read before the next block is."""
        from imagen_batch.prompts.row_blocks.read_rows_in_blocks import read_rows_in_blocks  # noqa: PLC0415 - is slow

        if self.expand is None and not self.failures and isinstance(self._source, Table):
            return read_rows_in_blocks(self._source, self._reader)
        return iter([self.rows()])

    def _file_rows(self) -> Iterator[PromptRow | Problem]:
        records = self._source.records()
        return self._reader.read_all((each for each in records if not is_blank(each)) if self.failures else records)


def is_blank(record: Record | Problem) -> bool:
    """Return whether all of several cells of a record are blank: spreadsheets append such rows."""
    return isinstance(record, Record) and len(record.cells) > 1 and not any(cell.strip() for cell in record.cells)


def open_prompts(  # noqa: PLR0913 - one for each option of the user
    source: Path,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    prompt_column: str | None = None,
    join_extra: bool = False,
    format: str | None = None,  # noqa: A002 - the name of the option
    sheet: str | None = None,
) -> PromptFile:
    """Open `source` and read it up to its first row. What the options leave open is detected.

    `sheet` names the sheet of a spreadsheet; None means the first sheet.

    Raises InputInvalid if no row can be read: no such file, not text, empty, no prompt column, ...
    """
    options = _ReadOptions(_known_format(format) if format else None, delimiter, prompt_column, join_extra)
    try:
        check_readable(source)
        if (rows := _open_spreadsheet(source, options, sheet)) is not None:
            return _open(rows, options, list(rows.warnings))
        codec, guess = find_encoding(source, forced=encoding)
        return _open(_open_source(source, codec, options), options, [guess] if guess else [])
    except LineTooLong as exc:
        raise InputInvalid([Problem(exc.number, None, None, str(exc))]) from exc
    except OSError as exc:
        message = f"can't be read: {exc.strerror or exc}"
        raise InputInvalid([Problem(None, None, str(source), message)]) from exc


def _open_spreadsheet(source: Path, options: _ReadOptions, sheet: str | None) -> SheetRows | None:
    """Return the rows of a spreadsheet; None for other files, which the options must not take for one."""
    kind = spreadsheet_kind(source)
    if kind is not None and options.format in (None, *_SPREADSHEETS):
        from imagen_batch.prompts.spreadsheets.sheet_to_records import open_sheet  # noqa: PLC0415 - only for such files

        return open_sheet(source, kind, sheet=sheet)
    if kind is not None:
        raise InputInvalid([Problem(None, "--format", options.format, f"this is a spreadsheet: --format {kind}")])
    if options.format in _SPREADSHEETS:
        raise InputInvalid([Problem(None, "--format", options.format, "the file is not a spreadsheet")])
    if sheet is not None:
        raise InputInvalid([Problem(None, "--sheet", sheet, "the file is not a spreadsheet and has no sheets")])
    return None


@dataclass(frozen=True, slots=True)
class _ReadOptions:
    format: FileFormat | None
    delimiter: str | None
    prompt_column: str | None
    join_extra: bool

    @property
    def for_table(self) -> bool:
        """Whether any option applies only to a table."""
        return bool(self.delimiter or self.prompt_column or self.join_extra)


def _known_format(name: str) -> FileFormat:
    for known in FILE_FORMATS:
        if name.lower() == known:
            return known
    raise InputInvalid([Problem(None, None, name, f"the format is one of {', '.join(FILE_FORMATS)}")])


def _open_source(path: Path, codec: str, options: _ReadOptions) -> Source:
    kind = options.format or _BY_SUFFIX.get(path.suffix.lower())
    if kind is None or (kind == "txt" and options.for_table and not options.format):
        kind = _detect_format(path, codec, options)
    if kind == "txt" and not options.format and _is_table_of_tabs(path, codec):
        kind = "tsv"
    if kind == "txt":
        return PlainLines(path, codec)
    if kind == "jsonl":
        return read_json_lines(path, codec)
    return read_layout(
        path, codec, delimiter=options.delimiter, tabs=kind == "tsv", prompt_column=options.prompt_column
    )


def _detect_format(path: Path, codec: str, options: _ReadOptions) -> FileFormat:
    with path.open(encoding=codec, newline="") as file:
        first = next((line for line in bounded_lines(file) if not line.isspace()), "")
    if first.lstrip().startswith(("{", "[{")) or first.strip() == "[":  # a list is refused with a message
        return "jsonl"
    # Single words with delimiters look like a header, which has to name a prompt column: a refusal costs less than
    # images of a header.
    cells = re.split(r"[,;\t|]", first.strip())
    looks_like_header = len(cells) > 1 and all(re.fullmatch(r"\s*[\w-]+\s*", cell) for cell in cells)
    return "csv" if options.for_table or looks_like_header or _has_header(path, codec) else "txt"


def _is_table_of_tabs(path: Path, codec: str) -> bool:
    """Return whether the first line is a header with tabs and a prompt column, as in a spreadsheet's "Unicode text".

    Commas do not make a .txt a table: prompts are full of them.
    """
    with path.open(encoding=codec, newline="") as file:
        first = next((line for line in file if not line.isspace()), "")
    cells = [cell.strip().strip('"') for cell in first.strip("\r\n").split("\t")]
    return len(cells) > 1 and prompt_position(cells) is not None


def _has_header(path: Path, codec: str) -> bool:
    try:
        table = read_layout(path, codec, delimiter=None, tabs=False, prompt_column=None)
    except InputInvalid:
        return False
    return prompt_position(table.header) is not None


def _open(source: Source, options: _ReadOptions, warnings: list[str]) -> PromptFile:
    if isinstance(source, PlainLines | JsonLines):
        _refuse_without_rows(source)
    columns = assign_roles(
        source.header,
        line=None if isinstance(source, PlainLines | JsonLines) else source.header_line,
        forced=None if isinstance(source, PlainLines) else options.prompt_column,
        read=lambda positions: _read_cells(source, positions),
    )
    if isinstance(source, PlainLines) and not options.format and _has_header(source.path, source.encoding):
        warnings.append("the first line looks like a header but is read as a prompt: name a table .csv or .tsv")
    width = RecordWidth(source, columns, options.join_extra) if isinstance(source, Table) else None
    return PromptFile(
        path=source.path,
        format=_format(source),
        encoding=source.encoding,
        delimiter=source.delimiter if isinstance(source, Table) else None,
        columns=tuple(columns.names[position] for position in columns.kept),
        user_columns=tuple(columns.names[position] for position in columns.own),
        roles={role: columns.names[position] for role, position in columns.roles.items()},
        warnings=(*warnings, *columns.warnings),
        failures=columns.failures,
        _source=source,
        _reader=row_reader(columns, width=width),
    )


def _refuse_without_rows(source: Source) -> None:
    if next(source.records(), None) is None:
        raise InputInvalid([Problem(None, None, None, "the file is empty")])
    if not source.header and (problems := [each for each in source.records() if isinstance(each, Problem)]):
        raise InputInvalid(problems)


def _read_cells(source: Source, positions: Sequence[int]) -> Iterator[list[str]]:
    for record in source.records():
        if isinstance(record, Record):
            yield [record.cells[at] if at < len(record.cells) else "" for at in positions]


def _format(source: Source) -> FileFormat:
    if isinstance(source, Table):
        return "tsv" if source.delimiter == "\t" else "csv"
    return "txt" if isinstance(source, PlainLines) else "jsonl"
