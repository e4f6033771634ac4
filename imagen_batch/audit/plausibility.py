"""Looks at what the service sent for signs of another prompt's image: the same bytes twice, or another shape.

A checksum only shows that a file is the one that came. These signs are told, and never lead to buying an image again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from hashlib import sha256
from math import log2, sqrt
from typing import Final

from imagen_batch.audit.findings import Finding
from imagen_batch.records import ManifestRow

_TOLERANCE: Final = 0.04
_SIDES: Final = {"512": 512, "1K": 1024, "2K": 2048, "4K": 4096}
# Imagen's documented sizes for these ratios are 1280 x 896 and 896 x 1280.
_DOCUMENTED: Final = {"4:3": 1280 / 896, "3:4": 896 / 1280}
_DIGEST_BYTES: Final = 8

Place = tuple[int, int]


class Plausible:
    """Takes entries in input order. Memory grows with 8 bytes of hash and the place of each image."""

    def __init__(self) -> None:
        self._first: dict[bytes, tuple[Place, bytes]] = {}  # hash of an image -> whose it is first, and its prompt
        self._found: list[tuple[Place, Finding]] = []

    def look(self, entry: ManifestRow) -> None:
        """The next entry."""
        sample = entry.sample
        if sample.status != "ok" or sample.file is None:
            return
        place = entry.row.row, sample.number
        detail = _misshapen(entry)
        if detail is not None:
            self._found.append((place, Finding("shape", detail, sample.file, *place, entry.trace.key)))
        if sample.sha256 is not None:
            self._compare(entry, place, bytes.fromhex(sample.sha256)[: 2 * _DIGEST_BYTES])

    def findings(self, reported: Collection[Place] | Mapping[Place, object]) -> Iterator[Finding]:
        """What was found, but for samples that have a finding of their own."""
        return (finding for place, finding in self._found if place not in reported)

    def _compare(self, entry: ManifestRow, place: Place, digest: bytes) -> None:
        prompt = sha256(entry.prompt.encode(errors="surrogatepass")).digest()[:_DIGEST_BYTES]
        first, of = self._first.setdefault(digest, (place, prompt))
        if of != prompt:
            detail = "the service sent the very bytes that it sent for row {}, sample {}, of another prompt"
            key, file = entry.trace.key, entry.sample.file
            self._found.append((place, Finding("duplicate", detail.format(*first), file, *place, key)))


def _misshapen(entry: ManifestRow) -> str | None:
    """What is wrong with an image's shape, as far as its row asks for one."""
    width, height, options = entry.sample.width, entry.sample.height, entry.options
    if not width or not height:
        return None
    ratio = _ratio(options.aspect_ratio)
    if ratio is not None:
        allowed = [ratio, *([_DOCUMENTED[options.aspect_ratio]] if _is_documented(entry) else [])]  # type: ignore[index]
        if all(abs(width / height / one - 1) > _TOLERANCE for one in allowed):
            return f"is {width} x {height}, though the row asks for {options.aspect_ratio}"
    side = _SIDES.get(options.image_size or "")
    if side is not None and abs(log2(sqrt(width * height) / side)) > 0.5:
        return f"is {width} x {height}, though the row asks for {options.image_size}"
    return None


def _is_documented(entry: ManifestRow) -> bool:
    return entry.dialect == "predict" and entry.options.aspect_ratio in _DOCUMENTED


def _ratio(text: str | None) -> float | None:
    width, colon, height = (text or "").partition(":")
    try:
        return float(width) / float(height) if colon else None
    except (ValueError, ZeroDivisionError):
        return None
