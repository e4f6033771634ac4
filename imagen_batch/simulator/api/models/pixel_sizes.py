"""Lists the pixel sizes of images by aspect ratio and image size. (api: 2.2, 8.2)"""

from __future__ import annotations

from collections.abc import Mapping

Pixels = tuple[int, int]  # width, height

IMAGEN: Mapping[str, Pixels] = {
    "1:1": (1024, 1024),
    "3:4": (896, 1280),
    "4:3": (1280, 896),
    "9:16": (768, 1408),
    "16:9": (1408, 768),
}

GEMINI_2: Mapping[str, Pixels] = {
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

GEMINI_3_NARROW: Mapping[str, Pixels] = {
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
}

GEMINI_3: Mapping[str, Pixels] = {
    **GEMINI_3_NARROW,
    "1:4": (512, 2064),
    "4:1": (2064, 512),
    "1:8": (352, 2928),
    "8:1": (2928, 352),
}

_HALVES = {"512": 1, "1K": 2, "2K": 4, "4K": 8}


def pixels(shape_1k: Pixels, image_size: str) -> Pixels:
    """Scale the size of a 1K image to another image size."""
    width, height = shape_1k
    return width * _HALVES[image_size] // 2, height * _HALVES[image_size] // 2
