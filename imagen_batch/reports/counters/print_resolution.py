"""Measures the print resolution of the images of each shape, from their real pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from imagen_batch.planning.book_shapes import PRINT_DPI, Shapes, UnknownShape, dpi
from imagen_batch.records import ManifestRow
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
        if sample.status != "ok" or not sample.width or not sample.height:
            return
        try:
            shape = self._shapes.find(entry.row.shape)
        except UnknownShape:
            return
        printed = self._shapes.printed_size(shape) if shape else None
        if shape is None or printed is None:
            return
        shape_print = self._by_shape.setdefault(shape.name, ShapePrint(shape.name, printed))
        resolution = dpi((sample.width, sample.height), printed)
        shape_print.images += 1
        shape_print.lowest_dpi = min(shape_print.lowest_dpi, resolution)
        if round(resolution) < PRINT_DPI:
            shape_print.below += 1
            if len(shape_print.first_below) < _MAX_IDS:
                shape_print.first_below.append(f"{entry.row.id or entry.row.row}:{sample.number}")

    def shapes(self) -> Iterator[ShapePrint]:
        """Yield the shapes that have images."""
        yield from self._by_shape.values()
