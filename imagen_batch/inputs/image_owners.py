"""Works out which images belong to which samples after rows of an input were edited in place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping
from dataclasses import asdict

from imagen_batch.ledger.history import History
from imagen_batch.planning.plan import RunPlan
from imagen_batch.planning.references.ledger_form import stored_references
from imagen_batch.planning.resolve_rows import PlannedRow
from imagen_batch.records import Move


def samples_with_images(plan: RunPlan, history: History) -> dict[int, tuple[int, ...]]:
    """Return, for each row with images, the numbers of the samples that have one."""
    plan.follow(history)
    numbers = {}
    for row, (base, samples) in enumerate(plan.index, 1):
        ok = tuple(number for number in range(1, samples + 1) if history.status(base, number) == "ok")
        if ok:
            numbers[row] = ok
    return numbers


def find_moves(before: RunPlan, history: History, after: RunPlan, *, edited: Container[int]) -> tuple[Move, ...]:
    """Return the moves from one input to another in which every row has kept its number.

    An edited row keeps its images but not its failures. A row whose key changed because an equal row was edited
    keeps everything that the ledger has for it.
    """
    before.follow(history)
    after.follow(history)
    moves: list[Move] = []
    for old, new in zip(before.planned_rows(), after.planned_rows(), strict=False):
        row = old.row.row
        source, base = before.index.row_key(row), after.index.row_key(row)
        if source == base:
            continue
        if (old.model.id, old.prompt, old.options) == (new.model.id, new.prompt, new.options):
            moves.append(Move(base, source, tuple(range(1, max(old.samples, new.samples) + 1))))
        elif row in edited:
            moves += _image_moves(old, history, source, base)
    return tuple(moves)


def _image_moves(old: PlannedRow, history: History, source: str, base: str) -> Iterator[Move]:
    """Yield the moves of an edited row's images, one for each text that they were made from.

    There are several texts if the row was edited before.
    """
    numbers: defaultdict[int, list[int]] = defaultdict(list)
    facts: dict[int, Mapping[str, object]] = {}
    for number in range(1, old.samples + 1):
        if history.status(source, number) != "ok":
            continue
        earlier = history.kept(source, number)
        made_from = earlier or facts_of(old)
        group = next((known for known, known_facts in facts.items() if known_facts == made_from), len(facts))
        facts[group] = made_from
        numbers[group].append(number)
    for group, of_group in numbers.items():
        yield Move(base, source, tuple(of_group), facts[group])


def facts_of(planned: PlannedRow) -> Mapping[str, object]:
    """Return prompt, model, dialect, options and references of a row's images, as a move records them."""
    options = {name: value for name, value in asdict(planned.options).items() if value is not None}
    facts = {
        "prompt": planned.prompt,
        "model": planned.model.id,
        "dialect": planned.model.dialect,
        "options": options,
    }
    return facts | ({"references": stored_references(planned.references)} if planned.references else {})
