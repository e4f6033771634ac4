"""Which role does each column play, which are the user's own, and which must never be copied?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeVar

from imagen_batch.errors import InputInvalid
from imagen_batch.prompts.column_names import ALIASES, FAILURE_COLUMNS, MARK_COLUMN, composed, fold, looks_secret
from imagen_batch.prompts.suspicious_columns import remark
from imagen_batch.records import Problem

# The cells at some positions, row by row.
ReadColumns = Callable[[Sequence[int]], Iterable[Sequence[str]]]

_SIZES = {"0.5K", "1K", "2K", "4K"}
_MOST_COLUMNS = 16_384  # the widest spreadsheet
_MOST_NAMELESS_TOLD = 10
_MOST_LISTED = 100  # names in one message

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Columns:
    """A header understood. Positions count from 0."""

    names: tuple[str, ...]  # of every column of the file
    kept: tuple[int, ...]  # positions carried through, in order: no secrets, none without name and content
    roles: dict[str, int]  # role -> position
    warnings: tuple[str, ...]
    mark: int | None = None  # of the column in which our failures.csv names the row
    failures: bool = False  # whether this is a failures.csv of ours

    @property
    def own(self) -> tuple[int, ...]:
        """Positions of the columns that only the user knows."""
        taken = set(self.roles.values())
        return tuple(position for position in self.kept if position not in taken)


def prompt_position(names: Sequence[str], *, forced: str | None = None) -> int | None:
    """Where the prompt stands: at `forced` (exact, else folded), else at the first known name; else None."""
    exact = [name.strip() for name in names]
    if forced is not None and forced.strip() in exact:
        return exact.index(forced.strip())
    folded = [fold(name) for name in names]
    wanted = ALIASES["prompt"] if forced is None else (fold(forced),)
    return next((folded.index(name) for name in wanted if name in folded), None)


def understand(header: Sequence[str], *, line: int | None, forced: str | None, read: ReadColumns) -> Columns:
    """Give each column of `header`, which begins in `line`, its role; `forced` names the prompt column.

    Rows are read only where names do not tell: a column without a name, and a `size` that may be in pixels.
    Raises InputInvalid with all that is wrong with the header.
    """
    names = tuple(name.strip() or f"column_{place}" for place, name in enumerate(header, 1))
    secret = {position for position, name in enumerate(names) if looks_secret(name)}
    nameless = [position for position, name in enumerate(header) if not name.strip()]
    ours = _ours(names)
    mark = next((position for position in ours if fold(names[position]) == MARK_COLUMN), None)
    dropped = ours | _empty(nameless, read)
    left_out = secret | dropped
    kept = tuple(position for position in range(len(names)) if position not in left_out)
    _refuse_too_many(kept, line)

    casting = _Casting(names, kept, line)
    casting.refuse_twins([name for position, name in enumerate(names) if position not in dropped])
    casting.refuse_nulls()
    casting.cast_prompt(forced)
    casting.cast_size(read)
    for role in ALIASES:
        if role not in {"prompt", "image_size"}:
            casting.cast(role)
    if casting.problems:
        raise InputInvalid(casting.problems)
    warnings = (*_secrecy(names, secret), *_namelessness(names, set(nameless) - dropped), *casting.warnings)
    columns = Columns(names, kept, casting.roles, warnings, mark, bool(ours))
    return replace(columns, warnings=(*warnings, *_unsent(columns, set(nameless))))


def _unsent(columns: Columns, nameless: Set[int]) -> Iterator[str]:
    """A word about each column of the user's own that looks like a wish."""
    for position in columns.own:
        said = None if position in nameless else remark(columns.names[position], columns.roles)
        if said is not None:
            yield said


def _refuse_too_many(kept: Sequence[int], line: int | None) -> None:
    if len(kept) > _MOST_COLUMNS:
        message = f"{len(kept):,} columns hold something, and at most {_MOST_COLUMNS:,} can be carried to the tables"
        raise InputInvalid([Problem(line, None, None, message)])


def _ours(names: Sequence[str]) -> set[int]:
    """Positions of what our own failures.csv adds, where this is one.

    A spreadsheet may have moved or dropped columns: the mark alone says that the file is ours.
    """
    folded = [fold(name) for name in names]
    if MARK_COLUMN in folded:
        return {position for position, name in enumerate(folded) if name in (*FAILURE_COLUMNS, MARK_COLUMN)}
    first = max(0, len(names) - len(FAILURE_COLUMNS))
    return set(range(first, len(names))) if tuple(folded[first:]) == FAILURE_COLUMNS else set()


def _empty(nameless: Sequence[int], read: ReadColumns) -> set[int]:
    empty = set(nameless)
    for texts in read(nameless) if nameless else ():
        empty -= {position for position, text in zip(nameless, texts, strict=True) if text.strip()}
        if not empty:
            break
    return empty


def _secrecy(names: Sequence[str], secret: Iterable[int]) -> Iterator[str]:
    for position in sorted(secret):
        yield f"column {names[position]!r} looks like a secret: it is neither used nor copied anywhere"


def _namelessness(names: Sequence[str], nameless: Iterable[int]) -> Iterator[str]:
    ordered = sorted(nameless)
    for position in ordered[:_MOST_NAMELESS_TOLD]:
        yield f"a column has content but no name and is kept as {names[position]!r}"
    if (further := len(ordered) - _MOST_NAMELESS_TOLD) > 0:
        yield f"{further:,} more columns have content but no name, the last of them {names[ordered[-1]]!r}"


@dataclass(slots=True)
class _Casting:
    """Gives roles to columns and gathers what is wrong or worth a word."""

    names: Sequence[str]
    kept: Sequence[int]
    line: int | None
    roles: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _folded: dict[str, list[int]] = field(default_factory=dict)  # positions by folded name

    def refuse_twins(self, names: Iterable[str]) -> None:
        for spellings in _grouped(names, by=composed).values():
            if len(spellings) > 1:
                name = spellings[0]
                self._refuse(name, name, f"{len(spellings)} columns have this name; each needs one of its own")

    def refuse_nulls(self) -> None:
        for position in self.kept:
            if "\0" in self.names[position]:
                message = "the name of a column holds a NUL byte, which is no text: is the file damaged?"
                self._refuse(None, self.names[position], message)

    def cast_prompt(self, forced: str | None) -> None:
        found = self._columns("prompt")
        if forced is not None:
            position = prompt_position([self.names[position] for position in self.kept], forced=forced)
            found = {forced: [self.kept[position]]} if position is not None else {}
        if not found:
            lack = (
                "no column is called prompt (one prompt a line: --format txt)"
                if forced is None
                else f"there is no column {forced!r}"
            )
            self._refuse(
                forced,
                None,
                f"{lack}; choose one with --prompt-column: {_listed(self.names[at] for at in self.kept)}",
            )
        elif forced is None and "prompt" not in found and len(found) > 1:
            several = _listed(self.names[positions[0]] for positions in found.values())
            self._refuse(None, None, f"any of {several} may be the prompt; choose one with --prompt-column")
        else:
            self._take("prompt", found)

    def cast_size(self, read: ReadColumns) -> None:
        """`size` and `resolution` are the user's own unless a service's size stands in them."""
        found = self._columns("image_size")
        for name in [name for name in found if name != "image_size" and "image_size" not in found]:
            is_size, other = _holds_sizes(texts[0] for texts in read(found[name][:1]))
            if is_size:
                continue
            position = found.pop(name)[0]
            if other:
                why = f"{other[:40]!r} is not 512, 1K, 2K or 4K"
                self.warnings.append(f"column {self.names[position]!r} is kept as your own: {why}")
        self._take("image_size", found)

    def cast(self, role: str) -> None:
        self._take(role, self._columns(role))

    def _columns(self, role: str) -> dict[str, list[int]]:
        """The columns that may play `role`, by the known name they bear, the most telling name first."""
        if not self._folded:
            self._folded.update(_grouped(self.kept, by=lambda at: fold(self.names[at])))
        taken = set(self.roles.values())
        found = {alias: [at for at in self._folded.get(alias, ()) if at not in taken] for alias in ALIASES[role]}
        return {alias: positions for alias, positions in found.items() if positions}

    def _take(self, role: str, found: dict[str, list[int]]) -> None:
        """The first name wins; the others stay the user's own."""
        for name, positions in list(found.items())[:1]:
            self.roles[role] = positions[0]
            twins = dict.fromkeys(self.names[position] for position in positions)
            if len(twins) > 1:
                self._refuse(name, None, f"columns {_listed(twins)} mean the same; rename all but one")
            if name != role and len(found) > 1:
                first, *others = (self.names[at[0]] for at in found.values())
                self.warnings.append(f"{first!r} is read as {role}; kept as your own: {_listed(others)}")

    def _refuse(self, column: str | None, found: str | None, message: str) -> None:
        self.problems.append(Problem(self.line, column, found, message))


def _listed(names: Iterable[str]) -> str:
    listed = list(islice(names, _MOST_LISTED + 1))
    return ", ".join([*map(repr, listed[:_MOST_LISTED]), *["..."] * (len(listed) > _MOST_LISTED)])


def _grouped(values: Iterable[T], *, by: Callable[[T], str]) -> dict[str, list[T]]:
    groups: dict[str, list[T]] = {}
    for value in values:
        groups.setdefault(by(value), []).append(value)
    return groups


def _holds_sizes(texts: Iterable[str]) -> tuple[bool, str | None]:
    """Whether the services' sizes stand in a column, and the first other text.

    One 2K is enough: what else stands there is then a mistake worth a report. 512 may be pixels, so that
    counts only where nothing else stands.
    """
    pixels, other = False, None
    for text in (text.strip() for text in texts):
        if text.upper() in _SIZES:
            return True, None
        if text == "512":
            pixels = True
        elif text:
            other = other or text
    return pixels and other is None, other
