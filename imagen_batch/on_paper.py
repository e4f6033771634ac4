"""Do the tables of a run say what its ledger says?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from imagen_batch.findings import Finding
from imagen_batch.recorded import Expected, Place
from imagen_batch.storage import LEDGER, Storage

MANIFESTS = ("manifest.parquet", "manifest.csv")
TABLES = (*MANIFESTS, "metadata.parquet", "failures.csv", "summary.json", "summary.md")

_COLUMNS = {
    "row": pa.int64(),
    "sample": pa.int64(),
    "status": pa.string(),
    "file": pa.string(),
    "sha256": pa.string(),
    "mimeType": pa.string(),
}
_ORDER = [("row", "ascending"), ("sample", "ascending")]
_NOT_SENT = {"not_attempted", "skipped_budget"}  # the same to a ledger: it knows nothing of them
_BATCH = 10_000
_CSV_BLOCK = 32 * 2**20  # has to hold a whole row, and a prompt may be long

_Labels = tuple[str | None, str | None, str | None]  # file, SHA-256, type


@dataclass(frozen=True, slots=True)
class Line:
    """What a manifest says about a sample."""

    row: int
    sample: int
    status: str | None
    file: str | None
    sha256: str | None
    mime_type: str | None

    @property
    def place(self) -> Place:
        """Row and sample."""
        return self.row, self.sample


def look_at_tables(
    storage: Storage, asked: Callable[[], Iterator[Expected]], *, told: Collection[Place]
) -> Iterator[Finding]:
    """The findings about tables. `told`: samples with a finding of their own, which says more than their status."""
    gone = [name for name in TABLES if storage.size(name) is None]
    first = (Finding("stale", "is missing", name) for name in gone)
    there = [name for name in MANIFESTS if name not in gone]
    found = chain(first, *(_look_at_manifest(storage, name, asked(), told) for name in there))
    if not _cut_off(storage):
        yield from found
    elif next(found, None) is not None:  # one cause, one finding
        yield Finding("stale", "the last run ended before it wrote its tables", MANIFESTS[0])


def _cut_off(storage: Storage) -> bool:
    """Whether the last run began after the last summary was written."""
    begun = max((path.name for path in storage.logs(LEDGER).rglob("*.jsonl")), default="")
    try:
        summary = orjson.loads(storage.read("summary.json"))
        finished = datetime.fromisoformat(summary["finished_at"]).timestamp()
    except FileNotFoundError:
        return storage.size(MANIFESTS[0]) is None
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return False
    return f"{finished:015.3f}" < begun


def _look_at_manifest(
    storage: Storage, name: str, asked: Iterator[Expected], told: Collection[Place]
) -> Iterator[Finding]:
    try:
        table = _read(storage.local(name))
    except (pa.ArrowException, OSError, KeyError) as error:
        yield Finding("stale", f"can't be read: {str(error).splitlines()[0]}", name)
        return
    compared = _Compared(name, told)
    for line, one in _paired(_lines(table), asked):
        compared.take(line, one)
    yield from compared.findings()


def _read(path: Path) -> pa.Table:
    """The columns that tell a picture from another, sorted as the input is."""
    if path.suffix == ".parquet":
        table = pq.read_table(path, columns=list(_COLUMNS))
    else:
        table = csv.read_csv(
            path,
            read_options=csv.ReadOptions(block_size=_CSV_BLOCK),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                include_columns=list(_COLUMNS),
                column_types=_COLUMNS,
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    return table.select(list(_COLUMNS)).cast(pa.schema(_COLUMNS)).sort_by(_ORDER)


def _lines(table: pa.Table) -> Iterator[Line]:
    for batch in table.to_batches(max_chunksize=_BATCH):
        columns = (column.to_pylist() for column in batch.columns)
        for row, sample, *rest in zip(*columns, strict=True):
            yield Line(row or 0, sample or 0, *rest)


def _paired(lines: Iterator[Line], asked: Iterator[Expected]) -> Iterator[tuple[Line | None, Expected | None]]:
    """Both, side by side where they are about the same sample. Each comes in the order of its places."""
    line, one = next(lines, None), next(asked, None)
    while line or one:
        if one is None or (line and line.place < one.place):
            yield line, None
            line = next(lines, None)
        elif line is None or one.place < line.place:
            yield None, one
            one = next(asked, None)
        else:
            yield line, one
            line, one = next(lines, None), next(asked, None)


@dataclass(slots=True)
class _Compared:
    """What a manifest says otherwise than the ledger."""

    name: str
    told: Collection[Place]
    labels: list[tuple[Line, Expected]] = field(default_factory=list)
    statuses: int = 0
    lacking: list[Expected] = field(default_factory=list)
    surplus: list[Line] = field(default_factory=list)

    def take(self, line: Line | None, one: Expected | None) -> None:
        """A line of the manifest, and the sample it is about."""
        if line is None:
            self.lacking += [one] if one else []
        elif one is None:
            self.surplus.append(line)
        elif not self._same_status(line, one):
            self.statuses += 1
        elif line.status == one.status and _labels(line) != _of_record(one):
            self.labels.append((line, one))

    def findings(self) -> Iterator[Finding]:
        """One for each wrong label, and one for all rows that lack, are too many or are told wrongly."""
        moved = self._moved()
        for line, one in moved:
            detail = f"has the picture of this row in row {line.row}, sample {line.sample}"
            yield Finding("mislabelled", detail, self.name, *one.place)
        for line, one in self.labels:
            yield Finding("mislabelled", _difference(line, one), self.name, *one.place)
        parts = [
            (len(self.lacking) - len(moved), "lacks {} row(s)"),
            (len(self.surplus) - len(moved), "has {} row(s) too many"),
            (self.statuses, "gives {} row(s) another status than the ledger"),
        ]
        said = [text.format(count) for count, text in parts if count]
        if said:
            yield Finding("stale", ", ".join(said), self.name)

    def _moved(self) -> list[tuple[Line, Expected]]:
        """Lines whose picture is that of a row which has no line."""
        without = {one.picture.file: one for one in self.lacking if one.picture}
        return [(line, without.pop(line.file)) for line in self.surplus if line.file in without]

    def _same_status(self, line: Line, one: Expected) -> bool:
        return line.status == one.status or {line.status, one.status} <= _NOT_SENT or one.place in self.told


def _labels(line: Line) -> _Labels:
    return line.file, line.sha256, line.mime_type


def _of_record(one: Expected) -> _Labels:
    picture = one.picture
    return (picture.file, picture.sha256, picture.mime_type) if picture else (None, None, None)


def _difference(line: Line, one: Expected) -> str:
    triples = zip(("file", "sha256", "mimeType"), _labels(line), _of_record(one), strict=True)
    name, said, recorded = next(triple for triple in triples if triple[1] != triple[2])
    return f"says {name} {said or 'nothing'}, the ledger says {recorded or 'nothing'}"
