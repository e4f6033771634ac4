"""Reads the manifest's rows in blocks: ordinary images as columns, every other sample as a row of its own.

An image is ordinary if its record in the ledger alone decides about it: its file is unchanged, and it has no review,
warning, error, or cost of other attempts. Both kinds have the same values (tests/reports/test_image_blocks.py), but
a row of Python values takes three times as long as one in columns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

from imagen_batch.images.file_state import find_unchanged
from imagen_batch.ledger.folds.sample_states import slot_of
from imagen_batch.ledger.identical_images import Duplicates
from imagen_batch.planning.book_shapes import read_shapes
from imagen_batch.planning.resolve_rows import PlannedRow
from imagen_batch.records import ManifestRow
from imagen_batch.reports.counters.image_facts import ImageFacts
from imagen_batch.reports.image_blocks.block import Block
from imagen_batch.reports.image_blocks.ledger_columns import LedgerColumns, NotColumnar, Wanted, parse_records
from imagen_batch.reports.image_blocks.ordinary_images import select_ordinary
from imagen_batch.reports.manifest_rows import RequestedSamples, Results
from imagen_batch.reports.tables.arrow_columns import Column, to_batch
from imagen_batch.storage import Storage

BLOCK_ROWS: Final = 2000
_STEP: Final = 500  # a block of long prompts ends after a multiple of this
_MAX_CHARACTERS: Final = 8 * 2**20

_Parsed = tuple[LedgerColumns, Sequence[bool]]
"""Recorded results, and whether the file of each is unchanged."""


@dataclass(slots=True)
class _Requested:
    """The samples of a block: their rows, their numbers, and the positions of records that alone decide about one."""

    planned: list[PlannedRow] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    positions: list[int | None] = field(default_factory=list)


def read_blocks(results: Results, columns: Sequence[Column], *, block_rows: int = BLOCK_ROWS) -> Iterator[Block]:
    """Yield all rows of `results` in input order, with the manifest's `columns`.

    The ledger's text of a block is parsed in a thread while the block before is built.
    """
    duplicates = results.history.duplicates()
    results.plan.follow(results.history)
    with ThreadPoolExecutor(1, thread_name_prefix="ledger") as thread:
        waiting: deque[tuple[_Requested, Future[_Parsed | None]]] = deque()
        for requested in _requested_samples(results, duplicates, block_rows):
            lines, wanted = _recorded_lines(requested, results)
            waiting.append((requested, thread.submit(_parse, lines, wanted, results.storage)))
            if len(waiting) > 1:
                yield _build(*waiting.popleft(), results, columns, duplicates)
        while waiting:
            yield _build(*waiting.popleft(), results, columns, duplicates)


def _requested_samples(results: Results, duplicates: Duplicates, block_rows: int) -> Iterator[_Requested]:
    """Yield the samples of each block, in input order."""
    requested, characters = _Requested(), 0
    for planned in results.plan.planned_rows():
        characters += len(planned.prompt)
        for number in range(1, planned.samples + 1):
            requested.planned.append(planned)
            requested.numbers.append(number)
            count = len(requested.numbers)
            if count >= block_rows or (characters > _MAX_CHARACTERS and count % _STEP == 0):
                yield _with_positions(requested, results, duplicates)
                requested, characters = _Requested(), 0
    if requested.numbers:
        yield _with_positions(requested, results, duplicates)


def _with_positions(requested: _Requested, results: Results, duplicates: Duplicates) -> _Requested:
    plan, history = results.plan, results.history
    if history.reviews or plan.settings.accept is not None or read_shapes(plan.settings).find(None) is not None:
        requested.positions = [None] * len(requested.numbers)
        return requested
    key = plan.index.row_key
    slots = [
        slot_of(key(planned.row.row), number)
        for planned, number in zip(requested.planned, requested.numbers, strict=True)
    ]
    requested.positions = history.sole_image_positions(slots)
    for at, slot in enumerate(slots if duplicates.slots else ()):
        if slot in duplicates.slots:
            requested.positions[at] = None
    return requested


def _recorded_lines(requested: _Requested, results: Results) -> tuple[list[bytes], list[Wanted]]:
    """Return the records of a block, each once, and which sample of which record is wanted."""
    numbers = [
        (position, number)
        for position, number in zip(requested.positions, requested.numbers, strict=True)
        if position is not None
    ]
    indexes = {position: index for index, position in enumerate(dict.fromkeys(position for position, _ in numbers))}
    return results.history.recorded_lines(indexes), [(indexes[position], number) for position, number in numbers]


def _parse(lines: Sequence[bytes], wanted: Sequence[Wanted], storage: Storage) -> _Parsed | None:
    """Parse records and look at the files of their images, in the thread."""
    if not lines:
        return None
    try:
        columns = parse_records(lines, wanted)
    except NotColumnar:
        return None
    files, sizes = (columns.samples[name].to_pylist() for name in ("file", "bytes"))
    return None if None in files else (columns, find_unchanged(files, sizes, storage))


def _build(
    requested: _Requested,
    parsing: Future[_Parsed | None],
    results: Results,
    columns: Sequence[Column],
    duplicates: Duplicates,
) -> Block:
    parsed = parsing.result()
    recorded = [at for at, position in enumerate(requested.positions) if position is not None]
    images = None
    if parsed is not None:
        planned = [requested.planned[at] for at in recorded]
        images = select_ordinary(recorded, planned, *parsed, results)
    ordinary = set(images.places) if images else set()
    others = [at for at in range(len(requested.numbers)) if at not in ordinary]
    if images and not others:
        return Block(images.batch(columns), {}, images.facts())
    rows = _rows([(requested.planned[at], requested.numbers[at]) for at in others], results, duplicates)
    entries = dict(zip(others, rows, strict=True))
    batch = to_batch(rows, columns)
    if images is None:
        return Block(batch, entries, ImageFacts.empty())
    order = [*images.places, *others]
    positions = pa.array(sorted(range(len(order)), key=order.__getitem__), type=pa.int64())
    return Block(pa.concat_batches([images.batch(columns), batch]).take(positions), entries, images.facts())


def _rows(samples: Sequence[tuple[PlannedRow, int]], results: Results, duplicates: Duplicates) -> list[ManifestRow]:
    """Return the rows of samples that are no ordinary images."""
    rows = []
    requested: RequestedSamples | None = None
    for planned, number in samples:
        if requested is None or requested.planned is not planned:
            requested = results.requested_samples(planned)
        rows.append(results.recorded_row(requested, number, duplicates))
    return list(results.with_current_files(rows))
