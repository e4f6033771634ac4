"""Which role does each column play, which are the user's own, and which must never be copied?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace

from imagen_batch.errors import InputInvalid
from imagen_batch.prompts.likeness import remark
from imagen_batch.prompts.names import ALIASES, FAILURE_COLUMNS, fold, looks_secret
from imagen_batch.records import Problem

# The cells at some positions, row by row.
ReadColumns = Callable[[Sequence[int]], Iterable[Sequence[str]]]

_SIZES = {"0.5K", "1K", "2K", "4K"}


@dataclass(frozen=True, slots=True)
class Columns:
    """A header understood. Positions count from 0."""

    names: tuple[str, ...]  # of every column of the file
    kept: tuple[int, ...]  # positions carried through, in order: no secrets, none without name and content
    roles: dict[str, int]  # role -> position
    warnings: tuple[str, ...]

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
    dropped = _ours(names) | _empty(nameless, read)
    kept = tuple(position for position in range(len(names)) if position not in secret | dropped)

    casting = _Casting(names, kept, line)
    casting.refuse_twins([name for position, name in enumerate(names) if position not in dropped])
    casting.cast_prompt(forced)
    casting.cast_size(read)
    for role in ALIASES:
        if role not in {"prompt", "image_size"}:
            casting.cast(role)
    if casting.problems:
        raise InputInvalid(casting.problems)
    warnings = (*_secrecy(names, secret), *_namelessness(names, set(nameless) - dropped), *casting.warnings)
    columns = Columns(names, kept, casting.roles, warnings)
    return replace(columns, warnings=(*warnings, *_unsent(columns, set(nameless))))


def _unsent(columns: Columns, nameless: Set[int]) -> Iterator[str]:
    """A word about each column of the user's own that looks like a wish."""
    for position in columns.own:
        said = None if position in nameless else remark(columns.names[position], columns.roles)
        if said is not None:
            yield said


def _ours(names: Sequence[str]) -> set[int]:
    """Positions of what our own failures.csv adds, where this is one."""
    first = len(names) - len(FAILURE_COLUMNS)
    return set(range(first, len(names))) if tuple(map(fold, names[first:])) == FAILURE_COLUMNS else set()


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
    for position in sorted(nameless):
        yield f"a column has content but no name and is kept as {names[position]!r}"


@dataclass(slots=True)
class _Casting:
    """Gives roles to columns and gathers what is wrong or worth a word."""

    names: Sequence[str]
    kept: Sequence[int]
    line: int | None
    roles: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def refuse_twins(self, names: Iterable[str]) -> None:
        for name, times in Counter(names).items():
            if times > 1:
                self._refuse(name, name, f"{times} columns have this name; each needs one of its own")

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
        free = [position for position in self.kept if position not in self.roles.values()]
        found = {alias: [at for at in free if fold(self.names[at]) == alias] for alias in ALIASES[role]}
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
    return ", ".join(map(repr, names))


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
