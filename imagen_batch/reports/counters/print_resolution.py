"""Measures the print resolution of the images of each shape, from their real pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from imagen_batch.planning.book_shapes import PRINT_DPI, Shapes, UnknownShape, dpi
from imagen_batch.records import ManifestRow
from imagen_batch.reports.counters.lists_of_image_facts import ImageFacts
from imagen_batch.text import plural

_MAX_IDS = 5


@dataclass(slots=True)
class ShapePrint:
    """The images of one shape: their printed size in inches, their lowest resolution, and those below 300 dpi."""

    shape: str
    printed: tuple[float, float]
    images: int = 0
    lowest_dpi: float = float("inf")
    below: int = 0
    first_below: list[str] = field(default_factory=list)  # ids or row numbers

    def sentence(self) -> str:
        """Describe the shape's images."""
        size = f"{self.printed[0]:.4g} x {self.printed[1]:.4g} in"
        text = f"print: {plural(self.images, self.shape + ' image')} on {size}, at least {self.lowest_dpi:.0f} dpi"
        if not self.below:
            return text
        more = ", ..." if self.below > len(self.first_below) else ""
        return f"{text}; {self.below:,} below {PRINT_DPI} dpi: {', '.join(self.first_below)}{more}"


class PrintQuality:
    """Collects the images of each shape as the manifest's rows stream by."""

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes
        self._by_shape: dict[str, ShapePrint] = {}

    def add(self, entry: ManifestRow) -> None:
        """Add a sample; one without an image or without a printed size is ignored."""
        sample = entry.sample
        if sample.status == "ok":
            name = f"{entry.row.id or entry.row.row}:{sample.number}"
            self._add(self._print_of(entry.row.shape), (sample.width, sample.height), name)

    def add_images(self, images: ImageFacts) -> None:
        """Add images of rows that name no shape."""
        shape_print = self._print_of(None)
        if shape_print is None:
            return
        rows = zip(images.rows.numbers, images.rows.ids(), images.numbers, strict=True)
        for (row, id_, number), size in zip(rows, zip(images.widths, images.heights, strict=True), strict=True):
            self._add(shape_print, size, f"{id_ or row}:{number}")

    def _print_of(self, name: str | None) -> ShapePrint | None:
        """Return the figures of a shape, by the name in the row; None without a printed size."""
        try:
            shape = self._shapes.find(name)
        except UnknownShape:
            return None
        printed = self._shapes.printed_size(shape) if shape else None
        if shape is None or printed is None:
            return None
        return self._by_shape.get(shape.name) or ShapePrint(shape.name, printed)

    def _add(self, shape_print: ShapePrint | None, size: tuple[int | None, int | None], image: str) -> None:
        width, height = size
        if shape_print is None or not width or not height:
            return
        self._by_shape[shape_print.shape] = shape_print
        resolution = dpi((width, height), shape_print.printed)
        shape_print.images += 1
        shape_print.lowest_dpi = min(shape_print.lowest_dpi, resolution)
        if round(resolution) < PRINT_DPI:
            shape_print.below += 1
            if len(shape_print.first_below) < _MAX_IDS:
                shape_print.first_below.append(image)

    def shapes(self) -> Iterator[ShapePrint]:
        """Yield the shapes that have images."""
        yield from self._by_shape.values()
