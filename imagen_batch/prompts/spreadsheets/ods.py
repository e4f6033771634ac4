"""Reads a sheet of an .ods file as the text that its cells display, row by row.

An .ods file stores that text beside each value, as LibreOffice displayed it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final
from xml.etree.ElementTree import Element, iterparse
from zipfile import ZipFile

from imagen_batch.errors import InputInvalid
from imagen_batch.prompts.spreadsheets.cell_and_column_letters import EMPTY, MAX_COLUMNS, MAX_ROWS, Cell
from imagen_batch.prompts.spreadsheets.choose_sheet import SheetNotes, choose_sheet
from imagen_batch.prompts.spreadsheets.merged_cells import MergedCells
from imagen_batch.records import Problem

_NAMESPACE: Final = "{urn:oasis:names:tc:opendocument:xmlns:%s:1.0}"
_TABLE, _TEXT, _OFFICE = _NAMESPACE % "table", _NAMESPACE % "text", _NAMESPACE % "office"
_CALC: Final = "{urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0}"
_CELLS = (f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell")
_DURATION = re.compile(r"PT(?:(\d{1,5})H)?(?:(\d{1,2})M)?(?:0*(?:\.0*)?S)?")
_MAX_DEPTH = 40  # of spans within a paragraph
_MAX_SPACES = 32_767
_ERROR_TEXT = re.compile(r"#(?:REF|NAME|VALUE|DIV/0|NUM|NULL)[!?]|#N/A|Err:\d{3}")


def read_ods(path: Path, sheet: str | None) -> tuple[SheetNotes, Iterator[tuple[int, list[Cell]]]]:
    """Return the notes about a sheet, and its rows with their numbers. `sheet` None means the first sheet.

    Hidden and merged cells are in the notes once all rows have been read.
    """
    names = _sheet_names(path)
    notes = SheetNotes(names=names, name=choose_sheet(names, sheet))
    return notes, _rows(path, notes)


def _sheet_names(path: Path) -> tuple[str, ...]:
    with ZipFile(path) as archive, archive.open("content.xml") as file:
        _refuse_doctype(file)
        return tuple(table.get(f"{_TABLE}name", "") for table in _tables(file))


def _refuse_doctype(file: IO[bytes]) -> None:
    if b"<!DOCTYPE" in file.read(4096):
        raise InputInvalid([Problem(None, None, None, "content.xml in the spreadsheet defines entities of its own")])
    file.seek(0)


def _tables(file: IO[bytes]) -> Iterator[Element]:
    """Yield every sheet at its beginning, and discard its content."""
    depth, root = 0, None
    for event, element in iterparse(file, events=("start", "end")):  # noqa: S314 - expat bounds entities
        root = element if root is None else root
        if element.tag == f"{_TABLE}table":
            depth += 1 if event == "start" else -1
            if event == "start" and depth == 1:
                yield element
        elif event == "end" and element.tag == f"{_TABLE}table-row":
            element.clear()


@dataclass(slots=True)
class _Position:
    """The position of the reader in the file."""

    parents: list[Element] = field(default_factory=list)
    tables: int = 0  # nested tables that are open
    inside: bool = False  # whether the reader is in the chosen sheet
    row: int = 0


def _rows(path: Path, notes: SheetNotes) -> Iterator[tuple[int, list[Cell]]]:
    position = _Position()
    done = False
    with ZipFile(path) as archive, archive.open("content.xml") as file:
        for event, element in iterparse(file, events=("start", "end")):  # noqa: S314 - expat bounds entities
            if event == "start":
                position.parents.append(element)
                if element.tag == f"{_TABLE}table":
                    position.tables += 1
                    position.inside |= (
                        position.tables == 1 and not done and element.get(f"{_TABLE}name", "") == notes.name
                    )
                continue
            position.parents.pop()
            if element.tag == f"{_TABLE}table":
                position.tables -= 1
                done |= position.inside and not position.tables
                position.inside &= position.tables > 0
            elif element.tag == f"{_TABLE}table-row" and position.tables <= 1:
                if position.inside:
                    yield from _repeated_row(element, position, notes)
                element.clear()
                if position.parents:
                    position.parents[-1].remove(element)


def _repeated_row(element: Element, position: _Position, notes: SheetNotes) -> Iterator[tuple[int, list[Cell]]]:
    repeated = _count(element, "number-rows-repeated", MAX_ROWS)
    cells = _row_cells(element, position.row + 1, notes.merged)
    if not cells and not notes.merged.covers(position.row + 1):
        position.row += repeated
        return
    hidden = element.get(f"{_TABLE}visibility") in ("collapse", "filter")
    for _ in range(min(repeated, MAX_ROWS - position.row)):
        position.row += 1
        if hidden:
            notes.hidden.add(position.row)
        yield position.row, cells


def _row_cells(row: Element, number: int, merged: MergedCells) -> list[Cell]:
    """Return the cells of a row, without empty ones at its end."""
    cells: list[Cell] = []
    empty = 0
    for element in row:
        if element.tag not in _CELLS:
            continue
        cell = EMPTY if element.tag == _CELLS[1] else _cell(element)
        repeated = _count(element, "number-columns-repeated", MAX_COLUMNS)
        spanned = _count(element, "number-rows-spanned", MAX_ROWS)
        if not cell.text and cell.problem is None:
            empty += repeated
            continue
        cells += [EMPTY] * min(empty, MAX_COLUMNS - len(cells))
        if spanned > 1:
            wide = _count(element, "number-columns-spanned", MAX_COLUMNS)
            merged.add(len(cells), number, number + spanned - 1, right=len(cells) + wide - 1)
        cells += [cell] * min(repeated, MAX_COLUMNS - len(cells))
        empty = 0
    return cells


def _count(element: Element, name: str, most: int) -> int:
    text = element.get(f"{_TABLE}{name}")
    if text is None:
        return 1
    return min(int(text), most) if text.isascii() and text.isdigit() and len(text) < 12 and int(text) else 1


def _cell(element: Element) -> Cell:
    text = "\n".join(_paragraph(part) for part in element if part.tag == f"{_TEXT}p")
    kind = element.get(f"{_OFFICE}value-type", "")
    if element.get(f"{_CALC}value-type") == "error" or (
        element.get(f"{_TABLE}formula") and _ERROR_TEXT.fullmatch(text)
    ):
        return Cell(text or "#ERROR", problem="the cell contains an error of the spreadsheet")
    if kind in ("float", "percentage", "currency"):
        return Cell(text, number=_number(element.get(f"{_OFFICE}value", "")))
    if kind == "time" and (duration := _DURATION.fullmatch(element.get(f"{_OFFICE}time-value", ""))):
        return Cell(text, clock=(int(duration[1] or 0), int(duration[2] or 0)))
    if not text and element.get(f"{_TABLE}formula") and not kind:
        return Cell("", problem="the formula has no stored value: open the file in a spreadsheet program and save it")
    return Cell(text)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _paragraph(element: Element, depth: int = 0) -> str:
    """Return the text of a paragraph, without comments."""
    parts = [element.text or ""]
    for part in element:
        if part.tag == f"{_TEXT}s":
            count = part.get(f"{_TEXT}c", "1")
            parts.append(
                " " * (min(int(count), _MAX_SPACES) if count.isascii() and count.isdigit() and len(count) < 10 else 1)
            )
        elif part.tag == f"{_TEXT}tab":
            parts.append("\t")
        elif part.tag == f"{_TEXT}line-break":
            parts.append("\n")
        elif part.tag != f"{_OFFICE}annotation" and depth < _MAX_DEPTH:
            parts.append(_paragraph(part, depth + 1))
        parts.append(part.tail or "")
    return "".join(parts)
