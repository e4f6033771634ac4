"""Produces the manifest's rows: the result of every sample that the input requests.

Reads the input once more and looks each sample up in the ledger, which has just been read from disk: its records are
true, whatever happened to the process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from imagen_batch.images.file_state import FILES_PER_LOOKUP, current_state
from imagen_batch.ledger.folds.sample_states import Failed
from imagen_batch.ledger.history import History
from imagen_batch.ledger.identical_images import Duplicates
from imagen_batch.planning.keys import request_key
from imagen_batch.planning.plan import RunPlan
from imagen_batch.planning.references.find_reference_images import relative_references
from imagen_batch.planning.references.ledger_form import references_from
from imagen_batch.planning.requests_and_shards import requests_for
from imagen_batch.planning.resolve_rows import PlannedRow
from imagen_batch.planning.samples.further_versions import options_from
from imagen_batch.planning.samples.sample_counts_for_accept import usable_samples
from imagen_batch.records import ManifestRow, Outcome, PromptRow, RequestTrace, SampleResult
from imagen_batch.reports.add_review_columns import as_locked, with_review
from imagen_batch.reports.image_warnings import with_warnings
from imagen_batch.reports.next_steps import BEYOND_LIMIT
from imagen_batch.storage import Storage
from imagen_batch.text import plural

IN_FLIGHT = "in_flight"  # the error kind of a sample that is being made at the moment


@dataclass(frozen=True, slots=True)
class RequestedSamples:
    """What the samples of a row have in common. `is_complete`: --accept has enough usable images of the row."""

    planned: PlannedRow
    base: str
    keys: _Keys
    references: tuple[str, ...]
    is_complete: bool


@dataclass(frozen=True, slots=True)
class Results:
    """The rows of all samples, in input order. `pending` is the status of samples for which nothing was sent."""

    plan: RunPlan
    history: History
    storage: Storage
    pending: Outcome = "not_attempted"
    in_flight: Set[tuple[str, int]] = field(default_factory=frozenset)  # row key and number of samples being made now

    def rows(self) -> Iterator[ManifestRow]:
        """Yield a row for each requested sample, and check that the file of each recorded image exists."""
        recorded = self.recorded_rows()
        while batch := list(islice(recorded, FILES_PER_LOOKUP)):
            yield from self.with_current_files(batch)

    def with_current_files(self, rows: Sequence[ManifestRow]) -> Iterator[ManifestRow]:
        """Yield recorded rows, changed where the file of an image is missing or was edited."""
        samples = current_state([row.sample for row in rows], self.storage)
        for row, sample in zip(rows, samples, strict=True):
            if sample is row.sample:
                yield row
            else:
                yield with_warnings(replace(row, sample=as_locked(sample, row.review)))

    def recorded_rows(self) -> Iterator[ManifestRow]:
        """Yield the same rows from the ledger alone, without checking the files."""
        duplicates = self.history.duplicates()
        self.plan.follow(self.history)
        for planned in self.plan.planned_rows():
            requested = self.requested_samples(planned)
            for number in range(1, planned.samples + 1):
                yield self.recorded_row(requested, number, duplicates)

    def requested_samples(self, planned: PlannedRow) -> RequestedSamples:
        """Return what the samples of a row have in common."""
        base = self.plan.index.row_key(planned.row.row)
        complete = self._is_complete(planned.row.row, base, planned.samples)
        return RequestedSamples(planned, base, _Keys(planned, base), self.references(planned), is_complete=complete)

    def recorded_row(self, requested: RequestedSamples, number: int, duplicates: Duplicates) -> ManifestRow:
        """Return the row of one sample from the ledger alone."""
        planned, base = requested.planned, requested.base
        version = self.history.reviews.current(base, number)
        entry = self._sample_row(planned, base, number, requested.keys, requested.references)
        if self.history.reviews:
            entry = with_review(entry, base, self.history, self.storage)
        if requested.is_complete and entry.sample.status != "ok":
            entry = replace(entry, replaced=True)
        return with_warnings(entry, is_duplicate=duplicates.has(base if version is None else version.key, number))

    def _sample_row(
        self, planned: PlannedRow, base: str, number: int, keys: _Keys, references: tuple[str, ...]
    ) -> ManifestRow:
        """Return the row of a sample, with the text that its image was made from."""
        result = self.history.final_result(base, number)
        sample, trace = result or self._without_result(planned.row.row, base, number, keys)
        charged = self.history.cost(base, number)
        if charged is not None and sample.cost_is is None:
            sample = replace(sample, cost_is="estimate")
        has_version = self.history.reviews.current(base, number) is not None
        kept = self.history.kept(base, number) if result or has_version else None
        provider = self.plan.settings.provider
        if kept is not None:
            entry = _row_of_kept_image(planned.row, sample, trace, kept, provider, charged)
            return replace(entry, references=self._kept_references(kept, references))
        row, model, prompt, options = planned.row, planned.model, planned.prompt, planned.options
        return ManifestRow(
            row, sample, trace, model.id, provider, model.dialect, prompt, options, charged, references
        )

    def references(self, planned: PlannedRow) -> tuple[str, ...]:
        """Return a row's reference images as the manifest shows them."""
        return self._relative([reference.text for reference in planned.references])

    def _kept_references(self, kept: Mapping[str, Any], of_row: tuple[str, ...]) -> tuple[str, ...]:
        """Return the references that an image was made with; those of the row if no others are recorded."""
        if texts := [reference.text for reference in references_from(kept)]:
            return self._relative(texts)
        return of_row if kept["options"].get("references") else ()

    def _relative(self, texts: Sequence[str]) -> tuple[str, ...]:
        of_run = self.plan.settings.references
        return tuple(relative_references(texts, self.plan.references.folder)) if of_run else tuple(texts)

    def _is_complete(self, row: int, base: str, samples: int) -> bool:
        """Return whether a row has as many usable images as --accept wants, so that none is missing."""
        if self.plan.settings.accept is None:
            return False
        return usable_samples(base, samples, self.history) >= self.plan.index.wanted(row)

    def _without_result(self, row: int, base: str, number: int, keys: _Keys) -> tuple[SampleResult, RequestTrace]:
        version = self.history.reviews.current(base, number)
        key = keys.of(number) if version is None else request_key(version.key, number, 1)
        if (base if version is None else version.key, number) in self.in_flight:
            return SampleResult(number, "not_attempted", error_kind=IN_FLIGHT), self._open_trace(base, number, key)
        left_out = self._left_out(row)
        if left_out is not None and self.history.status(base, number) != "unknown":
            return _not_sent(number, *left_out), RequestTrace(key)
        failed = self.history.last_failed(base, number)
        if failed is not None:
            return self._given_up(base, number, failed)
        if self.history.status(base, number) != "unknown":
            attempts = self.history.attempts_of(key)
            sample = SampleResult(number, self.pending, error=_ENDED_BETWEEN if attempts else None)
            return sample, RequestTrace(key, attempts=attempts)
        recorded = self.history.details(base, number)
        if recorded is not None and recorded[0].status == "unknown":
            return recorded
        sample = SampleResult(number, "unknown", error=_STOPPED_BEFORE, error_kind="interrupted", cost_is="unknown")
        return sample, self._open_trace(base, number, key)

    def _open_trace(self, base: str, number: int, key: str) -> RequestTrace:
        attempt = self.history.latest_open_attempt(base, number)
        if attempt is None:
            return RequestTrace(key, attempts=self.history.attempts_of(key))
        return RequestTrace(attempt.key, attempts=attempt.attempt, sent_at=attempt.at)

    def _left_out(self, row: int) -> tuple[str, str] | None:
        """Return why this run leaves a row out, as error kind and message; None if it does not."""
        limit, only = self.plan.settings.limit, self.plan.only
        if only is not None:
            if row not in only:
                return "not_named", "not sent: the file of this run does not have the row"
        elif limit is not None and row > limit:
            return BEYOND_LIMIT, f"not sent: beyond --limit {limit}"
        waiting = self.plan.index.waiting(row)
        return None if waiting is None else (waiting.kind, f"not sent: {waiting.why}")

    def _given_up(self, base: str, number: int, failed: Failed) -> tuple[SampleResult, RequestTrace]:
        """Return a sample whose last attempt failed, and which the run could not attempt again."""
        budget = self.pending == "skipped_budget"
        reason = "no budget was left for another attempt" if budget else "the run ended before another attempt"
        error = f"{failed.error} ({failed.kind}, {plural(failed.attempt, 'attempt')}); {reason}"
        unknown = self.history.status(base, number) == "unknown"
        sample = SampleResult(
            number,
            "unknown" if unknown else self.pending,
            error=error,
            error_kind="over_budget" if budget else "interrupted",
            cost_is="unknown" if unknown else None,
        )
        return sample, RequestTrace(
            failed.key,
            attempts=failed.attempt,
            http_status=failed.http_status,
            sent_at=failed.sent_at,
            finished_at=failed.at,
        )


def _not_sent(number: int, kind: str, why: str) -> SampleResult:
    return SampleResult(number, "not_attempted", error_kind=kind, error=why)


def _row_of_kept_image(
    row: PromptRow,
    sample: SampleResult,
    trace: RequestTrace,
    kept: Mapping[str, Any],
    provider: str,
    charged: float | None,
) -> ManifestRow:
    """Return the row of an image that was made from an earlier text of its prompt row, with that text."""
    options = options_from(kept["options"])
    return ManifestRow(row, sample, trace, kept["model"], provider, kept["dialect"], kept["prompt"], options, charged)


class _Keys:
    """The keys of the requests that would be sent for a row's samples; computed only when needed."""

    def __init__(self, planned: PlannedRow, base: str) -> None:
        self._planned = planned
        self._base = base
        self._keys: dict[int, str] = {}

    def of(self, number: int) -> str:
        if not self._keys:
            numbers = range(1, self._planned.samples + 1)
            for request in requests_for(self._planned, self._base, numbers):
                self._keys.update(dict.fromkeys(request.numbers, request.key))
        return self._keys[number]


_STOPPED_BEFORE = "Stopped before the reply arrived; may have been charged."
_ENDED_BETWEEN = "sent without a result, and the run ended before the next attempt"
