"""Says which images stand for which samples after rows of an input were edited in place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping
from dataclasses import asdict

from imagen_batch.ledger.history import History
from imagen_batch.planning.plan import RunPlan
from imagen_batch.planning.rows import PlannedRow
from imagen_batch.records import Move


def numbers_with_image(plan: RunPlan, past: History) -> dict[int, tuple[int, ...]]:
    """For each row the numbers of its samples that have an image."""
    found = {}
    for row, (base, samples) in enumerate(plan.asked, 1):
        ok = tuple(number for number in range(1, samples + 1) if past.status(base, number) == "ok")
        if ok:
            found[row] = ok
    return found


def moves_between(before: RunPlan, past: History, after: RunPlan, *, edited: Container[int]) -> tuple[Move, ...]:
    """The moves from one input to another one in which every row has kept its number.

    The images of an edited row stay; what has failed is not taken along. A row that was not edited, but is counted
    otherwise since an equal one was, keeps all that is known of it.
    """
    moves: list[Move] = []
    for old, new in zip(before.orders(), after.orders(), strict=False):
        row = old.row.row
        source, base = before.asked.base(row), after.asked.base(row)
        if source == base:
            continue
        if _same(old, new):
            moves.append(Move(base, source, tuple(range(1, max(old.samples, new.samples) + 1))))
        elif row in edited:
            moves += _kept(old, past, source, base)
    return tuple(moves)


def _same(old: PlannedRow, new: PlannedRow) -> bool:
    return (old.model.id, old.prompt, old.options) == (new.model.id, new.prompt, new.options)


def _kept(old: PlannedRow, past: History, source: str, base: str) -> Iterator[Move]:
    """The images of an edited row, by what each was made from: a row may have been edited before."""
    numbers: defaultdict[int, list[int]] = defaultdict(list)
    facts: dict[int, Mapping[str, object]] = {}
    for number in range(1, old.samples + 1):
        if past.status(source, number) != "ok":
            continue
        earlier = past.kept(source, number)
        made_from = _facts(old) if earlier is None else {name: earlier[name] for name in _FACTS}
        group = next((known for known, same in facts.items() if same == made_from), len(facts))
        facts[group] = made_from
        numbers[group].append(number)
    for group, of_group in numbers.items():
        yield Move(base, source, tuple(of_group), facts[group])


_FACTS = ("prompt", "model", "dialect", "options")


def _facts(order: PlannedRow) -> Mapping[str, object]:
    options = {name: value for name, value in asdict(order.options).items() if value is not None}
    return {
        "prompt": order.prompt,
        "model": order.model.id,
        "dialect": order.model.dialect,
        "options": options,
    }
