"""Makes hostile text harmless for programs that display or interpret it."""

from __future__ import annotations

import re
import unicodedata

# Line ends, other controls, direction overrides, lone surrogates, noncharacters.
_SPACES = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_HARMFUL = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_FORMULA = re.compile(r"^\s*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")  # full-width ones included


def one_line(text: str) -> str:
    """Return the text without line ends, control characters and direction overrides."""
    return _SPACES.sub(" ", _HARMFUL.sub("", unicodedata.normalize("NFC", text))).strip()


def shorten(text: str, longest: int) -> str:
    """Return one line of at most `longest` characters, with an ellipsis if the text was longer."""
    line = one_line(text[: longest * 4 + 100])
    return line if len(line) <= longest and len(text) <= longest * 4 + 100 else line[: longest - 1].rstrip() + "…"


def xml_text(text: str) -> str:
    """Return the text with everything escaped or removed that XML does not allow."""
    return (
        _NOT_XML.sub("", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    )


def excel_safe(text: str) -> str:
    """Return the text, with an apostrophe before it if a spreadsheet would run it as a formula."""
    return f"'{text}" if _FORMULA.match(text) else text
