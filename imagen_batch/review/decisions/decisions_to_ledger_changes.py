"""Turns a person's decisions into changes of the ledger. Decisions that the ledger already has change nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from imagen_batch.errors import InputInvalid
from imagen_batch.ledger.history import History
from imagen_batch.ledger.records import ReviewedVersion
from imagen_batch.planning.plan import RunPlan
from imagen_batch.records import Problem
from imagen_batch.review.decisions.list_versions import version_keys
from imagen_batch.review.decisions.named_samples import Target
from imagen_batch.review.decisions.sample_of_csv_line import LineFinder, SampleVersion
from imagen_batch.review.gallery_items import ReviewDecision
from imagen_batch.review.review_csv import Decision, ReviewLines


@dataclass(frozen=True, slots=True)
class Changes:
    """The decisions to record, and how many others were known already or outdated by a newer version."""

    decisions: tuple[ReviewedVersion, ...] = ()
    known: int = 0
    outdated: int = 0
    skipped: int = 0  # samples of a named row about which nothing can be decided


@dataclass(frozen=True, slots=True)
class Choice:
    """A decision as it was typed. None clears the decision."""

    decision: ReviewDecision | None
    prompt: str | None = None
    seed: int | None = None
    note: str | None = None


def decide(targets: Iterable[Target | Problem], choice: Choice, history: History) -> Changes:
    """Return the changes of one decision about several samples.

    Raises InputInvalid with the problems among the targets and those of samples about which it can't be made.
    """
    decided: list[ReviewedVersion] = []
    known = skipped = 0
    problems: list[Problem] = []
    for target in targets:
        if isinstance(target, Problem):
            problems.append(target)
            continue
        problem = _explain_refusal(target.base, target.number, target.version, choice.decision, history)
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
    review: ReviewLines, plan: RunPlan, history: History, *, applied: Iterable[Decision] = ()
) -> Changes:
    """Return the changes of a review.csv. `applied` are the lines that were applied before: they change nothing.

    Raises InputInvalid with all problems of the file: those of its lines, lines that name no sample, and decisions
    that can't be made.
    """
    applied = list(applied)
    applied_facts = {line_facts(each) for each in applied}
    applied_images = {each.image for each in applied}
    collected = _CollectedChanges(history)
    finder = LineFinder(plan, history)
    for line in review.decisions:
        if line.decision is None and line.image not in applied_images:
            continue  # nothing was ever decided about it
        if line_facts(line) in applied_facts:
            collected.known += line.decision is not None
        else:
            collected.add(line, finder.find(line))
    for line in review.without_decision:
        if isinstance(why := finder.find(line), str):
            collected.add(line, why)
    if problems := [*review.problems, *collected.problems]:
        raise InputInvalid(sorted(problems, key=lambda problem: problem.line or 0))
    return Changes(tuple(collected.decided.values()), collected.known, collected.outdated)


@dataclass(slots=True)
class _CollectedChanges:
    """The changes of the lines of a review.csv that were read so far, and their problems."""

    history: History
    decided: dict[SampleVersion, ReviewedVersion] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    known: int = 0
    outdated: int = 0

    def add(self, line: Decision, sample: SampleVersion | str) -> None:
        """Add a line about a sample; a text says why there is no such sample."""
        if isinstance(sample, str):
            self.problems.append(Problem(line.line, "key" if line.key else "row", str(line.key or line.row), sample))
            return
        base, number, version = sample
        new = _reviewed(base, number, version, Choice(line.decision, line.prompt, line.seed, line.note))
        if is_known(new, self.history):
            self.known += line.decision is not None
        elif line.decision == "redo" and version < self.history.reviews.newest(base, number):
            self.outdated += 1
        elif problem := _explain_refusal(base, number, version, line.decision, self.history):
            self.problems.append(Problem(line.line, "decision", line.decision or "", problem))
        else:
            self.decided[sample] = new


def is_known(new: ReviewedVersion, history: History) -> bool:
    """Return whether the ledger has the same decision about the same version."""
    old = history.reviews.decision(new.base, new.number, new.version)
    if old is None:
        return new.decision is None
    return (old.decision, old.prompt, old.seed, old.note) == (new.decision, new.prompt, new.seed, new.note)


def _reviewed(base: str, number: int, version: int, choice: Choice) -> ReviewedVersion:
    return ReviewedVersion(base, number, version, choice.decision, choice.prompt, choice.seed, choice.note)


def _explain_refusal(
    base: str, number: int, version: int, decision: ReviewDecision | None, history: History
) -> str | None:
    """Return why this can't be decided about a version; None if it can."""
    key = dict(version_keys(base, number, history)).get(version, base)
    status = history.recorded_status(key, number)
    if decision is None:
        return None
    if status is None:
        return "nothing was sent for this sample yet: there is nothing to decide about"
    if decision == "approve" and status != "ok":
        return f"the sample has no image ({status}): only an image can be approved"
    return None


def line_facts(line: Decision) -> tuple[object, ...]:
    """Return the image of a line and the values that were decided for it."""
    return (line.image, line.decision, line.prompt, line.seed, line.note)
