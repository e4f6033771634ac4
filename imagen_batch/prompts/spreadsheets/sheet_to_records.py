"""Turns a sheet into records. The sheet is read once; later passes read a temporary copy."""

from __future__ import annotations

import io
import json
import warnings as python_warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from imagen_batch.errors import InputInvalid
from imagen_batch.prompts.column_names import ALIASES, fold, looks_secret
from imagen_batch.prompts.formats.bounded_lines import LONGEST
from imagen_batch.prompts.formats.delimited import Record
from imagen_batch.prompts.sources import Spool
from imagen_batch.prompts.spreadsheets.cell_and_column_letters import Cell, column_letters
from imagen_batch.prompts.spreadsheets.choose_sheet import SheetNotes
from imagen_batch.prompts.spreadsheets.recognize_spreadsheet import Kind
from imagen_batch.records import Problem
from imagen_batch.text import plural

_MAX_CELLS: Final = 20_000_000
_MAX_PROBLEMS: Final = 10_000
_WHOLE_NUMBERS = frozenset((*ALIASES["seed"], *ALIASES["samples"]))
_RATIOS = frozenset(ALIASES["aspect_ratio"])

Reader = Callable[[Path, str | None], tuple[SheetNotes, Iterator[tuple[int, list[Cell]]]]]


@dataclass(frozen=True, slots=True)
class SheetRows:
    """The rows of a sheet. Their texts are in a temporary file that is deleted with this object."""

    path: Path
    header: tuple[str, ...]
    header_line: int
    warnings: tuple[str, ...]
    filled: frozenset[int]  # positions of columns with content
    problems: dict[int, list[Problem]]  # by row
    _spool: Spool
    encoding: str = "utf-8"

    def records(self) -> Iterator[Record | Problem]:
        """Yield every row below the header that is not blank, or its problems. Lines are rows of the sheet."""
        width = len(self.header)
        with self._spool.path.open("rb") as file:
            for line in file:
                number, texts = json.loads(line)
                if number in self.problems:
                    yield from self.problems[number]
                else:
                    yield Record(number, texts + [""] * (width - len(texts)))

    def copy_to(self, target: BinaryIO) -> None:
        """Write the rows as JSON lines, each on the line of its row, without secrets."""
        text = io.TextIOWrapper(target, encoding="utf-8", newline="")
        names = [name.strip() or f"column_{number}" for number, name in enumerate(self.header, 1)]
        kept = [
            (position, name)
            for position, name in enumerate(names)
            if not looks_secret(name) and (self.header[position].strip() or position in self.filled)
        ]
        next_line = 1
        for record in self.records():
            if isinstance(record, Record):
                members = {name: record.cells[position] for position, name in kept}
                text.write("\n" * (record.line - next_line) + json.dumps(members, ensure_ascii=False) + "\n")
                next_line = record.line + 1
        text.detach()


def open_sheet(path: Path, kind: Kind, *, sheet: str | None) -> SheetRows:
    """Read a sheet of a spreadsheet; `sheet` None means the first sheet.

    Raises InputInvalid if there is no such sheet, if it is empty, or if the file is damaged or too large.
    """
    try:
        with python_warnings.catch_warnings():
            python_warnings.simplefilter("ignore")  # they concern features that do not affect cells
            notes, rows = _reader(kind)(path, sheet)
            return _Conversion(path).convert(notes, rows, chosen=sheet is not None)
    except (InputInvalid, OSError, MemoryError):
        raise
    except Exception as error:  # a damaged file may raise anything in the library that reads it
        reason = str(error)[:200] or type(error).__name__
        message = f"can't be read as .{kind}: {reason}. The file may be damaged or encrypted."
        raise InputInvalid([Problem(None, None, path.name, message)]) from error


def _reader(kind: Kind) -> Reader:
    if kind == "ods":
        from imagen_batch.prompts.spreadsheets.ods import read_ods  # noqa: PLC0415

        return read_ods
    from imagen_batch.prompts.spreadsheets.xlsx import read_xlsx  # noqa: PLC0415 - takes 0.1 s, only for such files

    return read_xlsx


@dataclass(slots=True)
class _Conversion:
    """Writes the texts of a sheet to a temporary file, and collects problems and warnings."""

    path: Path
    header: list[str] = field(default_factory=list)
    header_line: int = 0
    filled: set[int] = field(default_factory=set)
    problems: dict[int, list[Problem]] = field(default_factory=dict)
    restored_ratios: list[str] = field(default_factory=list)  # cells whose ratio the spreadsheet had made a time
    whole_number_columns: frozenset[int] = frozenset()
    ratio_columns: frozenset[int] = frozenset()
    cells: int = 0
    problem_count: int = 0

    def convert(self, notes: SheetNotes, rows: Iterator[tuple[int, list[Cell]]], *, chosen: bool) -> SheetRows:
        spool = Spool()
        spool.fill(self._lines(notes, rows))
        if not self.header_line:
            raise InputInvalid([Problem(None, None, None, f"the sheet {notes.name!r} is empty")])
        width = max([len(self.header), *(position + 1 for position in self.filled)])
        return SheetRows(
            path=self.path,
            header=(*self.header, *[""] * (width - len(self.header))),
            header_line=self.header_line,
            warnings=(*notes.warnings(chosen=chosen), *self._ratio_warnings()),
            filled=frozenset(self.filled),
            problems=self.problems,
            _spool=spool,
        )

    def _lines(self, notes: SheetNotes, rows: Iterator[tuple[int, list[Cell]]]) -> Iterator[bytes]:
        for number, unmerged in rows:
            cells = notes.merged.fill(number, unmerged)
            if not any(cell.text.strip() or cell.problem for cell in cells):
                continue
            self._check_size(number, cells)
            if not self.header_line:
                self._take_header(number, cells)
            elif self.problem_count < _MAX_PROBLEMS:
                yield json.dumps((number, self._cell_texts(number, cells))).encode() + b"\n"

    def _take_header(self, number: int, cells: list[Cell]) -> None:
        self.header_line = number
        self.header = [cell.text for cell in cells]
        while self.header and not self.header[-1].strip():
            self.header.pop()
        folded = [fold(name) for name in self.header]
        self.whole_number_columns = frozenset(
            position for position, name in enumerate(folded) if name in _WHOLE_NUMBERS
        )
        self.ratio_columns = frozenset(position for position, name in enumerate(folded) if name in _RATIOS)

    def _cell_texts(self, number: int, cells: list[Cell]) -> list[str]:
        texts = []
        for position, cell in enumerate(cells):
            if cell.problem:
                self._refuse(number, position, cell)
            text = self._cell_text(number, position, cell)
            if text:
                self.filled.add(position)
            texts.append(text)
        return texts

    def _cell_text(self, number: int, position: int, cell: Cell) -> str:
        if position in self.whole_number_columns and cell.number is not None and cell.number == int(cell.number):
            return str(int(cell.number))
        if position in self.ratio_columns and cell.clock and cell.clock[1] > 0 and 0 < cell.clock[0] < 100:
            ratio = f"{cell.clock[0]}:{cell.clock[1]}"
            self.restored_ratios.append(f"{column_letters(position)}{number}")
            return ratio
        return cell.text

    def _refuse(self, number: int, position: int, cell: Cell) -> None:
        self.problem_count += 1
        name = self.header[position] if position < len(self.header) else None
        message = f"{cell.problem} (cell {column_letters(position)}{number})"
        self.problems.setdefault(number, []).append(Problem(number, name or None, cell.text, message))

    def _check_size(self, number: int, cells: list[Cell]) -> None:
        self.cells += len(cells)
        if self.cells > _MAX_CELLS:
            message = f"the sheet has more than {_MAX_CELLS:,} cells with content; split it, or save it as CSV"
            raise InputInvalid([Problem(number, None, None, message)])
        if sum(len(cell.text) for cell in cells) > LONGEST:
            raise InputInvalid([Problem(number, None, None, f"the row has more than {LONGEST:,} characters")])

    def _ratio_warnings(self) -> Iterator[str]:
        if self.restored_ratios:
            cells = ", ".join(self.restored_ratios[:5]) + (", ..." if len(self.restored_ratios) > 5 else "")
            count = plural(len(self.restored_ratios), "ratio")
            yield f"the spreadsheet turned {count} into a time of day, read as a ratio again: cell {cells}"
