"""Formats counts, amounts and times, and makes foreign text harmless for a terminal, a page and a spreadsheet."""

from __future__ import annotations

import csv
import io
import math
import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime

_SPACES = {" ", "\t", "\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "\xa0"}
_JOINERS = "\u200c\u200d"  # emoji and Indic scripts need them; they move no text
_DANGEROUS = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")  # control, format (bidi), surrogate, private use, separators
_PLAIN = re.compile(r"[\x20-\x7e]*")
# Characters that control a terminal. JSON itself escapes those below U+0020.
_TERMINAL_CONTROLS = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_LINE_END = re.compile(r"\r\n|\n")
# Characters with which a spreadsheet formula may begin, full-width ones included. FORMULA is for pyarrow (RE2).
FORMULA = r"^[=+\-@\t\r\n\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]"
_FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def plural(count: int, noun: str) -> str:
    """Format a count with its noun: "1 image", "1,632 images"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def span(seconds: float) -> str:
    """Format a duration: "20 seconds", "1 minute", "2.5 hours"."""
    if seconds < 90:
        return plural(round(seconds), "second")
    if seconds < 90 * 60:
        return plural(round(seconds / 60), "minute")
    return f"{seconds / 3600:.1f} hours"


def usd(amount: float) -> str:
    """Format an amount of money: "$12.40", and parts of a cent below ten cents: "$0.0336", "$0.04"."""
    return f"${amount:,.2f}" if amount >= 0.1 or amount == 0 else f"${amount:.4f}".removesuffix("00")


def usd_at_most(amount: float) -> str:
    """Format the most that something may cost, rounded up: a limit of this amount is enough."""
    step = 100 if amount >= 0.1 else 10_000
    return usd(math.ceil(amount * step - 1e-6) / step)


def round_up_to_cents(amount: float) -> str:
    """Format an amount for an option that limits costs, rounded up to whole cents: "0.04" for 0.0336."""
    return f"{math.ceil(amount * 100 - 1e-6) / 100:.2f}"


def format_bytes(count: int) -> str:
    """Format a size for people: "870 bytes", "1.4 MB"."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return plural(count, "byte")


def iso_utc(moment: datetime) -> str:
    """Format a moment in ISO 8601, in UTC with milliseconds: "2026-11-27T01:02:03.004Z"."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def did_you_mean(word: str, known: Iterable[str], *, cutoff: float = 0.6, most: int = 1) -> str:
    """Return "; did you mean NAME?" for the known names that are most like `word`, or nothing if none is close.

    `cutoff` is a ratio of difflib, from 0 to 1: "rnu" and "run" have 0.67. At most `most` names are offered.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - only needed for a mistake

    names = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), names, n=most, cutoff=cutoff)
    return f"; did you mean {' or '.join(names[name] for name in close)}?" if close else ""


def shorten(text: str, limit: int) -> str:
    """Cut `text` to `limit` characters; the last three are dots if something was cut."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def printable(text: str) -> str:
    """Put foreign text on one line and escape everything that a terminal or an editor would obey.

    Line ends and tabs become spaces. Other control characters, direction overrides and lone surrogates are shown as
    escapes: "\\x1b[31m".
    """
    if _PLAIN.fullmatch(text):
        return text
    return "".join(map(_escape, text))


def printable_lines(text: str) -> str:
    """Escape foreign text as `printable` does, but keep its line ends."""
    return "\n".join(map(printable, _LINE_END.split(text)))


def json_text(value: object, *, option: int = 0) -> str:
    """Serialize to JSON with escapes for everything that a terminal would obey. `option` is passed to orjson."""
    import orjson  # noqa: PLC0415 - `--help` does not need it

    try:
        text = orjson.dumps(value, option=option).decode()
    except TypeError:  # lone surrogates of a path that is not UTF-8
        text = orjson.dumps(_encodable(value), option=option).decode()
    return _TERMINAL_CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def one_line(text: str, limit: int) -> str:
    """Escape foreign text as `printable` does, collapse its spaces and cut it to `limit` characters."""
    return shorten(" ".join(printable(text).split()), limit)


def no_formula(text: str | None) -> str | None:
    """Put an apostrophe before text from a service that a spreadsheet would take for a formula."""
    return f"'{text}" if text and _FORMULA.match(text) else text


def _escape(char: str) -> str:
    if char in _SPACES:
        return " "
    if char in _JOINERS or unicodedata.category(char) not in _DANGEROUS:
        return char
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _encodable(value: object) -> object:
    """Copy plain data, with lone surrogates escaped."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_encodable(name): _encodable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(item) for item in value]
    return value


def is_unicode(text: str) -> bool:
    """Return whether `text` can be encoded as UTF-8: names of files and in the environment may contain any bytes."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def csv_line(cells: Iterable[str]) -> str:
    """Format a row of a CSV file that ends with a newline; a cell with any end of a line is quoted.

    >>> csv_line(["a", "b\\rc"])
    'a,"b\\rc"\\n'
    """
    row = io.StringIO(newline="")
    csv.writer(row, lineterminator="\r\n").writerow(cells)  # before 3.13 only characters of the terminator are quoted
    return row.getvalue().removesuffix("\r\n") + "\n"
