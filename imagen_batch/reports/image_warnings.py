"""Describes images that differ from the request: another shape, another image's bytes, a flat color, a second image.

Such images are kept and count as ok.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from imagen_batch.images.compare_aspect_ratio import has_other_ratio
from imagen_batch.records import IMAGE_WARNINGS, ManifestRow
from imagen_batch.text import one_line, plural

COLUMN: Final = "warnings"
"""The manifest's column with the words, separated by semicolons."""

# After the number of images: for one, and for several.
_SENTENCES: Final[Mapping[str, tuple[str, str]]] = {
    "aspect_ratio": ("has another aspect ratio than requested", "have another aspect ratio than requested"),
    "duplicate_bytes": (
        "has the same bytes as another sample's, as from a cache",
        "have the same bytes as another sample's, as from a cache",
    ),
    "flat_color": ("is a single flat color", "are a single flat color"),
    "extra_image": (
        "came with a further image, which is kept in .imagen-batch/quarantine",
        "came with a further image, which is kept in .imagen-batch/quarantine",
    ),
}


def with_warnings(entry: ManifestRow, *, is_duplicate: bool = False) -> ManifestRow:
    """Return the row with the warnings that are found only now, or that earlier versions did not record."""
    sample = entry.sample
    if sample.status != "ok":
        return entry
    words = set(sample.warnings)
    if is_duplicate:
        words.add("duplicate_bytes")
    if has_other_ratio(sample.width, sample.height, entry.options.aspect_ratio, dialect=entry.dialect):
        words.add("aspect_ratio")
    if len(words) == len(sample.warnings):
        return entry
    return replace(entry, sample=replace(sample, warnings=tuple(in_known_order(dict.fromkeys(words, 1)))))


def in_known_order(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the counts in the order of IMAGE_WARNINGS; words of a later version come last."""
    known = [word for word in IMAGE_WARNINGS if word in counts]
    return {word: counts[word] for word in (*known, *sorted(set(counts).difference(known)))}


def describe_image_warnings(counts: Mapping[str, int]) -> Iterator[str]:
    """Yield a sentence for each word, with the word that the table and the gallery can be filtered by."""
    for word, count in counts.items():
        text = _SENTENCES.get(word, (word, word))[count != 1]
        column = f"column {COLUMN} of manifest.csv: {one_line(word, 40)}"
        yield f"{plural(count, 'image')} {one_line(text, 120)} ({column})"
