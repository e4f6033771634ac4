"""Lists how many pixels an image will have, by model, aspect ratio and image size. (api: 2.2, 8.2)

Services keep to these sizes only for a ratio that is requested, and may change them.
"""

from __future__ import annotations

from collections.abc import Mapping

from imagen_batch.providers.catalogue import Model

Pixels = tuple[int, int]  # width, height

SIDES: Mapping[str, int] = {"512": 512, "1K": 1024, "2K": 2048, "4K": 4096}
"""Pixels of a side of a square image, by image size; other shapes have about as many pixels in all."""

_IMAGEN: Mapping[str, Pixels] = {
    "1:1": (1024, 1024),
    "3:4": (896, 1280),
    "4:3": (1280, 896),
    "9:16": (768, 1408),
    "16:9": (1408, 768),
}
_GEMINI_2: Mapping[str, Pixels] = {
    "1:1": (1024, 1024),
    "2:3": (832, 1248),
    "3:2": (1248, 832),
    "3:4": (864, 1184),
    "4:3": (1184, 864),
    "4:5": (896, 1152),
    "5:4": (1152, 896),
    "9:16": (768, 1344),
    "16:9": (1344, 768),
    "21:9": (1536, 672),
}
_GEMINI_3: Mapping[str, Pixels] = {
    "1:1": (1024, 1024),
    "2:3": (848, 1264),
    "3:2": (1264, 848),
    "3:4": (896, 1200),
    "4:3": (1200, 896),
    "4:5": (928, 1152),
    "5:4": (1152, 928),
    "9:16": (768, 1376),
    "16:9": (1376, 768),
    "21:9": (1584, 672),
    "1:4": (512, 2064),
    "4:1": (2064, 512),
    "1:8": (352, 2928),
    "8:1": (2928, 352),
}
_HALVES = {"512": 1, "1K": 2, "2K": 4, "4K": 8}
# The start of a model's id -> its sizes at 1K; the first that matches.
_FAMILIES: tuple[tuple[str, Mapping[str, Pixels]], ...] = (
    ("imagen-", _IMAGEN),
    ("gemini-2.5-", _GEMINI_2),
    ("gemini-3", _GEMINI_3),
    ("gemini-nano-banana-", _GEMINI_3),
)


def expected_pixels(model: Model, aspect_ratio: str | None, image_size: str | None) -> Pixels | None:
    """Return width and height of an image; None where they are not known, or the service chooses the shape."""
    table = next((table for start, table in _FAMILIES if model.id.startswith(start)), {})
    halves = _HALVES.get(image_size or model.default_size)
    if aspect_ratio is None or aspect_ratio not in table or halves is None:
        return None
    width, height = table[aspect_ratio]
    return width * halves // 2, height * halves // 2
