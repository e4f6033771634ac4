"""Writes small spreadsheets for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr
from zipfile import ZIP_DEFLATED, ZipFile

import openpyxl

_NAMESPACES = " ".join(
    f'xmlns:{name}="{uri}"'
    for name, uri in {
        "office": "urn:oasis:names:tc:opendocument:xmlns:office:1.0",
        "table": "urn:oasis:names:tc:opendocument:xmlns:table:1.0",
        "text": "urn:oasis:names:tc:opendocument:xmlns:text:1.0",
        "calcext": "urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0",
    }.items()
)


def write_xlsx(path: Path, rows: Sequence[Sequence[object]], *, name: str = "Scenes") -> Path:
    """Write an .xlsx file with one sheet."""
    book = openpyxl.Workbook()
    book.active.title = name
    for row in rows:
        book.active.append(list(row))
    book.save(path)
    return path


def ods_cell(text: str, attributes: str = "") -> str:
    """Return the XML of a cell, each line of its text a paragraph."""
    lines = "".join(f"<text:p>{escape(line)}</text:p>" for line in text.split("\n")) if text else ""
    return f"<table:table-cell {attributes}>{lines}</table:table-cell>"


def write_ods(path: Path, sheets: dict[str, Sequence[str]], *, before: str = "") -> Path:
    """Write an .ods file. A sheet is a list of rows, and a row is the XML of its cells or a whole row element."""
    tables = []
    for name, rows in sheets.items():
        lines = (
            row if row.startswith("<table:table-row") else f"<table:table-row>{row}</table:table-row>" for row in rows
        )
        tables.append(f"<table:table table:name={quoteattr(name)}>{''.join(lines)}</table:table>")
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?>{before}<office:document-content {_NAMESPACES}><office:body>'
        f"<office:spreadsheet>{''.join(tables)}</office:spreadsheet></office:body></office:document-content>"
    )
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", content)
    return path


def text_ods(path: Path, rows: Sequence[Sequence[str]], *, name: str = "Scenes") -> Path:
    """Write an .ods file of plain texts with the empty rows that LibreOffice puts at the end."""
    cells = ["".join(map(ods_cell, row)) for row in rows]
    trailing = '<table:table-row table:number-rows-repeated="1048000">{}</table:table-row>'.format(
        '<table:table-cell table:number-columns-repeated="16384"/>'
    )
    return write_ods(path, {name: [*cells, trailing]})
