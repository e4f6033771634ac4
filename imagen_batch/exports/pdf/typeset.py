"""Measures, wraps and draws text in several fonts: each character comes from the first font that has it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import reportlab
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont

from imagen_batch.errors import SettingsInvalid
from imagen_batch.exports.pdf.right_to_left import visual_order

_OWN = Path(reportlab.__file__).parent / "fonts"
_MISSING = "?"


class Typeface:
    """The fonts of one weight. `missing` collects drawn characters that no font has."""

    def __init__(self, fonts: Sequence[Path], fallbacks: Iterable[Path] = ()) -> None:
        self._fonts = [_register(path) for path in fonts]
        self._fallbacks = iter(fallbacks)  # each is opened when a character is in none of the fonts before it
        self.missing: set[str] = set()

    @property
    def font(self) -> str:
        """The registered name of its first font."""
        return self._fonts[0][0]

    def width(self, text: str, size: float) -> float:
        """Return the width of a line in points."""
        return sum(float(pdfmetrics.stringWidth(part, font, size)) for font, part in self._runs(text))

    def draw(self, canvas: Any, text: str, *, at: tuple[float, float], size: float) -> None:
        """Draw one line, whose baseline begins at a point."""
        line = canvas.beginText(*at)
        for font, part in self._runs(visual_order(text)):
            line.setFont(font, size)
            line.textOut(part)
        canvas.drawText(line)

    def wrap(self, text: str, *, size: float, width: float, lines: int) -> list[str]:
        """Return at most `lines` lines of at most this width, with an ellipsis if the text is longer."""
        wrapped: list[str] = []
        for line in self._lines(text, size, width):
            if len(wrapped) == lines:
                wrapped[-1] = self.cut(wrapped[-1] + "…" * 2, size=size, width=width)
                break
            wrapped.append(line)
        return wrapped

    def cut(self, text: str, *, size: float, width: float) -> str:
        """Return the text, shortened with an ellipsis to this width."""
        if self.width(text, size) <= width and not text.endswith("……"):
            return text
        text = text.rstrip("…")
        while text and self.width(text + "…", size) > width:
            text = text[:-1].rstrip()
        return text + "…"

    def _lines(self, text: str, size: float, width: float) -> Iterator[str]:
        line = ""
        for word in self._words(text, size, width):
            longer = f"{line} {word}" if line else word
            if line and self.width(longer, size) > width:
                yield line
                line = word
            else:
                line = longer
        if line:
            yield line

    def _words(self, text: str, size: float, width: float) -> Iterator[str]:
        """Yield the words; a word that is too wide for a line is divided."""
        for word in text.split():
            while self.width(word, size) > width and len(word) > 1:
                kept = len(word)
                while kept > 1 and self.width(word[:kept], size) > width:
                    kept = max(1, min(kept - 1, int(kept * 0.9)))
                yield word[:kept]
                word = word[kept:]  # noqa: PLW2901 - what is left of it
            yield word

    def _runs(self, text: str) -> Iterator[tuple[str, str]]:
        chosen = [self._choose(char) for char in text]
        for font, pairs in groupby(chosen, key=lambda pair: pair[0]):
            yield font, "".join(char for _, char in pairs)

    def _choose(self, char: str) -> tuple[str, str]:
        for name, glyphs in self._fonts:
            if ord(char) in glyphs:
                return name, char
        if char not in self.missing and (other := self._fallback(char)) is not None:
            return other, char
        self.missing.add(char)
        return self.font, _MISSING

    def _fallback(self, char: str) -> str | None:
        """Return the first fallback font with the character; fonts that are opened before it stay in use."""
        for path in self._fallbacks:
            try:
                name, glyphs = _register(path)
            except SettingsInvalid:  # of a kind that can't be embedded
                continue
            self._fonts.append((name, glyphs))
            if ord(char) in glyphs:
                return name
        return None


def typefaces(fonts: Sequence[Path], fallbacks: Sequence[Path] = ()) -> tuple[Typeface, Typeface]:
    """Return regular and bold: the built-in Latin fonts, then the user's, then others for missing characters."""
    regular, bold = _OWN / "Vera.ttf", _OWN / "VeraBd.ttf"
    return Typeface([regular, *fonts], fallbacks), Typeface([bold, *fonts], fallbacks)


def _register(path: Path) -> tuple[str, frozenset[int]]:
    name = f"imagen-batch-{path}"
    try:
        font = TTFont(name, str(path))
    except (TTFError, OSError) as error:
        raise SettingsInvalid(f"--font {path}: no TrueType font that can be embedded: {error}") from error
    pdfmetrics.registerFont(font)
    return name, frozenset(font.face.charToGlyph)
