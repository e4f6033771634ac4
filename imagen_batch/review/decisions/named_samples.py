"""Finds the samples that a person names on the command line: `cover:2`, `boat`, `7:1`, `cover:2@1`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from imagen_batch.ledger.history import History
from imagen_batch.planning.plan import RunPlan
from imagen_batch.records import Problem
from imagen_batch.review.decisions.list_versions import last_version
from imagen_batch.text import did_you_mean, plural

_NAME = re.compile(r"(?P<row>.+?)(?::(?P<sample>[0-9]{1,9}))?(?:@(?P<version>[0-9]{1,9}))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Target:
    """One version of one sample. `is_named`: the sample itself was named, not only its row."""

    row: int
    id: str | None
    base: str
    number: int
    version: int
    is_named: bool = True

    def __str__(self) -> str:
        """Return the sample as a person would name it."""
        return f"{self.id or self.row}:{self.number}"


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a run's input: number of samples by row, and rows by id."""

    samples: Sequence[int]
    ids: dict[str, list[int]]
    id_of: dict[int, str] = field(default_factory=dict)


def read_rows(plan: RunPlan) -> Rows:
    """Read the ids of a run's rows."""
    rows = Rows([samples for _, samples in plan.index], {})
    for planned in plan.planned_rows():
        if planned.row.id:
            rows.ids.setdefault(planned.row.id, []).append(planned.row.row)
            rows.id_of[planned.row.row] = planned.row.id
    return rows


def find_targets(names: Iterable[str], plan: RunPlan, history: History) -> list[Target | Problem]:
    """Return the samples that `names` name, each once, and the problem of each name that names none."""
    rows = read_rows(plan)
    targets: dict[tuple[int, int], Target] = {}
    problems: list[Problem] = []
    for name in names:
        matches = _find(name, rows, plan, history)
        if isinstance(matches, str):
            problems.append(Problem(None, None, name, matches))
        else:
            targets |= {(target.row, target.number): target for target in matches}
    return [*problems, *targets.values()]


def _find(name: str, rows: Rows, plan: RunPlan, history: History) -> list[Target] | str:
    parts = _NAME.fullmatch(name)
    whole = name in rows.ids  # an id may contain a colon
    row = _find_row(name if whole or parts is None else parts["row"], rows)
    if isinstance(row, str):
        return row
    sample = None if whole or parts is None else parts["sample"]
    version = None if whole or parts is None else parts["version"]
    count = rows.samples[row - 1]
    if sample is not None and not 1 <= int(sample) <= count:
        return f"row {row} has {plural(count, 'sample')}"
    if version is not None and sample is None and count > 1:
        return f"a version is one of a sample: write {rows.id_of.get(row, row)}:1@{version}"
    base = plan.index.row_key(row)
    targets = []
    for number in [int(sample)] if sample else range(1, count + 1):
        last = last_version(base, number, history)
        if version is not None and not 1 <= int(version) <= last:
            return f"the sample has {plural(last, 'version')}"
        chosen = int(version) if version else history.reviews.newest(base, number)
        targets.append(Target(row, rows.id_of.get(row), base, number, chosen, is_named=sample is not None))
    return targets


def _find_row(text: str, rows: Rows) -> int | str:
    """Return the row with this id, else with this number; a message if there is none."""
    with_id = rows.ids.get(text, [])
    if len(with_id) > 1:
        listed = ", ".join(map(str, with_id[:5]))
        return f"{len(with_id)} rows have this id: name one by its row number ({listed})"
    if with_id:
        return with_id[0]
    if text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= len(rows.samples):
        return int(text)
    hint = did_you_mean(text, rows.ids) or f"; the run has {plural(len(rows.samples), 'row')}"
    return f"no row has this id or number{hint}"
