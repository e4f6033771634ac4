"""Recognizes a spreadsheet by its content, and refuses archives that unpack to too much."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, NoReturn
from zipfile import BadZipFile, ZipFile, ZipInfo

from imagen_batch.errors import InputInvalid
from imagen_batch.records import Problem

Kind = Literal["xlsx", "ods"]

_ZIP: Final = b"PK\x03\x04"
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # .xls, and any Office file with a password
_ODS_TYPE: Final = b"application/vnd.oasis.opendocument.spreadsheet"
_MAX_PART: Final = 1 << 28  # bytes of a part that is held in memory
_MAX_SHEET: Final = 1 << 31  # bytes of a part that is read piece by piece
_ANY_RATIO_BELOW: Final = 1 << 24  # bytes: a smaller part may have any ratio
_MAX_RATIO: Final = 200  # unpacked to packed; real sheets have 5 to 40
_MAX_PARTS: Final = 10_000


def spreadsheet_kind(path: Path) -> Kind | None:
    """Return the kind of spreadsheet that the file is; None for a file that is not an archive.

    Raises InputInvalid for an archive of another kind, and for one that unpacks to too much.
    """
    with path.open("rb") as file:
        head = file.read(8)
    if head == _OLE:
        _refuse(path, "this is an old Excel file (.xls) or one with a password: save it as .xlsx without a password")
    if not head.startswith(_ZIP):
        return None
    try:
        with ZipFile(path) as archive:
            return _kind(path, archive)
    except (BadZipFile, NotImplementedError, ValueError, OverflowError) as error:
        _refuse(path, f"this is a damaged spreadsheet or zip ({error}): open it in a program and save it as CSV")


def _kind(path: Path, archive: ZipFile) -> Kind:
    parts = archive.infolist()
    names = {part.filename for part in parts}
    if "xl/workbook.xml" in names or ("[Content_Types].xml" in names and any(n.startswith("xl/") for n in names)):
        kind: Kind = "xlsx"
    elif "content.xml" in names and _mimetype(archive, names).startswith(_ODS_TYPE):
        kind = "ods"
    else:
        _refuse(path, "this is a zip, but not a spreadsheet (.xlsx or .ods): save it as CSV")
    if len(parts) > _MAX_PARTS:
        _refuse(path, f"the spreadsheet has {len(parts):,} parts, and at most {_MAX_PARTS:,} are read")
    for part in parts:
        _check_size(path, part)
    return kind


def _mimetype(archive: ZipFile, names: set[str]) -> bytes:
    if "mimetype" not in names:
        return b""
    with archive.open("mimetype") as file:
        return file.read(len(_ODS_TYPE))


def _check_size(path: Path, part: ZipInfo) -> None:
    streamed = part.filename.startswith("xl/worksheets/") or part.filename == "content.xml"
    most = _MAX_SHEET if streamed else _MAX_PART
    if part.file_size > most and not part.filename.startswith(("xl/media/", "Pictures/")):
        _refuse(
            path, f"{part.filename} in the spreadsheet has {part.file_size:,} bytes, and at most {most:,} are read"
        )
    if part.file_size > _ANY_RATIO_BELOW and part.file_size > _MAX_RATIO * max(1, part.compress_size):
        packed = f"{part.compress_size:,} bytes unpack to {part.file_size:,}"
        _refuse(path, f"{part.filename} in the spreadsheet is packed too tightly to be a real one: {packed}")


def _refuse(path: Path, message: str) -> NoReturn:
    raise InputInvalid([Problem(None, None, path.name, message)])
