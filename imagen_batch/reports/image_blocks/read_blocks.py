"""Reads the manifest's rows in blocks: ordinary images as columns, every other sample as a row of its own.

An image is ordinary if its record in the ledger alone decides about it: its file is unchanged, and it has no review,
warning, error, or cost of other attempts. Both kinds have the same values (tests/reports/test_image_blocks.py), but
a row of Python values takes three times as long as one in columns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from imagen_batch.images.file_state import find_unchanged
from imagen_batch.ledger.folds.sample_states import slot_of
from imagen_batch.ledger.history import History
from imagen_batch.ledger.identical_images import Duplicates
from imagen_batch.records import ManifestRow
from imagen_batch.reports.counters.lists_of_image_facts import ImageFacts
from imagen_batch.reports.image_blocks.block import Block
from imagen_batch.reports.image_blocks.ledger_columns import LedgerColumns, NotColumnar, parse_records
from imagen_batch.reports.image_blocks.ordinary_images import OrdinaryImages, select_ordinary
from imagen_batch.reports.image_blocks.rows_of_samples import RowsOfSamples
from imagen_batch.reports.image_blocks.samples_in_blocks import samples_in_blocks
from imagen_batch.reports.manifest_rows import RequestedSamples, Results
from imagen_batch.reports.tables.arrow_columns import Column, to_batch
from imagen_batch.storage import Storage

BLOCK_ROWS: Final = 1000

_Parsed = tuple[LedgerColumns, Sequence[bool]]
"""Recorded results, and whether the file of each is unchanged."""


@dataclass(slots=True)
class _Requested:
    """The samples of a block: their rows, their numbers, and the positions of records that alone decide about one."""

    rows: RowsOfSamples
    numbers: Sequence[int]
    positions: list[int | None]


def read_blocks(results: Results, columns: Sequence[Column], *, block_rows: int = BLOCK_ROWS) -> Iterator[Block]:
    """Yield all rows of `results` in input order, with the manifest's `columns`.

    The ledger's text of a block is parsed in a thread while the block before is built.
    """
    duplicates = results.history.duplicates()
    results.plan.follow(results.history)
    with ThreadPoolExecutor(1, thread_name_prefix="ledger") as thread:
        waiting: deque[tuple[_Requested, Future[_Parsed | None]]] = deque()
        for requested in _requested_samples(results, _marked_slots(results.history, duplicates), block_rows):
            parsing = thread.submit(_parse, *_read_lines(requested, results), results.storage)
            waiting.append((requested, parsing))
            if len(waiting) > 1:
                earlier, parsing = waiting.popleft()
                yield _build(earlier, parsing.result(), results, columns, duplicates)
        for earlier, parsing in waiting:
            yield _build(earlier, parsing.result(), results, columns, duplicates)


def _requested_samples(results: Results, marked: Set[bytes], block_rows: int) -> Iterator[_Requested]:
    """Yield the samples of each block, in input order."""
    for rows, numbers in samples_in_blocks(results.plan.planned_blocks(), block_rows=block_rows):
        yield _Requested(rows, numbers, _positions(rows, numbers, results, marked))


def _positions(rows: RowsOfSamples, numbers: Sequence[int], results: Results, marked: Set[bytes]) -> list[int | None]:
    """Return for each sample the position of the record that alone decides about it; None where there is none."""
    slots = results.plan.index.slots_of_samples(rows.facts().numbers, numbers)
    positions = results.history.sole_image_positions(slots)
    if not marked:
        return positions
    return [None if slot in marked else position for slot, position in zip(slots, positions, strict=True)]


def _marked_slots(history: History, duplicates: Duplicates) -> Set[bytes]:
    """Return the samples whose images have reviews, or the bytes of another sample's."""
    return duplicates.slots | {slot_of(base, number) for base, number in history.reviews.reviewed()}


def _read_lines(requested: _Requested, results: Results) -> tuple[list[bytes], list[int], list[int]]:
    """Return the records of a block, each once; for each recorded sample the index of its line, and its number."""
    pairs = zip(requested.positions, requested.numbers, strict=True)
    recorded = [(position, number) for position, number in pairs if position is not None]
    indexes = {position: index for index, position in enumerate(dict.fromkeys(position for position, _ in recorded))}
    lines = results.history.recorded_lines(indexes)
    return lines, [indexes[position] for position, _ in recorded], [number for _, number in recorded]


def _parse(
    lines: Sequence[bytes], indexes: Sequence[int], numbers: Sequence[int], storage: Storage
) -> _Parsed | None:
    """Parse records and look at the files of their images, in the thread. None where that is left to single rows."""
    if not lines:
        return None
    try:
        columns = parse_records(lines, indexes, numbers)
    except NotColumnar:
        return None
    files, sizes = (columns.samples[name].to_pylist() for name in ("file", "bytes"))
    return None if None in files else (columns, find_unchanged(files, sizes, storage))


def _build(
    requested: _Requested,
    parsed: _Parsed | None,
    results: Results,
    columns: Sequence[Column],
    duplicates: Duplicates,
) -> Block:
    images = None if parsed is None else _select(requested, parsed, results)
    if images is not None and not images.places:
        images = None
    if images is not None and len(images.places) == len(requested.numbers):
        return Block(images.batch(columns), {}, images.facts())
    ordinary = set(images.places) if images else set()
    others = [at for at in range(len(requested.numbers)) if at not in ordinary]
    rows = _rows(others, requested, results, duplicates)
    entries, batch = dict(zip(others, rows, strict=True)), to_batch(rows, columns)
    if images is None:
        return Block(batch, entries, ImageFacts.empty())
    order = [*images.places, *others]
    positions = pa.array(sorted(range(len(order)), key=order.__getitem__), type=pa.int64())
    return Block(pa.concat_batches([images.batch(columns), batch]).take(positions), entries, images.facts())


def _select(requested: _Requested, parsed: _Parsed, results: Results) -> OrdinaryImages:
    places = [at for at, position in enumerate(requested.positions) if position is not None]
    rows = requested.rows if len(places) == len(requested.numbers) else requested.rows.take(places)
    return select_ordinary(places, rows, *parsed, results)


def _rows(
    places: Sequence[int], requested: _Requested, results: Results, duplicates: Duplicates
) -> list[ManifestRow]:
    """Return the rows of samples that are no ordinary images."""
    rows = []
    of_row: RequestedSamples | None = None
    numbers = requested.rows.facts().numbers
    for at in places:
        if of_row is None or of_row.planned.row.row != numbers[at]:
            of_row = results.requested_samples(requested.rows.planned(at))
        rows.append(results.recorded_row(of_row, requested.numbers[at], duplicates))
    return list(results.with_current_files(rows))
