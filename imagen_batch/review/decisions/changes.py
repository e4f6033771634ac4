"""Turns what a person decided into the changes that it makes: decisions that are known already change nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from imagen_batch.errors import InputInvalid
from imagen_batch.ledger.history import History
from imagen_batch.ledger.records import ReviewedVersion
from imagen_batch.planning.plan import RunPlan
from imagen_batch.records import Problem
from imagen_batch.review.decisions.targets import Target
from imagen_batch.review.items import ReviewDecision
from imagen_batch.review.review_csv import Decision


@dataclass(frozen=True, slots=True)
class Changes:
    """The decisions to record, and how many others were known or are outdated by a newer version."""

    decisions: tuple[ReviewedVersion, ...] = ()
    known: int = 0
    outdated: int = 0
    skipped: int = 0  # samples of a named row that have nothing to decide about


@dataclass(frozen=True, slots=True)
class Choice:
    """A decision as it was typed. None clears the decision."""

    decision: ReviewDecision | None
    prompt: str | None = None
    seed: int | None = None
    note: str | None = None


def decide(targets: Iterable[Target], choice: Choice, history: History) -> Changes:
    """The changes of a decision about several samples. Raises InputInvalid where one can't be decided about."""
    decided: list[ReviewedVersion] = []
    known = skipped = 0
    problems: list[Problem] = []
    for target in targets:
        problem = _obstacle(target.base, target.number, target.version, choice.decision, history)
        if problem is not None and not target.is_named:
            skipped += 1
        elif problem is not None:
            problems.append(Problem(None, None, str(target), problem))
        else:
            new = _reviewed(target.base, target.number, target.version, choice)
            if is_known(new, history):
                known += 1
            else:
                decided.append(new)
    if problems:
        raise InputInvalid(problems)
    return Changes(tuple(decided), known, skipped=skipped)


def changes_of_review(
    review: Iterable[Decision], plan: RunPlan, history: History, *, applied: Iterable[Decision] = ()
) -> Changes:
    """The changes of a review.csv. `applied` is the file as it was applied before: its lines change nothing again.

    Raises InputInvalid with every line that names no sample or that can't be followed.
    """
    before, images = set(), set()
    for each in applied:
        before.add(line_facts(each))
        images.add(each.image)
    decided: dict[tuple[str, int, int], ReviewedVersion] = {}
    problems: list[Problem] = []
    known = outdated = 0
    finder = _Finder(plan, history)
    for line in review:
        if line.decision is None and line.image not in images:
            continue  # never decided about
        if line_facts(line) in before:
            known += line.decision is not None
            continue
        found = finder.find(line)
        if isinstance(found, str):
            problems.append(Problem(line.line, "key" if line.key else "row", str(line.key or line.row), found))
            continue
        base, number, version = found
        choice = Choice(line.decision, line.prompt, line.seed, line.note)
        new = _reviewed(base, number, version, choice)
        if is_known(new, history):
            known += line.decision is not None
        elif line.decision == "redo" and version < history.reviews.newest(base, number):
            outdated += 1
        elif problem := _obstacle(base, number, version, line.decision, history):
            problems.append(Problem(line.line, "decision", line.decision or "", problem))
        else:
            decided[base, number, version] = new
    if problems:
        raise InputInvalid(problems)
    return Changes(tuple(decided.values()), known, outdated)


def is_known(new: ReviewedVersion, history: History) -> bool:
    """Whether the ledger has the same decision about the same version."""
    old = history.reviews.decision(new.base, new.number, new.version)
    if old is None:
        return new.decision is None
    return (old.decision, old.prompt, old.seed, old.note) == (new.decision, new.prompt, new.seed, new.note)


def _reviewed(base: str, number: int, version: int, choice: Choice) -> ReviewedVersion:
    return ReviewedVersion(base, number, version, choice.decision, choice.prompt, choice.seed, choice.note)


def _obstacle(base: str, number: int, version: int, decision: ReviewDecision | None, history: History) -> str | None:
    """Why nobody can decide this about a version; None where one can."""
    key = base if version == 1 else _key_of(base, number, version, history)
    status = history.recorded_status(key, number)
    if decision is None:
        return None
    if status is None:
        return "nothing was sent for this sample yet: there is nothing to decide about"
    if decision == "approve" and status != "ok":
        return f"the sample has no image ({status}): only an image can be approved"
    return None


def _key_of(base: str, number: int, version: int, history: History) -> str:
    keys = (each.key for each in history.reviews.versions(base, number) if each.version == version)
    return next(keys, base)


def line_facts(line: Decision) -> tuple[object, ...]:
    """What tells two lines of a review.csv apart."""
    return (line.image, line.decision, line.prompt, line.seed, line.note)


class _Finder:
    """Finds the sample of a line: by the key of a request, which also tells the version, else by row and number."""

    def __init__(self, plan: RunPlan, history: History) -> None:
        self._plan = plan
        self._history = history
        self._by_key: Mapping[tuple[str, int], tuple[str, int, int]] | None = None

    def find(self, line: Decision) -> tuple[str, int, int] | str:
        """Row key, sample number and version, or what is wrong with the line."""
        if line.key is not None:
            found = self._of_row(line) or self._keys().get((line.key, line.sample))
            if found is None:
                return (
                    "no sample of this run has this key: the row was edited or removed since the review was written"
                )
            return found
        if not 1 <= line.row <= self._plan.rows:
            return f"the run has {self._plan.rows} rows"
        base, samples = self._plan.index.row_key(line.row), self._plan.index.samples(line.row)
        if line.sample > samples:
            return f"row {line.row} has {samples} samples"
        return self._checked(base, line.sample, line.version)

    def _checked(self, base: str, number: int, version: int | None) -> tuple[str, int, int] | str:
        if version is None:
            return base, number, self._history.reviews.newest(base, number)
        known = 1 + max((each.version - 1 for each in self._history.reviews.versions(base, number)), default=0)
        return (base, number, version) if version <= known else f"the sample has no version {version}"

    def _of_row(self, line: Decision) -> tuple[str, int, int] | None:
        """The sample where row and number of the line fit its key: nearly always."""
        if not 1 <= line.row <= self._plan.rows or line.sample > self._plan.index.samples(line.row):
            return None
        base = self._plan.index.row_key(line.row)
        for version, key in _recorded_keys(base, line.sample, self._history):
            if key == line.key:
                return base, line.sample, version if line.version is None else line.version
        return None

    def _keys(self) -> Mapping[tuple[str, int], tuple[str, int, int]]:
        """All samples by the keys of their requests and their sample numbers; made once, for rows that moved."""
        if self._by_key is None:
            self._by_key = {
                (key, number): (base, number, version)
                for base, samples in self._plan.index
                for number in range(1, samples + 1)
                for version, key in _recorded_keys(base, number, self._history)
            }
        return self._by_key


def _recorded_keys(base: str, number: int, history: History) -> Iterator[tuple[int, str]]:
    """Version and key of the recorded result of each version of a sample."""
    versions = [(1, base), *((each.version, each.key) for each in history.reviews.versions(base, number))]
    for version, key in versions:
        if (details := history.recorded_details(key, number)) is not None:
            yield version, details[1].key
