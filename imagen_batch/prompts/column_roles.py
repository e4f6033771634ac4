"""Gives each column of a table its role, and finds the user's own columns and those that must never be copied."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeVar

from imagen_batch.errors import InputInvalid
from imagen_batch.prompts.cells import image_size
from imagen_batch.prompts.column_names import (
    ADVICE_COLUMN,
    ALIASES,
    FAILURE_COLUMNS,
    MARK_COLUMN,
    compose,
    fold,
    looks_secret,
)
from imagen_batch.prompts.suspicious_columns import column_warning
from imagen_batch.records import Problem
from imagen_batch.text import did_you_mean

# Returns the cells at the given positions, row by row.
ReadColumns = Callable[[Sequence[int]], Iterable[Sequence[str]]]

_MAX_COLUMNS = 16_384  # the widest spreadsheet
_MAX_NAMELESS_WARNINGS = 10
_MAX_LISTED = 100  # names in one message

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table and their roles. Positions count from 0."""

    names: tuple[str, ...]  # of every column of the file
    kept: tuple[int, ...]  # positions carried through, in order: no secrets, none without name and content
    roles: dict[str, int]  # role -> position
    warnings: tuple[str, ...]
    mark: int | None = None  # position of the column in which our failures.csv identifies the row
    failures: bool = False  # whether this is a failures.csv of ours

    @property
    def own(self) -> tuple[int, ...]:
        """Positions of the user's own columns, which have no role."""
        taken = set(self.roles.values())
        return tuple(position for position in self.kept if position not in taken)


def prompt_position(names: Sequence[str], *, forced: str | None = None) -> int | None:
    """Return the position of the prompt: at `forced` (exact or folded), else at the first known name; else None."""
    exact = [name.strip() for name in names]
    if forced is not None and forced.strip() in exact:
        return exact.index(forced.strip())
    folded = [fold(name) for name in names]
    wanted = ALIASES["prompt"] if forced is None else (fold(forced),)
    return next((folded.index(name) for name in wanted if name in folded), None)


def assign_roles(header: Sequence[str], *, line: int | None, forced: str | None, read: ReadColumns) -> Columns:
    """Give each column of `header`, which begins in `line`, its role; `forced` names the prompt column.

    Rows are read only if a name does not decide: for a column without a name, and for a `size` that may be in pixels.
    Raises InputInvalid with every problem of the header.
    """
    names = tuple(name.strip() or f"column_{number}" for number, name in enumerate(header, 1))
    secret = {position for position, name in enumerate(names) if looks_secret(name)}
    nameless = [position for position, name in enumerate(header) if not name.strip()]
    ours = _failures_columns(names)
    mark = next((position for position in ours if fold(names[position]) == MARK_COLUMN), None)
    dropped = ours | _empty_columns(nameless, read)
    left_out = secret | dropped
    kept = tuple(position for position in range(len(names)) if position not in left_out)
    _refuse_too_many(kept, line)

    assignment = _RoleAssignment(names, kept, line)
    assignment.refuse_duplicates([name for position, name in enumerate(names) if position not in dropped])
    assignment.refuse_nulls()
    assignment.assign_prompt(forced)
    assignment.assign_size(read)
    for role in ALIASES:
        if role not in {"prompt", "image_size"}:
            assignment.assign(role)
    if assignment.problems:
        raise InputInvalid(assignment.problems)
    warnings = (
        *_secret_warnings(names, secret),
        *_nameless_warnings(names, set(nameless) - dropped),
        *assignment.warnings,
    )
    columns = Columns(names, kept, assignment.roles, warnings, mark, bool(ours))
    return replace(columns, warnings=(*warnings, *_unsent_warnings(columns, set(nameless))))


def _unsent_warnings(columns: Columns, nameless: Set[int]) -> Iterator[str]:
    """Warn about each of the user's own columns that looks like a setting."""
    for position in columns.own:
        warning = None if position in nameless else column_warning(columns.names[position], columns.roles)
        if warning is not None:
            yield warning


def _refuse_too_many(kept: Sequence[int], line: int | None) -> None:
    if len(kept) > _MAX_COLUMNS:
        message = f"{len(kept):,} columns have content, and the tables can have at most {_MAX_COLUMNS:,}"
        raise InputInvalid([Problem(line, None, None, message)])


def _failures_columns(names: Sequence[str]) -> set[int]:
    """Return the positions of the columns that our own failures.csv adds, if the file is one.

    A spreadsheet program may have moved or dropped columns, so the mark alone identifies the file.
    """
    folded = [fold(name) for name in names]
    if MARK_COLUMN in folded:
        added = (*FAILURE_COLUMNS, MARK_COLUMN, ADVICE_COLUMN)
        return {position for position, name in enumerate(folded) if name in added}
    advice = {position for position, name in enumerate(folded) if name == ADVICE_COLUMN}
    last = [position for position in range(len(names)) if position not in advice][-len(FAILURE_COLUMNS) :]
    complete = tuple(folded[position] for position in last) == FAILURE_COLUMNS
    return {*advice, *last} if complete else advice


def _empty_columns(nameless: Sequence[int], read: ReadColumns) -> set[int]:
    empty = set(nameless)
    for texts in read(nameless) if nameless else ():
        empty -= {position for position, text in zip(nameless, texts, strict=True) if text.strip()}
        if not empty:
            break
    return empty


def _secret_warnings(names: Sequence[str], secret: Iterable[int]) -> Iterator[str]:
    for position in sorted(secret):
        yield f"column {names[position]!r} looks like a secret: it is neither used nor copied anywhere"


def _nameless_warnings(names: Sequence[str], nameless: Iterable[int]) -> Iterator[str]:
    ordered = sorted(nameless)
    for position in ordered[:_MAX_NAMELESS_WARNINGS]:
        yield f"a column has content but no name and is kept as {names[position]!r}"
    if (further := len(ordered) - _MAX_NAMELESS_WARNINGS) > 0:
        yield f"{further:,} more columns have content but no name, the last of them {names[ordered[-1]]!r}"


@dataclass(slots=True)
class _RoleAssignment:
    """Gives roles to columns, and collects problems and warnings."""

    names: Sequence[str]
    kept: Sequence[int]
    line: int | None
    roles: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _folded: dict[str, list[int]] = field(default_factory=dict)  # positions by folded name

    def refuse_duplicates(self, names: Iterable[str]) -> None:
        for spellings in _group(names, by=compose).values():
            if len(spellings) > 1:
                name = spellings[0]
                self._refuse(name, name, f"{len(spellings)} columns have this name; each needs its own")

    def refuse_nulls(self) -> None:
        for position in self.kept:
            if "\0" in self.names[position]:
                message = "the name of a column contains a NUL byte, which is not text: is the file damaged?"
                self._refuse(None, self.names[position], message)

    def assign_prompt(self, forced: str | None) -> None:
        columns = self._columns("prompt")
        if forced is not None:
            position = prompt_position([self.names[position] for position in self.kept], forced=forced)
            columns = {forced: [self.kept[position]]} if position is not None else {}
        if not columns:
            problem = (
                "no column is called prompt (one prompt a line: --format txt)"
                if forced is None
                else f"there is no column {forced!r}{did_you_mean(forced, (self.names[at] for at in self.kept))}"
            )
            self._refuse(
                forced,
                None,
                f"{problem}; choose one with --prompt-column: {_list_names(self.names[at] for at in self.kept)}",
            )
        elif forced is None and "prompt" not in columns and len(columns) > 1:
            several = _list_names(self.names[positions[0]] for positions in columns.values())
            self._refuse(None, None, f"any of {several} may be the prompt; choose one with --prompt-column")
        else:
            self._take("prompt", columns)

    def assign_size(self, read: ReadColumns) -> None:
        """Assign image_size. `size` and `resolution` are the user's own unless they contain a service's size."""
        columns = self._columns("image_size")
        for name in [name for name in columns if name != "image_size" and "image_size" not in columns]:
            is_size, other = _holds_sizes(texts[0] for texts in read(columns[name][:1]))
            if is_size:
                continue
            position = columns.pop(name)[0]
            if other:
                why = f"{other[:40]!r} is not 512, 1K, 2K or 4K"
                self.warnings.append(f"column {self.names[position]!r} is kept as your own: {why}")
        self._take("image_size", columns)

    def assign(self, role: str) -> None:
        self._take(role, self._columns(role))

    def _columns(self, role: str) -> dict[str, list[int]]:
        """Return the columns that may have `role`, by their known name, the most specific name first."""
        if not self._folded:
            self._folded.update(_group(self.kept, by=lambda at: fold(self.names[at])))
        taken = set(self.roles.values())
        columns = {alias: [at for at in self._folded.get(alias, ()) if at not in taken] for alias in ALIASES[role]}
        return {alias: positions for alias, positions in columns.items() if positions}

    def _take(self, role: str, columns: dict[str, list[int]]) -> None:
        """Assign the role to the first name; the others stay the user's own columns."""
        for name, positions in list(columns.items())[:1]:
            self.roles[role] = positions[0]
            duplicates = dict.fromkeys(self.names[position] for position in positions)
            if len(duplicates) > 1:
                self._refuse(name, None, f"columns {_list_names(duplicates)} mean the same; rename all but one")
            if name != role and len(columns) > 1:
                first, *others = (self.names[at[0]] for at in columns.values())
                self.warnings.append(f"{first!r} is read as {role}; kept as your own: {_list_names(others)}")

    def _refuse(self, column: str | None, found: str | None, message: str) -> None:
        self.problems.append(Problem(self.line, column, found, message))


def _list_names(names: Iterable[str]) -> str:
    listed = list(islice(names, _MAX_LISTED + 1))
    return ", ".join([*map(repr, listed[:_MAX_LISTED]), *["..."] * (len(listed) > _MAX_LISTED)])


def _group(values: Iterable[T], *, by: Callable[[T], str]) -> dict[str, list[T]]:
    groups: dict[str, list[T]] = {}
    for value in values:
        groups.setdefault(by(value), []).append(value)
    return groups


def _holds_sizes(texts: Iterable[str]) -> tuple[bool, str | None]:
    """Return whether a column contains sizes of the services, and its first other text.

    One 2K is enough: any other text is then reported as a mistake. 512 may be in pixels, so it counts only if the
    column contains nothing else.
    """
    pixels, other = False, None
    for text in (text.strip() for text in texts):
        if text == "512":
            pixels = True
        elif _is_size(text):
            return True, None
        elif text:
            other = other or text
    return pixels and other is None, other


def _is_size(text: str) -> bool:
    try:
        return bool(text and image_size(text))
    except ValueError:
        return False
