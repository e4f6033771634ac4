"""Compares a folder's input with another one: which rows are new, changed or gone, and which images that affects."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from imagen_batch.ledger.history import History
from imagen_batch.planning.plan import RunPlan


@dataclass(frozen=True, slots=True)
class DroppedRows:
    """The numbers of rows with images that another input does not have, their images, and all rows with images."""

    rows: int
    images: int
    rows_with_images: int


@dataclass(frozen=True, slots=True)
class Changes:
    """The numbers of rows that are new, changed and gone, and of `images` on disk that have no row any more."""

    new: int
    changed: int
    gone: int
    images: int


def count_dropped_rows(current: RunPlan, history: History, new: RunPlan) -> DroppedRows:
    """Count what the tables would lose if `new` became the folder's input."""
    kept = {base for base, _ in new.index}
    rows = images = rows_with_images = 0
    for base, samples in current.index:
        ok = _count_images(base, samples, history)
        rows_with_images += ok > 0
        if ok and base not in kept:
            rows += 1
            images += ok
    return DroppedRows(rows, images, rows_with_images)


def compare_inputs(current: RunPlan, history: History, new: RunPlan) -> Changes:
    """Return the difference between two inputs, counted as the person who edited the file would count it."""
    before = [base for base, _ in current.index]
    after = [base for base, _ in new.index]
    kept = set(after) | {move.source for move in new.moves}
    added = changed = gone = 0
    for only_before, only_after in find_gaps(before, after):
        changed += min(len(only_before), len(only_after))
        added += max(0, len(only_after) - len(only_before))
        gone += max(0, len(only_before) - len(only_after))
    dropped = ((base, samples) for base, samples in current.index if base not in kept)
    images = sum(_count_images(base, samples, history) for base, samples in dropped)
    return Changes(added, changed, gone, images)


def _count_images(base: str, samples: int, history: History) -> int:
    return sum(history.status(base, number) == "ok" for number in range(1, samples + 1))


def find_gaps(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[list[int], list[int]]]:
    """Yield, for each gap between common rows, the positions of rows that only the first or only the second has."""
    pairs = _longest_common_rows(before, after)
    in_before, in_after = set(before), set(after)
    last_old = last_new = 0
    for old, new in [*pairs, (len(before), len(after))]:
        yield (
            [at for at in range(last_old, old) if before[at] not in in_after],
            [at for at in range(last_new, new) if after[at] not in in_before],
        )
        last_old, last_new = old + 1, new + 1


def _longest_common_rows(before: Sequence[str], after: Sequence[str]) -> list[tuple[int, int]]:
    """Return the longest sequence of rows that both inputs have in the same order, as positions in both."""
    positions: defaultdict[str, deque[int]] = defaultdict(deque)
    for position, base in enumerate(before):
        positions[base].append(position)
    common = [(positions[base].popleft(), new) for new, base in enumerate(after) if positions.get(base)]
    ends: list[int] = []  # for each length the smallest position in `before` at which such a sequence ends
    last: list[int] = []  # the same as positions in `common`
    previous = [-1] * len(common)
    for index, (old, _) in enumerate(common):
        length = bisect_left(ends, old)
        previous[index] = last[length - 1] if length else -1
        if length == len(ends):
            ends.append(old)
            last.append(index)
        else:
            ends[length], last[length] = old, index
    sequence, index = [], last[-1] if last else -1
    while index >= 0:
        sequence.append(common[index])
        index = previous[index]
    return sequence[::-1]
