"""Finds the rows whose images other rows refer to, and the order in which their images have to be made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from imagen_batch.planning.references.limits import COLUMN
from imagen_batch.prompts.reference_cells import RowImage, row_image
from imagen_batch.records import Problem, PromptRow, Reference
from imagen_batch.text import did_you_mean, plural

_MAX_SUGGESTED_IDS = 10_000


class Target(NamedTuple):
    """A row that another row refers to: its number, its id, and the sample where one is named."""

    row: int
    id: str
    sample: int | None


@dataclass(slots=True)
class Dependent:
    """A row that refers to images of other rows.

    `plain` is the digest of its content without references, `placeholder` its row key while an image is missing.
    `room` is the number of bytes of a request that are left for these images, as base64.
    """

    row: int
    line: int
    id: str | None
    samples: int
    plain: bytes
    placeholder: str
    references: tuple[Reference, ...]
    room: int
    of_characters: int = 0  # how many of the references, at the end, come from characters
    targets: dict[int, Target] = field(default_factory=dict)  # by position among the references


class _Named(NamedTuple):
    row: int
    line: int
    samples: int


class KnownIds(NamedTuple):
    """What `@id` may mean beside the id of a row.

    `variants`: the rows are those of a matrix, where `@fox` means the row with the same ending as the row that
    names it: `fox-ink` for `den-ink`. `stored_ids` are ids of an input that the rows will be added to.
    """

    variants: bool = False
    stored_ids: frozenset[str] = frozenset()
    complete: bool = True  # whether the ids of all rows are known; a row that can't be read has an unknown one


_ONLY_ROWS = KnownIds()


def link_rows(
    dependents: Mapping[int, Dependent],
    rows: Iterable[PromptRow],
    *,
    default_samples: int,
    known: KnownIds = _ONLY_ROWS,
) -> Iterator[Problem]:
    """Set the targets of each dependent; yield a problem for each reference that does not identify one row.

    `rows` are all rows of the input.
    """
    names = set(_all_possible_ids(dependents.values(), known))
    named: defaultdict[str, list[_Named]] = defaultdict(list)
    other_ids: list[str] = []  # a misspelled reference may mean one of them
    for row in rows:
        if row.id in names:
            named[row.id].append(_Named(row.row, row.line, row.samples or default_samples))
        elif row.id and len(other_ids) < _MAX_SUGGESTED_IDS:
            other_ids.append(row.id)
    for dependent in dependents.values():
        _remove_own_image(dependent, named, known)
        for position, image in _row_images(dependent).items():
            name = _resolve_name(dependent, image.id, named, known)
            if name not in named and _may_be_elsewhere(dependent, image.id, known):
                continue
            why = _explain_unresolved(dependent, name, image.sample, named.get(name, []), other_ids)
            if why is None:
                dependent.targets[position] = Target(named[name][0].row, name, image.sample)
            else:
                yield Problem(dependent.line, COLUMN, dependent.references[position].text, why)


def _may_be_elsewhere(dependent: Dependent, name: str, known: KnownIds) -> bool:
    return not known.complete or not known.stored_ids.isdisjoint(_possible_ids(dependent, name, known))


def _remove_own_image(dependent: Dependent, rows: Mapping[str, Sequence[_Named]], known: KnownIds) -> None:
    """Remove references of characters that lead to the row itself: a row that draws a sheet has no sheet yet."""
    first = len(dependent.references) - dependent.of_characters
    own = {
        position
        for position, image in _row_images(dependent).items()
        if position >= first
        and [each.row for each in rows.get(_resolve_name(dependent, image.id, rows, known), ())] == [dependent.row]
    }
    if own:
        kept = (each for position, each in enumerate(dependent.references) if position not in own)
        dependent.references, dependent.of_characters = tuple(kept), dependent.of_characters - len(own)


def _resolve_name(dependent: Dependent, name: str, rows: Container[str], known: KnownIds) -> str:
    """Return the id that a reference means: the first possible one that a row has."""
    return next((each for each in _possible_ids(dependent, name, known) if each in rows), name)


def _all_possible_ids(dependents: Iterable[Dependent], known: KnownIds) -> Iterator[str]:
    for dependent in dependents:
        for image in _row_images(dependent).values():
            yield from _possible_ids(dependent, image.id, known)


def _possible_ids(dependent: Dependent, name: str, known: KnownIds) -> Iterator[str]:
    """Yield the ids that a reference of a row may mean; the first one that exists counts."""
    yield name
    _, *ending = (dependent.id or "").split("-") if known.variants else ("",)
    for first in range(len(ending)):
        yield "-".join([name, *ending[first:]])


def unplanned_dependent(row: PromptRow) -> Dependent | None:
    """Return a row that has problems of its own, so that its references to other rows can be checked as well."""
    if not any(text.startswith("@") for text in row.references):
        return None
    first_of_characters = len(row.references) - row.of_characters
    images = [(at, text) for at, text in enumerate(row.references) if text.startswith("@")]
    return Dependent(
        row=row.row,
        line=row.line,
        id=row.id,
        samples=row.samples or 1,
        plain=b"",
        placeholder="",
        references=tuple(Reference(text) for _, text in images),
        room=0,
        of_characters=sum(at >= first_of_characters for at, _ in images),
    )


def order_rows(dependents: Mapping[int, Dependent]) -> tuple[list[int], list[Problem]]:
    """Return the rows so that each comes after those that it refers to, and a problem for each cycle."""
    ordered: list[int] = []
    open_targets = {row: _dependent_targets(each, dependents) for row, each in dependents.items()}
    users: defaultdict[int, list[int]] = defaultdict(list)
    for row, targets in open_targets.items():
        for target in targets:
            users[target].append(row)
    ready = [row for row, targets in open_targets.items() if not targets]
    while ready:
        row = ready.pop()
        ordered.append(row)
        for user in users[row]:
            open_targets[user].discard(row)
            if not open_targets[user]:
                ready.append(user)
    unordered = {row: targets for row, targets in open_targets.items() if targets}
    return ordered, list(_find_cycles(unordered, dependents))


def _row_images(dependent: Dependent) -> dict[int, RowImage]:
    images = ((position, row_image(each.text)) for position, each in enumerate(dependent.references))
    return {position: image for position, image in images if image is not None}


def _explain_unresolved(
    dependent: Dependent, name: str, sample: int | None, named: list[_Named], other_ids: list[str]
) -> str | None:
    """Return why a reference does not identify one row; None if it does."""
    if not named:
        return f"no row has the id {name!r}{did_you_mean(name, other_ids)}"
    if len(named) > 1:
        lines = ", ".join(str(each.line) for each in named[:3])
        return f"{len(named)} rows have the id {name!r} (lines {lines}); give each an id of its own"
    if named[0].row == dependent.row:
        return "the row refers to itself"
    if sample is not None and sample > named[0].samples:
        return (
            f"row {named[0].row} ({name}) asks for {plural(named[0].samples, 'image')}; there is no number {sample}"
        )
    return None


def _dependent_targets(dependent: Dependent, dependents: Mapping[int, Dependent]) -> set[int]:
    return {target.row for target in dependent.targets.values() if target.row in dependents}


def _find_cycles(remaining: Mapping[int, set[int]], dependents: Mapping[int, Dependent]) -> Iterator[Problem]:
    """Yield a problem for each cycle, at its first row."""
    visited: set[int] = set()
    for start in sorted(remaining):
        path: list[int] = []
        row = start
        while row not in visited:
            visited.add(row)
            path.append(row)
            row = min(remaining[row])
        if row in path:
            cycle = path[path.index(row) :]
            names = " -> ".join(str(each) for each in [*cycle, cycle[0]])
            dependent = dependents[min(cycle)]
            yield Problem(dependent.line, COLUMN, None, f"rows refer to each other in a circle: {names}")
