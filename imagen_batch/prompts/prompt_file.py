"""Finds out which kind of file it is, and reads its rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, get_args

from imagen_batch.errors import InputInvalid
from imagen_batch.prompts.columns import prompt_position, understand
from imagen_batch.prompts.delimited import Record, Table
from imagen_batch.prompts.encoding import find_encoding
from imagen_batch.prompts.lines import LineTooLong, bounded_lines
from imagen_batch.prompts.record_width import Fitting
from imagen_batch.prompts.redaction import copy_file
from imagen_batch.prompts.rows import RowReader, row_reader
from imagen_batch.prompts.sniffing import read_layout
from imagen_batch.prompts.sources import check_readable
from imagen_batch.prompts.text_list import JsonLines, PlainLines, read_json_lines
from imagen_batch.records import Problem, PromptRow

Format = Literal["csv", "tsv", "txt", "jsonl"]
Source = Table | PlainLines | JsonLines

_BY_SUFFIX: dict[str, Format] = {
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
    """A prompt file whose header is understood and whose rows can be read, several times if need be."""

    path: Path
    format: Format
    encoding: str
    delimiter: str | None  # None where a format has none
    columns: tuple[str, ...]  # as in the file, in order, secrets left out
    user_columns: tuple[str, ...]  # of those, the ones that only the user knows
    warnings: tuple[str, ...]
    failures: bool  # whether this is the failures.csv of a run
    _source: Source
    _reader: RowReader

    def copy_to(self, target: BinaryIO) -> bool:
        """Write the file to `target` without its secrets; True where the copy is UTF-8, whatever the original was."""
        return copy_file(self._source, target)

    def rows(self) -> Iterator[PromptRow | Problem]:
        """Each row in file order, or what is wrong with it. Only one row is held at a time."""
        number = 0
        for record in self._source.records():
            if isinstance(record, Problem):
                yield record
                continue
            number += 1
            row = self._reader.read(number, record)
            if isinstance(row, PromptRow):
                yield row
            else:
                yield from row


def open_prompts(
    source: Path,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    prompt_column: str | None = None,
    join_extra: bool = False,
    format: str | None = None,  # noqa: A002 - the word that users know
) -> PromptFile:
    """Understand `source` up to its first row. What is not given is found out; see the package for how.

    Raises InputInvalid where no row can be read: no such file, not text, empty, no prompt column, ...
    """
    wishes = _Wishes(_checked(format) if format else None, delimiter, prompt_column, join_extra)
    try:
        check_readable(source)
        codec, guess = find_encoding(source, forced=encoding)
        found = _source(source, codec, wishes)
        return _understood(found, wishes, [guess] if guess else [])
    except LineTooLong as exc:
        raise InputInvalid([Problem(exc.number, None, None, str(exc))]) from exc
    except OSError as exc:
        message = f"can't be read: {exc.strerror or exc}"
        raise InputInvalid([Problem(None, None, str(source), message)]) from exc


@dataclass(frozen=True, slots=True)
class _Wishes:
    format: Format | None
    delimiter: str | None
    prompt_column: str | None
    join_extra: bool

    @property
    def a_table(self) -> bool:
        """Whether they make sense for a table only."""
        return bool(self.delimiter or self.prompt_column or self.join_extra)


def _checked(name: str) -> Format:
    for known in get_args(Format):
        if name.lower() == known:
            return known  # type: ignore[no-any-return] # get_args knows no types
    raise InputInvalid([Problem(None, None, name, f"the format is one of {', '.join(get_args(Format))}")])


def _source(path: Path, codec: str, wishes: _Wishes) -> Source:
    kind = wishes.format or _BY_SUFFIX.get(path.suffix.lower())
    if kind is None or (kind == "txt" and wishes.a_table and not wishes.format):
        kind = _by_content(path, codec, wishes)
    if kind == "txt" and not wishes.format and _is_table_of_tabs(path, codec):
        kind = "tsv"
    if kind == "txt":
        return PlainLines(path, codec)
    if kind == "jsonl":
        return read_json_lines(path, codec)
    return read_layout(
        path, codec, delimiter=wishes.delimiter, tabs=kind == "tsv", prompt_column=wishes.prompt_column
    )


def _by_content(path: Path, codec: str, wishes: _Wishes) -> Format:
    with path.open(encoding=codec, newline="") as file:
        first = next((line for line in bounded_lines(file) if not line.isspace()), "")
    if first.lstrip().startswith(("{", "[{")) or first.strip() == "[":  # a list is not read, but told so
        return "jsonl"
    # Single words with delimiters look like a header, which then has to name a prompt: better asked than bought.
    cells = re.split(r"[,;\t|]", first.strip())
    looks_like_header = len(cells) > 1 and all(re.fullmatch(r"\s*[\w-]+\s*", cell) for cell in cells)
    return "csv" if wishes.a_table or looks_like_header or _has_header(path, codec) else "txt"


def _is_table_of_tabs(path: Path, codec: str) -> bool:
    """Whether the first line is a header of tabs that names a prompt column, as a spreadsheet's "Unicode text" has.

    Commas do not make a table of a .txt: prompts are full of them.
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


def _understood(source: Source, wishes: _Wishes, warnings: list[str]) -> PromptFile:
    if not isinstance(source, Table):
        _refuse_without_rows(source)
    columns = understand(
        source.header,
        line=source.header_line if isinstance(source, Table) else None,
        forced=None if isinstance(source, PlainLines) else wishes.prompt_column,
        read=lambda positions: _cells(source, positions),
    )
    if isinstance(source, PlainLines) and not wishes.format and _has_header(source.path, source.encoding):
        warnings.append("the first line looks like a header but is read as a prompt: name a table .csv or .tsv")
    fitting = Fitting(source, columns, wishes.join_extra) if isinstance(source, Table) else None
    return PromptFile(
        path=source.path,
        format=_format(source),
        encoding=source.encoding,
        delimiter=source.delimiter if isinstance(source, Table) else None,
        columns=tuple(columns.names[position] for position in columns.kept),
        user_columns=tuple(columns.names[position] for position in columns.own),
        warnings=(*warnings, *columns.warnings),
        failures=columns.failures,
        _source=source,
        _reader=row_reader(columns, fitting=fitting),
    )


def _refuse_without_rows(source: Source) -> None:
    if next(source.records(), None) is None:
        raise InputInvalid([Problem(None, None, None, "the file is empty")])
    if not source.header and (problems := [each for each in source.records() if isinstance(each, Problem)]):
        raise InputInvalid(problems)


def _cells(source: Source, positions: Sequence[int]) -> Iterator[list[str]]:
    for record in source.records():
        if isinstance(record, Record):
            yield [record.cells[at] if at < len(record.cells) else "" for at in positions]


def _format(source: Source) -> Format:
    if isinstance(source, Table):
        return "tsv" if source.delimiter == "\t" else "csv"
    return "txt" if isinstance(source, PlainLines) else "jsonl"
