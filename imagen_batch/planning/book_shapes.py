"""Chooses aspect ratio and size for named shapes of images in a book, and computes their print resolution.

A shape has a ratio of its own, or that of the page: `--trim 8.5x8.5in --bleed 0.125in`. The nearest ratio and the
smallest size that prints at 300 dots an inch are chosen from what the model offers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import log, sqrt
from typing import Final

from imagen_batch.errors import SettingsInvalid
from imagen_batch.prompts import cells
from imagen_batch.providers.catalogue import Model
from imagen_batch.settings import Settings
from imagen_batch.text import did_you_mean

PRINT_DPI: Final = 300
_SIZES: Final[Mapping[str, float]] = {"512": 0.5, "1K": 1.0, "2K": 2.0, "4K": 4.0}  # times 1024 pixels a side
_USUAL: Final = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
_LENGTH = re.compile(r"(\d{1,4}(?:\.\d{1,4})?)\s*(in|mm|cm|\")?", re.IGNORECASE)
_INCHES: Final = {"in": 1.0, '"': 1.0, "mm": 1 / 25.4, "cm": 1 / 2.54}
_MEMBERS = ("aspect_ratio", "image_size", "width", "height", "pages")


@dataclass(frozen=True, slots=True)
class Shape:
    """A named shape. `pages` is how many pages wide it is; 0 means a part of a page, without bleed."""

    name: str
    aspect_ratio: str
    image_size: str
    pages: float = 1
    print_size: tuple[float, float] | None = None  # in inches; None follows the page
    fixed_ratio: bool = False  # the user named the ratio


@dataclass(frozen=True, slots=True)
class Fit:
    """The ratio and size to request for a shape. `dpi` is the approximate resolution; None without a printed size."""

    aspect_ratio: str | None
    image_size: str | None
    dpi: float | None
    pixels: tuple[int, int] | None
    printed: tuple[float, float] | None  # in inches, with bleed


BUILT_IN: Final = {
    "cover": Shape("cover", "3:4", "4K"),
    "full-page": Shape("full-page", "3:4", "2K"),
    "spread": Shape("spread", "3:2", "4K", pages=2),
    "spot": Shape("spot", "1:1", "1K", pages=0),
}


@dataclass(frozen=True, slots=True)
class Shapes:
    """The shapes of a run and the page that they are printed on."""

    named: Mapping[str, Shape] = field(default_factory=lambda: BUILT_IN)
    default: str | None = None  # of rows that name none
    trim: tuple[float, float] | None = None  # width and height in inches
    bleed: float = 0.0
    strict: bool = False  # whether the user uses shapes, so that any unknown name is a mistake

    def find(self, name: str | None) -> Shape | None:
        """Return the shape of a row; None for a row without one. Raises UnknownShape."""
        name = name or self.default
        if name is None:
            return self.named["full-page"] if self.trim else None
        shape = self.named.get(_normalize_name(name))
        if shape is None:
            raise UnknownShape(name, self)
        return shape

    def printed_size(self, shape: Shape) -> tuple[float, float] | None:
        """Return the printed width and height in inches, with bleed; None if they are unknown."""
        if shape.print_size or not self.trim:
            return shape.print_size
        width, height = self.trim
        if not shape.pages:
            return width / 2, width / 2 / _ratio_value(shape.aspect_ratio)
        return width * shape.pages + 2 * self.bleed, height + 2 * self.bleed

    def fit(self, shape: Shape, model: Model, *, image_size: str | None = None, ratio: str | None = None) -> Fit:
        """Return the nearest ratio and size that the model offers, or those that the user has chosen."""
        printed = self.printed_size(shape)
        page = printed if not shape.fixed_ratio else None
        wanted = page[0] / page[1] if page else _ratio_value(shape.aspect_ratio)
        ratio = ratio or _nearest_ratio(model.ratios or _USUAL, wanted)
        if image_size is None and model.sends_size:
            image_size = _choose_size(shape, printed, ratio, model.sizes)
        pixels = _estimate_pixels(ratio, image_size or "1K")
        return Fit(ratio, image_size, dpi(pixels, printed) if printed else None, pixels, printed)

    def describe(self, shape: Shape, fit: Fit) -> str:
        """Return a line for the plan."""
        size = f" {fit.image_size}" if fit.image_size else ""
        pixels = f", about {fit.pixels[0]:,} x {fit.pixels[1]:,} pixels" if fit.pixels else ""
        printed = ""
        if fit.printed and fit.dpi is not None:
            printed = f", {fit.dpi:.0f} dpi on {fit.printed[0]:.4g} x {fit.printed[1]:.4g} in"
        return f"{shape.name}: {fit.aspect_ratio}{size}{pixels}{printed}"


class UnknownShape(ValueError):
    """A name that is not a shape. `certain`: it must be a mistake, not a value in a column of the user's own."""

    def __init__(self, name: str, shapes: Shapes) -> None:
        hint = did_you_mean(name, shapes.named)
        super().__init__(f"there is no shape {name!r}{hint}; shapes are {', '.join(shapes.named)}")
        self.name = name
        self.certain = shapes.strict or bool(hint)


def dpi(pixels: tuple[int, int], printed: tuple[float, float]) -> float:
    """Return the dots an inch of an image that fills a printed area, of the side that has fewer."""
    return min(pixels[0] / printed[0], pixels[1] / printed[1])


def read_shapes(settings: Settings) -> Shapes:
    """Return the shapes of a run. Raises SettingsInvalid for sizes that can't be read."""
    return _read_shapes(
        tuple((name, tuple(values.items())) for name, values in settings.shapes.items()),
        settings.shape,
        settings.trim,
        settings.bleed,
    )


@lru_cache(maxsize=8)
def _read_shapes(
    own: tuple[tuple[str, tuple[tuple[str, object], ...]], ...],
    default: str | None,
    trim: str | None,
    bleed: str | None,
) -> Shapes:
    named = dict(BUILT_IN)
    for name, values in own:
        named[_normalize_name(name)] = _read_shape(name, dict(values))
    if bleed is not None and trim is None:
        raise SettingsInvalid("--bleed needs the size of the page: add --trim WIDTHxHEIGHT")
    shapes = Shapes(
        named,
        default,
        _parse_area(trim, "--trim") if trim else None,
        _parse_length(bleed, "--bleed") if bleed else 0.0,
        strict=bool(own or default or trim),
    )
    try:
        shapes.find(None)
    except UnknownShape as error:
        raise SettingsInvalid(f"--shape: {error}") from error
    return shapes


def _read_shape(name: str, values: Mapping[str, object]) -> Shape:
    if unknown := next((member for member in values if member not in _MEMBERS), None):
        known = ", ".join(_MEMBERS)
        raise SettingsInvalid(f"shapes.{name}: unknown {unknown!r}{did_you_mean(unknown, _MEMBERS)}. Known: {known}")
    base = BUILT_IN["full-page"]
    width, height = (values.get(side) for side in ("width", "height"))
    if (width is None) != (height is None):
        raise SettingsInvalid(f"shapes.{name}: width and height belong together")
    try:
        ratio = cells.aspect_ratio(str(values["aspect_ratio"])) if "aspect_ratio" in values else None
        size = cells.image_size(str(values.get("image_size", base.image_size)))
        pages = float(str(values.get("pages", 1)))
    except ValueError as error:
        raise SettingsInvalid(f"shapes.{name}: {error}") from error
    if not 0 <= pages <= 10:
        raise SettingsInvalid(f"shapes.{name}: pages must be from 0 to 10")
    area = None
    if width is not None:
        area = _parse_length(str(width), f"shapes.{name}"), _parse_length(str(height), f"shapes.{name}")
    return Shape(name, ratio or base.aspect_ratio, size, pages, area, fixed_ratio=ratio is not None)


def _parse_area(text: str, option: str) -> tuple[float, float]:
    """Parse `8.5x8.5in` or `210mm x 297mm`."""
    width, _, height = text.lower().replace("×", "x").partition("x")
    unit = _LENGTH.fullmatch(height.strip())
    if not unit:
        raise SettingsInvalid(f"{option} {text!r}: a size is written like 8.5x8.5in or 210x297mm")
    with_unit = (
        width if _LENGTH.fullmatch(width.strip()) and re.search(r"[a-z\"]", width) else f"{width}{unit[2] or ''}"
    )
    return _parse_length(with_unit, option), _parse_length(height, option)


def _parse_length(text: str, option: str) -> float:
    match = _LENGTH.fullmatch(text.strip())
    inches = float(match[1]) * _INCHES[(match[2] or "in").lower()] if match else 0.0
    if not 0 < inches <= 200:
        raise SettingsInvalid(f"{option} {text!r}: a length is written like 8.5in or 216mm, up to 200 inches")
    return inches


def _nearest_ratio(ratios: Sequence[str], wanted: float) -> str:
    return min(ratios, key=lambda ratio: abs(log(_ratio_value(ratio) / wanted)))


def _ratio_value(ratio: str) -> float:
    width, _, height = ratio.partition(":")
    return int(width) / int(height)


def _choose_size(shape: Shape, printed: tuple[float, float] | None, ratio: str, offered: Sequence[str]) -> str:
    """Return the smallest size that prints well, else the largest; without a printed size the shape's own."""
    sizes = [size for size in _SIZES if not offered or size in offered]
    if not sizes:
        return offered[-1]
    if printed is None:
        return min(sizes, key=lambda size: abs(log(_SIZES[size] / _SIZES[shape.image_size])))
    return next((size for size in sizes if dpi(_estimate_pixels(ratio, size), printed) >= PRINT_DPI), sizes[-1])


def _estimate_pixels(ratio: str, size: str) -> tuple[int, int]:
    """Estimate the pixels of an image: services keep about the same area for every ratio."""
    side = 1024 * _SIZES.get(size, 1.0)
    root = sqrt(_ratio_value(ratio))
    return round(side * root), round(side / root)


def _normalize_name(name: str) -> str:
    return re.sub(r"[\s_-]+", "-", name.strip().lower())
