"""Fits any text into a box of an image: legible, wrapped and shortened."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_MAX_CHARACTERS = 1500  # no image has room for more
_SMALLEST = 9  # pixels
_LOOKALIKES = str.maketrans(
    {"—": "-", "–": "-", "•": "·", "ß": "ss", "ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "æ": "ae", "đ": "d"}
)


@lru_cache(maxsize=64)
def font(size: int) -> Font:
    """Return the typeface that comes with Pillow, `size` in pixels."""
    return ImageFont.load_default(max(size, _SMALLEST))


def line_height(size: int) -> int:
    """Return the pixels from one line to the next."""
    return round(max(size, _SMALLEST) * 1.28)


def fit(text: str, *, sizes: Sequence[int], width: int, height: int) -> tuple[int, list[str]]:
    """Return the first of the descending `sizes` in which `text` fits into the box, and its lines.

    At the last size the text is cut and ends in an ellipsis.
    """
    words = legible(text[:_MAX_CHARACTERS])
    for size in sizes:
        lines = list(wrap(words.split(), size=size, width=width))
        max_lines = max(1, height // line_height(size))
        if len(lines) <= max_lines and len(text) <= _MAX_CHARACTERS:
            return size, lines
    last = shorten(lines[max_lines - 1] if len(lines) >= max_lines else "", size=size, width=width)
    return size, [*lines[: max_lines - 1], last]


def wrap(words: Iterable[str], *, size: int, width: int, gap: str = " ") -> Iterator[str]:
    """Yield lines no wider than `width`, with words joined by `gap`; break words that are too long."""
    line = ""
    for word in _split_words(words, size=size, width=width):
        longer = f"{line}{gap}{word}" if line else word
        if line and _length(longer, size) > width:
            yield line
            line = word
        else:
            line = longer
    if line:
        yield line


def shorten(line: str, *, size: int, width: int) -> str:
    """Append an ellipsis to `line`, cut to the width."""
    while line and _length(line + "…", size) > width:
        line = line[:-1]
    return line.rstrip(" ,.;:") + "…"


def legible(text: str) -> str:
    """Return `text` in letters of the typeface: drop accents, name other scripts and signs in brackets."""
    text = "".join(_without_accents(character) for character in " ".join(text.translate(_LOOKALIKES).split()))
    kinds = "".join(" " if character == " " else "x" if _has_glyph(character) else "?" for character in text)
    parts, end = [], 0
    for run in re.finditer(r"\?(?:[? ]*\?)?", kinds):
        parts += [text[end : run.start()], _describe_signs(text[run.start() : run.end()])]
        end = run.end()
    return "".join([*parts, text[end:]])


def _split_words(words: Iterable[str], *, size: int, width: int) -> Iterator[str]:
    for word in words:
        rest = word
        while _length(rest, size) > width and len(rest) > 1:
            cut = len(rest)
            while cut > 1 and _length(rest[:cut], size) > width:
                cut = cut * 7 // 8
            yield rest[:cut]
            rest = rest[cut:]
        yield rest


@lru_cache(maxsize=8192)
def _length(text: str, size: int) -> float:
    return font(size).getlength(text)


@lru_cache(maxsize=4096)
def _has_glyph(character: str) -> bool:
    """Whether the typeface has this character: all missing ones have the same shape."""
    return character == " " or bytes(font(20).getmask(character)) != bytes(font(20).getmask("\uffff"))


@lru_cache(maxsize=4096)
def _without_accents(character: str) -> str:
    """Return the character without accents if that can be drawn, otherwise unchanged."""
    if _has_glyph(character):
        return character
    base = "".join(c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c))
    return base if base and all(map(_has_glyph, base)) else character


def _describe_signs(run: str) -> str:
    """Name characters that the typeface does not have: "[21 letters of Cyrillic]", "[cat face]"."""
    characters = run.replace(" ", "")
    names = [unicodedata.name(character, "unnamed sign") for character in characters]
    if not unicodedata.category(characters[0]).startswith("L"):
        return f"[{', '.join(names[:3]).lower()}]"
    letters = [name for name, character in zip(names, characters, strict=True) if character.isalpha()]
    scripts = list(dict.fromkeys(name.split()[0].title().replace("Cjk", "CJK") for name in letters))
    return f"[{len(letters)} letters of {', '.join(scripts[:3])}]"
