"""Counts in words, and foreign text made harmless for a terminal, a page and a spreadsheet."""

from __future__ import annotations

import re
import unicodedata

_WORDS = {" ", "\t", "\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "\xa0"}
_JOINERS = "\u200c\u200d"  # emoji and Indic scripts are written with them; they move nothing
_DANGEROUS = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")  # control, format (bidi), surrogate, private use, separators
_PLAIN = re.compile(r"[\x20-\x7e]*")
# Below U+0020 JSON has escapes of its own.
_OBEYED = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_LINE_END = re.compile(r"\r\n|\n")
# What a spreadsheet takes for the beginning of a formula, also in full width.
FORMULA = r"^[=+\-@\t\r\n\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]"
_FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def plural(count: int, noun: str) -> str:
    """A count with its noun: "1 picture", "1,632 pictures"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def span(seconds: float) -> str:
    """A time in words: "20 seconds", "1 minute", "2.5 hours"."""
    if seconds < 90:
        return plural(round(seconds), "second")
    if seconds < 90 * 60:
        return plural(round(seconds / 60), "minute")
    return f"{seconds / 3600:.1f} hours"


def printable(text: str) -> str:
    """Foreign text on one line, with nothing in it that a terminal or an editor would obey.

    Line ends and tabs become spaces. Other control characters, direction overrides and lone surrogates are shown as
    escapes: "\\x1b[31m".
    """
    if _PLAIN.fullmatch(text):
        return text
    return "".join(map(_shown, text))


def printable_lines(text: str) -> str:
    """The same for text of several lines, which stay lines."""
    return "\n".join(map(printable, _LINE_END.split(text)))


def json_text(value: object, *, option: int = 0) -> str:
    """JSON that does nothing in a terminal, whatever the texts in it hold; `option` is of orjson."""
    import orjson  # noqa: PLC0415 - the command line's help does without

    try:
        text = orjson.dumps(value, option=option).decode()
    except TypeError:  # lone surrogates, of a path that is not UTF-8
        text = orjson.dumps(_encodable(value), option=option).decode()
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(text: str, limit: int) -> str:
    """Foreign text as `printable`, without superfluous spaces and cut to `limit` characters."""
    line = " ".join(printable(text).split())
    return line if len(line) <= limit else f"{line[: limit - 3]}..."


def no_formula(text: str | None) -> str | None:
    """A service's text for a CSV cell: with an apostrophe in front where a spreadsheet would calculate it."""
    return f"'{text}" if text and _FORMULA.match(text) else text


def _shown(char: str) -> str:
    if char in _WORDS:
        return " "
    if char in _JOINERS or unicodedata.category(char) not in _DANGEROUS:
        return char
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _encodable(value: object) -> object:
    """The same plain data, with lone surrogates as escapes."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_encodable(name): _encodable(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(each) for each in value]
    return value
