"""Builds requests, samples and traces for tests."""

from __future__ import annotations

from dataclasses import replace

from imagen_batch.records import ImageRequest, Options, RequestTrace, SampleResult

REQUEST = ImageRequest(
    key="ab" * 32,
    base="cd" * 32,
    row=1,
    first=1,
    samples=1,
    model="gemini-nano-banana-2.1",
    dialect="generate_content",
    prompt="a red bicycle by a canal",
    options=Options(),
    names=("images/000001_01_abababab",),
    price=0.04,
)


def request(number: int = 1, **changes: object) -> ImageRequest:
    """Return a request whose key depends on `number`."""
    own = {"key": f"{number:064x}", "base": f"{number:064x}"[::-1], "row": number}
    return replace(REQUEST, **{**own, **changes})  # type: ignore[arg-type]


def ok(number: int = 1, **changes: object) -> SampleResult:
    """Return a sample with an image."""
    facts = {"file": "images/a.png", "sha256": "0" * 64, "cost_usd": 0.04, "cost_is": "estimate"}
    sample = SampleResult(number=number, status="ok", **facts)  # type: ignore[arg-type]
    return replace(sample, **changes)  # type: ignore[arg-type]


def trace(key: str = REQUEST.key, attempts: int = 1) -> RequestTrace:
    """Return the trace of a request."""
    return RequestTrace(key, attempts=attempts, http_status=200, latency_s=0.5, sent_at=10.0, finished_at=10.5)
