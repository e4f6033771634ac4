"""Defines a block of the manifest: its columns, and what the other tables and the summary need of its rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from imagen_batch.records import ManifestRow
from imagen_batch.reports.counters.lists_of_image_facts import ImageFacts


@dataclass(frozen=True, slots=True)
class Block:
    """Samples in input order. Each is either an ordinary image or has an entry."""

    batch: pa.RecordBatch  # the manifest's columns of all samples
    entries: Mapping[int, ManifestRow]  # by position in the batch, in order
    images: ImageFacts  # of the samples without an entry, in order

    def stretches(self) -> Iterator[tuple[ImageFacts, ManifestRow | None]]:
        """Yield the samples in order: some ordinary images, and the entry that follows them; none at the end."""
        begin = 0
        for count, (position, entry) in enumerate(self.entries.items()):
            end = position - count  # so many ordinary images come before it
            yield self.images.part(begin, end), entry
            begin = end
        if begin < len(self.images):
            yield self.images.part(begin, len(self.images)), None
