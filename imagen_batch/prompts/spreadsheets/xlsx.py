"""Reads a sheet of an .xlsx file as the text that its cells display, row by row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZipFile

import openpyxl

from imagen_batch.prompts.spreadsheets.cell_and_column_letters import EMPTY, MAX_ROWS, Cell, column_position
from imagen_batch.prompts.spreadsheets.choose_sheet import SheetNotes, choose_sheet
from imagen_batch.prompts.spreadsheets.date_text import date_text, hours_and_minutes
from imagen_batch.prompts.spreadsheets.merged_cells import MergedCells
from imagen_batch.prompts.spreadsheets.number_text import number_text

_BLOCK = 1 << 20
_OVERLAP = 1 << 16  # bytes of the previous block that are searched again: no cell without text is longer
_MAX_TAIL = 1 << 23
_HIDDEN = re.compile(rb'<(?:\w+:)?row\s(?=[^>]*\bhidden="(?:1|true)")[^>]*?\br="(\d{1,7})"')
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell\s[^>]*ref="([A-Z]{1,3})(\d{1,7}):([A-Z]{1,3})(\d{1,7})"')
_FORMULA = re.compile(
    rb"<(?:\w+:)?c\s([^>]*?)>\s*<(?:\w+:)?f(?:\s[^>]*)?(?:/>|>[^<]*</(?:\w+:)?f>)\s*"
    rb"(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v>\s*</(?:\w+:)?v>)?\s*</(?:\w+:)?c>"
)
_END_OF_ROWS = re.compile(rb"</(?:\w+:)?sheetData>")
_REFERENCE = re.compile(rb'\br="([A-Z]{1,3}\d{1,7})"')
_CARRIAGE_RETURN = "_x000D_"
_NOT_CALCULATED = "the formula has no stored value: open the file in a spreadsheet program and save it"


@dataclass(slots=True)
class _Scan:
    """Facts about a sheet that the library does not report."""

    notes: SheetNotes
    uncalculated: set[str] = field(default_factory=set)  # references such as B7


def read_xlsx(path: Path, sheet: str | None) -> tuple[SheetNotes, Iterator[tuple[int, list[Cell]]]]:
    """Return the notes about a sheet, and its rows with their numbers. `sheet` None means the first sheet."""
    file = path.open("rb")  # the library refuses a path without a suffix, such as that of a copied stream
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
        name = choose_sheet([each.title for each in book.worksheets], sheet)
        chosen = book[name]
        scan = _scan(path, chosen._worksheet_path)
        scan.notes.names, scan.notes.name = tuple(each.title for each in book.worksheets), name
    except BaseException:
        file.close()
        raise
    return scan.notes, _rows(file, chosen, scan)


def _rows(file: BinaryIO, sheet: Any, scan: _Scan) -> Iterator[tuple[int, list[Cell]]]:
    with closing(file):
        sheet.reset_dimensions()
        for number, row in enumerate(sheet.iter_rows(max_row=MAX_ROWS), 1):
            filled = any(cell.value is not None for cell in row)
            if filled or scan.notes.merged.covers(number) or _is_uncalculated(row, scan):
                yield number, [_cell(cell, scan) for cell in row]


def _is_uncalculated(row: Sequence[Any], scan: _Scan) -> bool:
    return bool(scan.uncalculated) and any(_reference(cell) in scan.uncalculated for cell in row)


def _reference(cell: Any) -> str:
    return str(getattr(cell, "coordinate", ""))


def _cell(cell: Any, scan: _Scan) -> Cell:
    value = cell.value
    if value is None:
        missing = bool(scan.uncalculated) and _reference(cell) in scan.uncalculated
        return Cell("", problem=_NOT_CALCULATED) if missing else EMPTY
    if isinstance(value, str):
        problem = "the cell contains an error of the spreadsheet" if cell.data_type == "e" else None
        return Cell(value.replace(_CARRIAGE_RETURN, "") if _CARRIAGE_RETURN in value else value, problem=problem)
    if isinstance(value, bool):
        return Cell("TRUE" if value else "FALSE")
    return _number_cell(value, cell.number_format or "")


def _number_cell(value: Any, code: str) -> Cell:
    if isinstance(value, int | float):
        return Cell(number_text(value, code), number=float(value))
    if isinstance(value, date | time | timedelta):
        return Cell(date_text(value, code), clock=hours_and_minutes(value))
    return Cell(str(value))


def _scan(path: Path, part: str) -> _Scan:
    """Find hidden rows, merged cells and formulas without a value in the XML of a sheet, block by block."""
    hidden: set[int] = set()
    uncalculated: set[str] = set()
    overlap, tail = b"", bytearray()
    with ZipFile(path) as archive, archive.open(part.lstrip("/")) as file:
        in_rows = True
        for block in iter(lambda: file.read(_BLOCK), b""):
            text = overlap + block
            if in_rows:
                hidden.update(int(number) for number in _HIDDEN.findall(text))
                uncalculated.update(_uncalculated_cells(text))
                if end := _END_OF_ROWS.search(text):
                    in_rows = False
                    tail += text[end.end() :]
                overlap = text[-_OVERLAP:]
            elif len(tail) < _MAX_TAIL:
                tail += block
                overlap = b""
    spans = [
        (column_position(left.decode()), int(top), int(bottom), column_position(right.decode()))
        for left, top, right, bottom in _MERGED.findall(bytes(tail))
    ]
    return _Scan(SheetNotes(hidden=hidden, merged=MergedCells(spans)), uncalculated)


def _uncalculated_cells(text: bytes) -> Iterator[str]:
    for attributes in _FORMULA.findall(text):
        reference = _REFERENCE.search(attributes)
        if reference and b't="str"' not in attributes:  # an empty text is a value
            yield reference[1].decode()
