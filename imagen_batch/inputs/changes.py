"""Compares a folder's input with another one: which rows are new, changed and gone, and what that does to images."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from imagen_batch.ledger.history import History
from imagen_batch.planning.plan import RunPlan


@dataclass(frozen=True, slots=True)
class Pushed:
    """Rows with images that another input does not have, and how many images those are."""

    rows: int
    images: int
    rows_with_images: int


@dataclass(frozen=True, slots=True)
class Changes:
    """How many rows of an input are new, changed, gone; `images` of those no longer asked for stay on disk."""

    new: int
    changed: int
    gone: int
    images: int


def pushed_out(current: RunPlan, past: History, new: RunPlan) -> Pushed:
    """What taking `new` for the folder's input would push out of its tables."""
    stays = {base for base, _ in new.asked}
    rows = images = rows_with_images = 0
    for base, samples in current.asked:
        ok = _images(base, samples, past)
        rows_with_images += ok > 0
        if ok and base not in stays:
            rows += 1
            images += ok
    return Pushed(rows, images, rows_with_images)


def compared(current: RunPlan, past: History, new: RunPlan) -> Changes:
    """The difference between two inputs, as a person who edited the file would count it."""
    before = [base for base, _ in current.asked]
    after = [base for base, _ in new.asked]
    kept = {move.source for move in new.moves}
    stays = set(after) | kept
    added = changed = gone = 0
    for old, fresh in _gaps(before, after):
        changed += min(old, fresh)
        added += max(0, fresh - old)
        gone += max(0, old - fresh)
    left = ((base, samples) for base, samples in current.asked if base not in stays)
    return Changes(added, changed, gone, sum(_images(base, samples, past) for base, samples in left))


def _images(base: str, samples: int, past: History) -> int:
    return sum(past.status(base, number) == "ok" for number in range(1, samples + 1))


def _gaps(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Between two rows that both have, in order: how many rows there only the first has, and only the second."""
    pairs = _anchors(before, after)
    in_before, in_after = set(before), set(after)
    last_old = last_new = 0
    for old, new in [*pairs, (len(before), len(after))]:
        yield (
            sum(base not in in_after for base in before[last_old:old]),
            sum(base not in in_before for base in after[last_new:new]),
        )
        last_old, last_new = old + 1, new + 1


def _anchors(before: Sequence[str], after: Sequence[str]) -> list[tuple[int, int]]:
    """The longest run of rows that both inputs have in the same order, as positions in both."""
    places: defaultdict[str, deque[int]] = defaultdict(deque)
    for place, base in enumerate(before):
        places[base].append(place)
    common = [(places[base].popleft(), new) for new, base in enumerate(after) if places.get(base)]
    ends: list[int] = []  # for each length the smallest place at which such a run ends
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
    run, index = [], last[-1] if last else -1
    while index >= 0:
        run.append(common[index])
        index = previous[index]
    return run[::-1]
