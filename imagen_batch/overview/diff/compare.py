"""Finds what changed between two runs of the same rows.

Samples belong together that have the same id and number. Where ids are missing or not unique in one of the runs, the
row numbers take their place.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from imagen_batch.overview.diff.samples import RunSamples, Sample

Change = Literal["added", "removed", "prompt", "model", "status", "reason", "image"]
"""What may have changed about a sample. `added` is only in the second run, `removed` only in the first."""

_Slot = tuple[str | int, int]


@dataclass(frozen=True, slots=True)
class Difference:
    """A sample that changed. One side is None where only the other run has it."""

    before: Sample | None
    after: Sample | None
    changes: tuple[Change, ...]

    @property
    def sample(self) -> Sample:
        """The later side."""
        sample = self.after or self.before
        assert sample is not None
        return sample


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs and their differences, in the order of the second run's rows, then those that only the first has."""

    before: RunSamples
    after: RunSamples
    matched_by: Literal["id", "row"]
    same: int
    differences: tuple[Difference, ...]

    @property
    def counts(self) -> Counter[tuple[Change, ...]]:
        """Samples by what changed about them."""
        return Counter(difference.changes for difference in self.differences)


def compare(before: RunSamples, after: RunSamples) -> Comparison:
    """Compare two runs."""
    matched_by: Literal["id", "row"] = "id" if _has_ids(before) and _has_ids(after) else "row"
    old = {_slot(sample, matched_by): sample for sample in before.samples}
    differences: list[Difference] = []
    same = 0
    for sample in after.samples:
        earlier = old.pop(_slot(sample, matched_by), None)
        changes = ("added",) if earlier is None else _changes(earlier, sample)
        if changes:
            differences.append(Difference(earlier, sample, changes))
        else:
            same += 1
    differences += [Difference(sample, None, ("removed",)) for sample in old.values()]
    return Comparison(before, after, matched_by, same, tuple(differences))


def _changes(before: Sample, after: Sample) -> tuple[Change, ...]:
    """Name what changed. Different images are a change only where both runs have one."""
    has_images = before.status == after.status == "ok"
    facts: dict[Change, bool] = {
        "prompt": before.prompt_digest != after.prompt_digest,
        "model": before.model != after.model,
        "status": before.status != after.status,
        "reason": before.status == after.status != "ok" and before.reason != after.reason,
        "image": has_images and before.sha256 != after.sha256,
    }
    return tuple(name for name, changed in facts.items() if changed)


def _slot(sample: Sample, matched_by: Literal["id", "row"]) -> _Slot:
    return (sample.id if matched_by == "id" else sample.row), sample.number


def _has_ids(run: RunSamples) -> bool:
    """Whether each row has an id that no other row has."""
    rows = {(sample.row, sample.id) for sample in run.samples}
    ids = {sample.id for sample in run.samples}
    return bool(rows) and "" not in ids and len(ids) == len(rows)
