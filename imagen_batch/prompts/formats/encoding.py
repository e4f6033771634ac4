"""Finds the encoding of a prompt file.

It is that of the byte order mark, else strict UTF-8, else a guess that the user is warned of. The result has read the
whole file without an error once: no character is ever replaced or left out.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from imagen_batch.errors import InputInvalid
from imagen_batch.prompts.formats.bounded_lines import bounded_lines
from imagen_batch.records import Problem

_MARKS = (  # UTF-32 before UTF-16, whose mark is the beginning of the other
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ZIP = b"PK\x03\x04"
_BLOCK = 1 << 20  # characters
_SAMPLE = 1 << 16  # bytes: enough to tell encodings apart, and quick
_INVALID = re.compile(r"[\udc80-\udcff]")  # what "surrogateescape" turns invalid bytes into


def find_encoding(path: Path, *, forced: str | None = None) -> tuple[str, str | None]:
    """Return the codec that reads all of `path` strictly, and a warning if it had to be guessed.

    Raises InputInvalid if there is none, OSError if the file can't be read at all.
    """
    with path.open("rb") as file:
        head = file.read(64)
    mark = next((codec for mark, codec in _MARKS if head.startswith(mark)), None)
    if forced:
        return _require_valid(path, _find_codec(forced, mark=mark)), None
    if head.startswith(_ZIP):
        raise InputInvalid([Problem(None, None, path.name, "this is a spreadsheet or a zip: save it as CSV")])
    if mark:
        return _require_valid(path, mark), None
    if wide := _wide_without_mark(head):
        return _require_valid(path, wide), f"the file looks like {wide} without a byte order mark and is read as such"
    return ("utf-8", None) if _can_decode(path, "utf-8") else _guess_encoding(path)


def _find_codec(name: str, *, mark: str | None) -> str:
    """Return the codec called `name`, in the variant that skips a byte order mark if the file has one."""
    try:
        known = codecs.lookup(name).name
        "".encode(known)  # refuses codecs that are not for text, such as base64
    except (LookupError, UnicodeError):
        raise InputInvalid([Problem(None, None, name, "there is no text encoding of that name")]) from None
    return mark if mark and known.startswith(mark.removesuffix("-sig")) else known


def _require_valid(path: Path, codec: str) -> str:
    if _can_decode(path, codec):
        return codec
    message = f"the file is not valid {codec}: this line contains other bytes"
    raise InputInvalid([Problem(_first_bad_line(path, codec), None, None, message)])


def _can_decode(path: Path, codec: str) -> bool:
    try:
        with path.open(encoding=codec, newline="") as file:
            while file.read(_BLOCK):
                pass
    except UnicodeError:
        return False
    return True


def _first_bad_line(path: Path, codec: str) -> int | None:
    try:
        with path.open(encoding=codec, errors="replace", newline="") as file:
            return next((number for number, line in enumerate(bounded_lines(file), 1) if "\ufffd" in line), None)
    except UnicodeError:  # UTF-16 of unknown byte order
        return None


def _wide_without_mark(head: bytes) -> str | None:
    """Recognize UTF-16 by its first four characters: every other byte of Latin text is zero."""
    even, odd = head[0:8:2].count(0), head[1:8:2].count(0)
    if min(even, odd) == 0 and max(even, odd) >= 3:
        return "utf-16-le" if odd else "utf-16-be"
    return None


def _guess_encoding(path: Path) -> tuple[str, str]:
    first, sample = _invalid_lines(path)
    for codec in (_detect(sample), "cp1252", "latin-1"):
        if _can_decode(path, codec):
            text = sample.splitlines()[0].decode(codec, "replace").strip()[:60]
            shown = f"line {first} then reads {text!r}"
            return (
                codec,
                f"the file is not UTF-8; it is read as {codec} ({shown}). Give --encoding if that is wrong",
            )
    raise AssertionError("latin-1 reads every byte")


def _invalid_lines(path: Path) -> tuple[int, bytes]:
    """Return the number of the first line that is not UTF-8, and the bytes of the first few such lines.

    Raises InputInvalid for a file that is mostly UTF-8: a guess would garble its valid lines.
    """
    valid, invalid, first, sample = 0, 0, 0, bytearray()
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        for number, line in enumerate(bounded_lines(file), 1):
            if line.isascii():
                continue
            if not _INVALID.search(line):
                valid += 1
                continue
            invalid += 1
            first = first or number
            if len(sample) < _SAMPLE:
                sample += line.encode("utf-8", "surrogateescape")[:_SAMPLE]
    if valid > invalid:
        message = "this line is not UTF-8, although most others are: fix the line, or give --encoding"
        raise InputInvalid([Problem(first, None, None, message)])
    return first, bytes(sample)


def _detect(sample: bytes) -> str:
    """Return the detector's best match; CP1252 if it is as good, because nearly all such files are Western."""
    import charset_normalizer  # noqa: PLC0415 - UTF-8 does not need it

    matches = charset_normalizer.from_bytes(sample)
    best = matches.best()
    if best is None:
        return "cp1252"
    western = any(
        "cp1252" in match.could_be_from_charset and match.chaos <= best.chaos and match.coherence >= best.coherence
        for match in matches
    )
    return "cp1252" if western else best.encoding
