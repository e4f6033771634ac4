"""Draws the background of an image: a calm landscape with sky, sun and three ridges.

A scene is drawn once per shape and composition as tones (0 dark .. 255 light) and cached. The colors of an image are
a palette over those tones, so that every prompt has its own hue at no cost.
"""

from __future__ import annotations

import colorsys
import math
import random
from functools import lru_cache

from PIL import Image, ImageDraw

from imagen_batch.simulator.api.models.pixel_sizes import Pixels

COMPOSITIONS = 12
INK, PAPER = 8, 255  # tones of text: upon the sky, and upon the near ridge
DARK_FROM = 0.60  # below this part of the height it is dark enough for light text

_RIDGES = ((0.40, 132), (0.48, 96), (0.55, 52))  # height of the line, tone


@lru_cache(maxsize=64)
def scene(shape: Pixels, composition: int) -> Image.Image:
    """Return the tones of a landscape in that shape. The image is cached: copy it before drawing."""
    rng = random.Random(composition)  # noqa: S311 - an image, not a secret
    width, height = shape[0] * 2, shape[1] * 2  # drawn twice as large, for smooth edges
    tones = _sky((width, height))
    canvas = ImageDraw.Draw(tones)
    _sun(canvas, (width, height), rng)
    for level, tone in _RIDGES:
        line = _ridge((width, height), level, rng, peaks=composition % 3 == 0)
        canvas.polygon([(0, height), *line, (width, height)], fill=tone)
    _dusk(tones)
    return tones.reduce(2)


@lru_cache(maxsize=512)
def palette(hue: float) -> bytes:
    """Return 256 RGB triples from the hue's darkest tone, over its color, to a warm white."""
    triples = bytearray()
    for tone in range(256):
        light = tone / 255
        shifted = (hue + 0.12 * light) % 1
        saturation = 0.62 - 0.52 * light**1.6
        value = 0.10 + 0.90 * light**0.85
        triples += bytes(round(255 * part) for part in colorsys.hsv_to_rgb(shifted, saturation, value))
    return bytes(triples)


def _sky(shape: Pixels) -> Image.Image:
    """Draw a sky with light above and a glow at the horizon."""
    column = Image.new("L", (1, 256))
    column.putdata([round(196 + 48 * min(1, y / 118) ** 2) for y in range(256)])
    return column.resize(shape, Image.Resampling.BILINEAR)


def _sun(canvas: ImageDraw.ImageDraw, shape: Pixels, rng: random.Random) -> None:
    width, height = shape
    radius = min(shape) * rng.uniform(0.07, 0.12)
    x, y = width * rng.uniform(0.3, 0.72), height * rng.uniform(0.26, 0.38)
    for grow, tone in ((1.55, 238), (1.0, 252)):
        reach = radius * grow
        canvas.ellipse((x - reach, y - reach, x + reach, y + reach), fill=tone)


def _ridge(shape: Pixels, level: float, rng: random.Random, *, peaks: bool) -> list[tuple[float, float]]:
    """Return the points of a skyline from left to right; it stays above the text."""
    width, height = shape
    swing = min(height * 0.045, width * 0.16)
    waves = [(rng.uniform(0.6, 1.4) * n, rng.uniform(0, math.tau), 1 / n) for n in (1, 2, 4)]
    span = 1.2 * max(1.0, width / height)

    def rise(x: float) -> float:
        return sum(size * _wave(often * span * x * math.pi + shift, peaks) for often, shift, size in waves)

    steps = 160
    return [(width * i / steps, height * level - swing * 0.57 * rise(i / steps)) for i in range(steps + 1)]


def _wave(angle: float, peaks: bool) -> float:  # noqa: FBT001 - one of two wave forms
    return 2 / math.pi * math.asin(math.sin(angle)) if peaks else math.sin(angle)


def _dusk(tones: Image.Image) -> None:
    """Darken the image towards the lower edge, where the text is."""
    width, height = tones.size
    top = round(height * DARK_FROM)
    shade = Image.new("L", (1, 64))
    shade.putdata([52 - round(30 * y / 63) for y in range(64)])
    tones.paste(shade.resize((width, height - top), Image.Resampling.BILINEAR), (0, top))
