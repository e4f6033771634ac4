"""Builds the recorded result of one sample."""

from __future__ import annotations

from imagen_batch.errors import ReferenceUnusable, Transient
from imagen_batch.images.validate import ImageInfo
from imagen_batch.records import CostIs, NoImage, Outcome, RequestTrace, SampleResult
from imagen_batch.text import plural


def estimate_cost(price: float | None) -> tuple[float | None, CostIs]:
    """Return the cost of an image that no reply states: its price; None is unknown."""
    return price, "unknown" if price is None else "estimate"


def saved_result(number: int, file: str, info: ImageInfo, *, cost: tuple[float | None, CostIs]) -> SampleResult:
    """Return the result of a sample whose image is in the folder."""
    usd, certainty = cost
    return info.add_to(SampleResult(number, "ok", file, cost_usd=usd, cost_is=certainty))


def missing_result(number: int, missing: NoImage, *, cost: tuple[float | None, CostIs]) -> SampleResult:
    """Return the result of a sample that the service answered without an image."""
    failed = missing.outcome == "failed"
    return SampleResult(
        number=number,
        status=missing.outcome,
        reason=None if failed else missing.reason,
        filter_stage=missing.stage,
        filter_category=missing.category,
        filter_codes=missing.codes,
        finish_reason=missing.finish_reason,
        safety=missing.safety,
        error=missing.reason if failed else None,
        error_kind=missing.kind,
        cost_usd=cost[0],
        cost_is=cost[1],
    )


def exhausted_result(number: int, error: Transient, trace: RequestTrace, *, uncertain: bool) -> SampleResult:
    """Return the result of a sample whose last attempt failed. `uncertain`: some attempt may have been charged."""
    status: Outcome = "unknown" if error.lost else "failed"
    return SampleResult(
        number=number,
        status=status,
        error=f"{error} ({error.kind}, {plural(trace.attempts, 'attempt')})",
        error_kind="transient_exhausted",
        cost_usd=None if uncertain else 0.0,
        cost_is="unknown" if uncertain else "estimate",
    )


def unusable_reference_result(number: int, error: ReferenceUnusable) -> SampleResult:
    """Return the result of a sample that was not sent, because a reference image was not what the plan had read."""
    return SampleResult(number=number, status="not_attempted", error=str(error), error_kind="reference")
