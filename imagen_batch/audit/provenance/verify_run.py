"""Verifies the provenance data of all images of a run, and formats the result for people and programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from imagen_batch.audit.provenance.verify import STATES, State, Verdict, Verify
from imagen_batch.inputs.stored_input_and_settings import reload_plan
from imagen_batch.ledger.history import read_history
from imagen_batch.records import ManifestRow
from imagen_batch.reports.manifest_rows import Results
from imagen_batch.storage import LEDGER, Storage, explain_storage_errors, open_storage
from imagen_batch.text import plural, printable

_THREADS = 4
_BATCH = 64
_MAX_LISTED = 20  # of each state
_STATE_TEXTS: dict[State, str] = {
    "valid": "valid",
    "untrusted": "valid signature, untrusted root",
    "altered": "altered after signing",
    "none": "no provenance data",
    "unreadable": "not readable",
}
_LISTED: tuple[State, ...] = ("altered", "unreadable")


@dataclass(frozen=True, slots=True)
class ImageProvenance:
    """The verdict about one image of the run."""

    row: int
    id: str | None
    sample: int
    file: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Provenance:
    """The verdicts about all images, in input order."""

    images: Sequence[ImageProvenance]

    @property
    def counts(self) -> dict[State, int]:
        """Images by state."""
        counted = Counter(image.verdict.state for image in self.images)
        return {state: counted[state] for state in STATES}

    @property
    def altered(self) -> bool:
        """Whether any image was changed after it was signed."""
        return self.counts["altered"] > 0


def check_provenance(location: str | Path, verify: Verify) -> Provenance:
    """Verify every image of the run in `location`. Memory holds a few images at a time."""
    with explain_storage_errors(location, to="be read"):
        storage, plan = open_storage(location), reload_plan(location)
        results = Results(plan, read_history(storage.logs(LEDGER)), storage)
        rows = (row for row in results.recorded_rows() if row.sample.status == "ok" and row.sample.file)
        return Provenance(list(_check_all(rows, storage, verify)))


def _check_all(rows: Iterable[ManifestRow], storage: Storage, verify: Verify) -> Iterator[ImageProvenance]:
    rows = iter(rows)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="provenance") as threads:
        while batch := list(islice(rows, _BATCH)):
            yield from threads.map(partial(_check, storage, verify), batch)


def _check(storage: Storage, verify: Verify, row: ManifestRow) -> ImageProvenance:
    sample = row.sample
    assert sample.file is not None
    try:
        verdict = verify(storage.read(sample.file), sample.mime_type or "image/png")
    except OSError as error:
        verdict = Verdict("unreadable", detail=error.strerror or str(error))
    if verdict.state == "none" and sample.c2pa:
        verdict = Verdict("altered", detail="arrived with provenance data, and has none now")
    return ImageProvenance(row.row.row, row.row.id, sample.number, sample.file, verdict)


def provenance_text(provenance: Provenance) -> str:
    """Format the totals, the signers, and each image that is not in order."""
    counts = provenance.counts
    parts = [f"{count:,} {_STATE_TEXTS[state]}" for state, count in counts.items() if count]
    lines = [f"provenance of {plural(len(provenance.images), 'image')}: {', '.join(parts) or 'none to check'}"]
    signers = Counter(image.verdict.signer for image in provenance.images if image.verdict.signer)
    if signers:
        lines.append("  signed by: " + ", ".join(f"{name} ({count:,})" for name, count in signers.most_common(10)))
    if counts["untrusted"]:
        lines.append("  to check roots as well, give the certificates that you trust: --trust-anchors FILE.pem")
    for state in _LISTED:
        images = [image for image in provenance.images if image.verdict.state == state]
        lines += [_line(image) for image in images[:_MAX_LISTED]]
        if len(images) > _MAX_LISTED:
            lines.append(f"  {state:<10}  and {len(images) - _MAX_LISTED:,} more (--json lists all)")
    return "\n".join(map(printable, lines))


def provenance_facts(provenance: Provenance) -> dict[str, Any]:
    """Return the verdicts for programs, with every image."""
    return {
        "counts": provenance.counts,
        "images": [
            {
                "row": image.row,
                "id": image.id,
                "sample": image.sample,
                "file": image.file,
                "state": image.verdict.state,
                "signer": image.verdict.signer,
                "detail": image.verdict.detail,
            }
            for image in provenance.images
        ],
    }


def _line(image: ImageProvenance) -> str:
    name = f" ({image.id})" if image.id else ""
    detail = f": {image.verdict.detail}" if image.verdict.detail else ""
    return f"  {image.verdict.state:<10}  {image.file}  row {image.row}{name}, sample {image.sample}{detail}"
