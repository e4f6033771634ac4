"""Checks received images for signs that they belong to another prompt: the same bytes twice, or an unexpected shape.

A checksum only shows that a file is the one that arrived. These signs are reported, and never cause an image to be
made again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from hashlib import sha256
from math import log2, sqrt

from imagen_batch.audit.expected import SampleId
from imagen_batch.audit.findings import Finding
from imagen_batch.images.compare_aspect_ratio import has_other_ratio
from imagen_batch.providers.pixel_sizes import SIDES
from imagen_batch.records import ManifestRow

_IMAGE_BYTES, _PROMPT_BYTES = 16, 8  # of the SHA-256


class PlausibilityCheck:
    """Checks manifest rows in input order. Memory grows by 24 bytes of hashes and the sample's id for each image."""

    def __init__(self) -> None:
        # hash of an image -> the first sample with it, and that sample's prompt
        self._first: dict[bytes, tuple[SampleId, bytes]] = {}
        self._found: list[tuple[SampleId, Finding]] = []

    def add(self, row: ManifestRow) -> None:
        """Check the next row."""
        sample = row.sample
        if sample.status != "ok" or sample.file is None:
            return
        sample_id = row.row.row, sample.number
        detail = _shape_error(row)
        if detail is not None:
            self._found.append((sample_id, Finding("shape", detail, sample.file, *sample_id, row.trace.key)))
        if sample.sha256 is not None:
            self._compare(row, sample_id, bytes.fromhex(sample.sha256)[:_IMAGE_BYTES])

    def findings(self, reported: Collection[SampleId] | Mapping[SampleId, object]) -> Iterator[Finding]:
        """Yield the findings, except about samples that have a finding already."""
        return (finding for sample_id, finding in self._found if sample_id not in reported)

    def _compare(self, row: ManifestRow, sample_id: SampleId, digest: bytes) -> None:
        prompt = sha256(row.prompt.encode(errors="surrogatepass")).digest()[:_PROMPT_BYTES]
        first, first_prompt = self._first.setdefault(digest, (sample_id, prompt))
        if first_prompt != prompt:
            detail = "the service sent the same bytes as for row {}, sample {}, which has another prompt"
            finding = Finding("duplicate", detail.format(*first), row.sample.file, *sample_id, row.trace.key)
            self._found.append((sample_id, finding))


def _shape_error(row: ManifestRow) -> str | None:
    """Return what is wrong with an image's shape, if its row requests one."""
    width, height, options = row.sample.width, row.sample.height, row.options
    if not width or not height:
        return None
    if has_other_ratio(width, height, options.aspect_ratio, dialect=row.dialect):
        return f"is {width} x {height}, but the row requests {options.aspect_ratio}"
    side = SIDES.get(options.image_size or "")
    if side is not None and abs(log2(sqrt(width * height) / side)) > 0.5:
        return f"is {width} x {height}, but the row requests {options.image_size}"
    return None
