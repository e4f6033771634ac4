"""Examines every image to export, and reports each one that looks wrong with a reason."""

from __future__ import annotations

import csv
import hashlib
import io
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from imagen_batch.errors import SettingsInvalid
from imagen_batch.exports.options import BITS, FINDINGS, Finding, Options
from imagen_batch.exports.quality.duplicates import near_pairs
from imagen_batch.exports.quality.fingerprint import Fingerprint, fingerprint
from imagen_batch.exports.quality.perceptual_hash import INSTALL, can_hash
from imagen_batch.exports.rows.manifest import RunImage, read_image
from imagen_batch.exports.rows.selection import Selection
from imagen_batch.images.compare_aspect_ratio import has_other_ratio, parse_ratio
from imagen_batch.text import plural

_THREADS = 2
_AT_ONCE = 32
_SHOWN = 20

_TITLES: Mapping[Finding, str] = {
    "identical": "Identical bytes",
    "near_duplicate": "Near-duplicates",
    "flat": "A single flat color",
    "shape": "Another shape than requested",
    "small": "Too small",
}


NOT_HASHED = f"near-duplicates were not looked for, identical bytes were; to find both: {INSTALL}"
"""What a report and a warning say without the library."""

_ImageName = tuple[str, int, str | None, int]  # file, row, id, sample


@dataclass(frozen=True, slots=True)
class Suspect:
    """An image that looks wrong, and why. `other` is the file that it repeats, `difference` in bits of 128."""

    kind: Finding
    file: str
    row: int
    id: str | None
    sample: int
    reason: str
    other: str | None = None
    difference: int | None = None


@dataclass(slots=True)
class Report:
    """All findings, in the order of the images."""

    images: int = 0
    hashed: bool = True  # whether near-duplicates were looked for
    suspects: list[Suspect] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """Return the number of images of each kind of finding."""
        counts = Counter(suspect.kind for suspect in self.suspects)
        return {kind: counts[kind] for kind in FINDINGS if counts[kind]}

    def dropped(self, kinds: Sequence[Finding]) -> dict[str, str]:
        """Return the files to leave out, each with its first reason."""
        reasons: dict[str, str] = {}
        for suspect in self.suspects:
            if suspect.kind in kinds:
                reasons.setdefault(suspect.file, suspect.kind)
        return reasons

    def csv(self) -> bytes:
        """Return a table with one row for each finding."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(["finding", "file", "row", "id", "sample", "other_file", "differing_bits", "reason"])
        for each in self.suspects:
            name = (each.file, each.row, each.id, each.sample)
            writer.writerow([each.kind, *name, each.other, each.difference, each.reason])
        return text.getvalue().encode(errors="replace")

    def text(self) -> str:
        """Return short paragraphs with the first findings of each kind."""
        lines = [f"{plural(self.images, 'image')} examined, {plural(len(self.suspects), 'finding')}."]
        lines += [] if self.hashed else [f"{NOT_HASHED}."]
        lines.append("")
        for kind in FINDINGS:
            suspects = [suspect for suspect in self.suspects if suspect.kind == kind]
            if suspects:
                lines += [f"{_TITLES[kind]}: {len(suspects):,}", *map(_line, suspects[:_SHOWN])]
                lines += [f"  and {len(suspects) - _SHOWN:,} more in report.csv"] if len(suspects) > _SHOWN else []
                lines.append("")
        return "\n".join(lines)


def examine(
    selection: Selection, options: Options, progress: Callable[[str, int, int], None] = lambda _w, _d, _a: None
) -> Report:
    """Read every image once. Memory holds about 200 bytes for each.

    Raises SettingsInvalid if near-duplicates are to be dropped and the library that finds them is not installed.
    """
    report, across, down = Report(hashed=can_hash()), array("Q"), array("Q")
    if "near_duplicate" in options.drop and not report.hashed:
        others = ",".join(kind for kind in FINDINGS if kind != "near_duplicate")
        raise SettingsInvalid(f"--drop near_duplicate needs: {INSTALL}. Without it: --drop {others}")
    names: list[_ImageName] = []
    seen: dict[bytes, int] = {}
    wanted = selection.run.rows
    for image, print_, digest in _fingerprints(selection, hashed=report.hashed):
        position = report.images
        report.images += 1
        names.append((image.file, image.row["row"], image.row.get("id"), image.row["sample"]))
        across.append(print_.across if not print_.plain else _unique_bits(position))
        down.append(print_.down if not print_.plain else _unique_bits(~position))
        report.suspects += _own_findings(image, print_, options)
        first = seen.setdefault(digest, position)
        if first != position:
            report.suspects.append(_identical(names[position], names[first]))
        progress("examining", report.images, wanted)
    if report.hashed:
        report.suspects += _near(near_pairs(across, down, distance=options.near), names, report)
    order = {name[0]: number for number, name in enumerate(names)}
    report.suspects.sort(key=lambda suspect: (order[suspect.file], FINDINGS.index(suspect.kind)))
    return report


def _fingerprints(selection: Selection, *, hashed: bool) -> Iterator[tuple[RunImage, Fingerprint, bytes]]:
    images = selection.images()
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="examine") as threads:
        while batch := list(islice(images, _AT_ONCE)):
            yield from threads.map(lambda image: _measure(selection, image, hashed=hashed), batch)


def _measure(selection: Selection, image: RunImage, *, hashed: bool) -> tuple[RunImage, Fingerprint, bytes]:
    data = read_image(selection.run, image)
    recorded = image.row.get("sha256")
    digest = bytes.fromhex(recorded) if recorded else data
    return image, fingerprint(data, hashed=hashed), digest


def _own_findings(image: RunImage, print_: Fingerprint, options: Options) -> Iterator[Suspect]:
    def suspect(kind: Finding, reason: str) -> Suspect:
        row = image.row
        return Suspect(kind, image.file, row["row"], row.get("id"), row["sample"], reason)

    if print_.flat:
        yield suspect("flat", "the whole image is one color")
    requested = image.row.get("aspect_ratio") or ""
    wanted, dialect = parse_ratio(requested), image.row.get("dialect") or ""
    if wanted and has_other_ratio(print_.width, print_.height, requested, dialect=dialect):
        off = print_.width / print_.height / wanted - 1
        yield suspect("shape", f"{print_.width} x {print_.height} is {off:+.0%} off {requested}")
    if min(print_.width, print_.height) < options.min_side:
        yield suspect("small", f"{print_.width} x {print_.height}: a side is under {options.min_side} pixels")


def _near(pairs: Iterable[tuple[int, int, int]], names: Sequence[_ImageName], report: Report) -> Iterator[Suspect]:
    identical = {suspect.file for suspect in report.suspects if suspect.kind == "identical"}
    for position, earlier, bits in pairs:
        file, row, id_, sample = names[position]
        if file in identical:
            continue
        other = names[earlier]
        reason = f"looks like {other[0]} (row {other[1]}); {bits} of {BITS} bits differ"
        yield Suspect("near_duplicate", file, row, id_, sample, reason, other[0], bits)


def _identical(name: _ImageName, first: _ImageName) -> Suspect:
    file, row, id_, sample = name
    return Suspect("identical", file, row, id_, sample, f"same bytes as {first[0]} (row {first[1]})", first[0], 0)


def _unique_bits(position: int) -> int:
    """Return bits that are far from all others, for an image without structure: all of these have the same hash."""
    return int.from_bytes(hashlib.sha256(str(position).encode()).digest()[:8], "big")


def _line(suspect: Suspect) -> str:
    name = f"{suspect.row} ({suspect.id})" if suspect.id else f"{suspect.row}"
    return f"  row {name}, {suspect.file}: {suspect.reason}"
