"""Draws the pages of a contact sheet: a cover with contents, then images in a grid with captions."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from imagen_batch.exports.pdf.embed_images_unchanged import draw_image
from imagen_batch.exports.pdf.entries_and_pages import Entry, Page
from imagen_batch.exports.pdf.typeset import Typeface
from imagen_batch.exports.rows.manifest import RunImage
from imagen_batch.text import plural

_GRIDS = {1: (1, 1), 2: (1, 2), 4: (2, 2), 6: (2, 3), 9: (3, 3), 12: (3, 4), 20: (4, 5)}
_MARGIN, _HEADER, _FOOTER, _GAP = 42.0, 26.0, 18.0, 14.0
_SIZES = {1: (10.0, 5), 2: (9.0, 4), 4: (8.0, 4), 6: (7.5, 4), 9: (7.0, 4), 12: (6.5, 3), 20: (6.0, 3)}
_INK, _GRAY, _RULE, _PALE = 0.1, 0.42, 0.75, 0.96

Read = Callable[[RunImage], bytes]


@dataclass(frozen=True, slots=True)
class Cover:
    """The content of the first page."""

    title: str
    lines: Sequence[str]
    groups: Sequence[tuple[str, int, int, int]]  # name, images, samples without one, first page


class Sheet:
    """One PDF. Equal pages give equal bytes."""

    def __init__(self, handle: BinaryIO, *, title: str, per_page: int, faces: tuple[Typeface, Typeface]) -> None:
        self._canvas: Any = Canvas(handle, pagesize=A4, invariant=1, pageCompression=1, initialFontName=faces[0].font)
        self._canvas.setTitle(title)
        self._canvas.setAuthor("")
        self._canvas.setCreator("imagen-batch")
        self._canvas.setSubject("Contact sheet of generated images")
        self._title = title
        self._grid = _GRIDS[per_page]
        self._size, self._lines = _SIZES[per_page]
        self._regular, self._bold = faces
        self._width, self._height = A4
        self._group: str | None = None

    def cover(self, cover: Cover, *, last_page: int) -> None:
        """Draw title, facts and contents. Groups up to `last_page` are in this file and can be linked."""
        top = self._height - 120
        self._ink(_INK)
        for line in self._bold.wrap(cover.title, size=26, width=self._width - 2 * _MARGIN, lines=3):
            self._bold.draw(self._canvas, line, at=(_MARGIN, top), size=26)
            top -= 34
        top -= 6
        for text in cover.lines:
            for line in self._regular.wrap(text, size=10, width=self._width - 2 * _MARGIN, lines=3):
                self._ink(_GRAY)
                self._regular.draw(self._canvas, line, at=(_MARGIN, top), size=10)
                top -= 15
        self._contents(cover, top - 22, last_page)
        self._canvas.showPage()

    def page(self, page: Page, number: int, read: Read) -> None:
        """Draw a page of images."""
        if page.group != self._group:
            self._canvas.bookmarkPage(f"page-{number}")
            self._canvas.addOutlineEntry(page.group or self._title, f"page-{number}", level=0)
        self._group = page.group
        self._frame(page.group, number)
        columns, rows = self._grid
        width = (self._width - 2 * _MARGIN - (columns - 1) * _GAP) / columns
        height = (self._height - 2 * _MARGIN - _HEADER - _FOOTER - (rows - 1) * _GAP) / rows
        for position, entry in enumerate(page.entries):
            row, column = divmod(position, columns)
            left = _MARGIN + column * (width + _GAP)
            top = self._height - _MARGIN - _HEADER - row * (height + _GAP)
            self._cell(entry, (left, top - height, width, height), read)
        self._canvas.showPage()

    def save(self) -> None:
        """Write the file; the handle stays open."""
        self._canvas.save()

    def _contents(self, cover: Cover, top: float, last_page: int) -> None:
        if len(cover.groups) < 2:
            return
        right = self._width - _MARGIN
        for name, images, missing, first in cover.groups:
            if top < _MARGIN + _FOOTER:
                self._canvas.showPage()
                top = self._height - _MARGIN - 20
            self._rule(top - 5)
            self._ink(_INK)
            text = self._regular.cut(name or "(empty)", size=10, width=right - _MARGIN - 190)
            self._regular.draw(self._canvas, text, at=(_MARGIN, top), size=10)
            count = plural(images, "image") + (f", {missing:,} missing" if missing else "")
            self._ink(_GRAY)
            self._right(count, right - 40, top, 9)
            self._right(str(first), right, top, 9)
            if first <= last_page:
                self._canvas.linkRect(
                    "", f"page-{first}", (_MARGIN, top - 5, right, top + 10), relative=0, thickness=0
                )
            top -= 19

    def _frame(self, group: str, number: int) -> None:
        top, right = self._height - _MARGIN, self._width - _MARGIN
        self._ink(_INK)
        heading = self._bold.cut(group or self._title, size=12, width=(right - _MARGIN) * 0.68)
        self._bold.draw(self._canvas, heading, at=(_MARGIN, top - 6), size=12)
        self._ink(_GRAY)
        if group:
            self._right(self._regular.cut(self._title, size=8, width=(right - _MARGIN) * 0.28), right, top - 6, 8)
        self._rule(top - 14)
        self._right(str(number), right, _MARGIN - 8, 8)

    def _cell(self, entry: Entry, box: tuple[float, float, float, float], read: Read) -> None:
        left, bottom, width, height = box
        leading = self._size * 1.3
        caption = leading * (self._lines + 1) + 6
        space = (left, bottom + caption, width, height - caption)
        if entry.image is None:
            self._placeholder(entry, space)
        else:
            self._image(entry.image, space, read)
        self._caption(entry, (left, bottom + caption - 4 - self._size, width), leading)

    def _image(self, image: RunImage, space: tuple[float, float, float, float], read: Read) -> None:
        data = read(image)
        width, height = _pixels(data)
        left, bottom, most_wide, most_high = space
        scale = min(most_wide / width, most_high / height)
        draw_image(self._canvas, image, data, box=(left, bottom, width * scale, height * scale))

    def _placeholder(self, entry: Entry, space: tuple[float, float, float, float]) -> None:
        left, bottom, width, height = space
        self._canvas.saveState()
        self._canvas.setFillGray(_PALE)
        self._canvas.setStrokeGray(_RULE)
        self._canvas.setDash(3, 3)
        self._canvas.rect(left, bottom, width, height, stroke=1, fill=1)
        self._canvas.restoreState()
        lines = self._regular.wrap(entry.reason, size=self._size, width=width - 24, lines=6)
        top = bottom + height / 2 + len(lines) * self._size * 0.65
        self._ink(_INK)
        self._centered(self._bold, "No image", left + width / 2, top, self._size)
        self._ink(_GRAY)
        for number, line in enumerate(lines, 1):
            self._centered(self._regular, line, left + width / 2, top - number * self._size * 1.4, self._size)

    def _caption(self, entry: Entry, at: tuple[float, float, float], leading: float) -> None:
        left, top, width = at
        self._ink(_INK)
        detail = self._regular.width(entry.detail, self._size * 0.9)
        heading = self._bold.cut(entry.heading, size=self._size, width=width - detail - 8)
        self._bold.draw(self._canvas, heading, at=(left, top), size=self._size)
        self._ink(_GRAY)
        self._right(entry.detail, left + width, top, self._size * 0.9)
        self._ink(_INK)
        wrapped = self._regular.wrap(entry.prompt, size=self._size, width=width, lines=self._lines)
        for number, line in enumerate(wrapped, 1):
            self._regular.draw(self._canvas, line, at=(left, top - number * leading), size=self._size)

    def _right(self, text: str, right: float, top: float, size: float) -> None:
        self._regular.draw(self._canvas, text, at=(right - self._regular.width(text, size), top), size=size)

    def _centered(self, face: Typeface, text: str, middle: float, top: float, size: float) -> None:
        face.draw(self._canvas, text, at=(middle - face.width(text, size) / 2, top), size=size)

    def _rule(self, top: float) -> None:
        self._canvas.setStrokeGray(_RULE)
        self._canvas.setLineWidth(0.5)
        self._canvas.line(_MARGIN, top, self._width - _MARGIN, top)

    def _ink(self, gray: float) -> None:
        self._canvas.setFillGray(gray)


def _pixels(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        return image.size
