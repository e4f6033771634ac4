"""Records each request as an OpenTelemetry span, with its attempts as events, if the process has an SDK.

Without one nothing is imported and nothing is recorded. Names follow the conventions for generative AI. Spans have
no prompt, no image, no key, and no text of the service, which may quote the prompt.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from imagen_batch.errors import AttemptError, Interrupted
from imagen_batch.providers.endpoint_and_credential import Provider
from imagen_batch.records import ImageRequest, RequestTrace, SampleResult
from imagen_batch.version import __version__

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

_API = "opentelemetry.trace"
_SDK_VARIABLE = "OTEL_PYTHON_TRACER_PROVIDER"  # makes the API load an SDK by itself
_OPERATION: Final = "generate_content"
_SYSTEMS: Mapping[str, str] = {"gemini": "gcp.gemini", "vertex": "gcp.vertex_ai"}


class RequestSpan:
    """The span of one request; None where nothing is recorded. No error of the SDK reaches the request."""

    def __init__(self, span: Span | None = None) -> None:
        self._span = span
        self._has_result = False

    def add_attempt(self, trace: RequestTrace, error: BaseException | None) -> None:
        """Record an attempt that ended, with the kind of its error."""
        if self._span is None:
            return
        facts: dict[str, Any] = {"imagen_batch.attempt": trace.attempts, "duration_s": trace.latency_s or 0.0}
        status = error.http_status if isinstance(error, AttemptError) else trace.http_status
        if status is not None:
            facts["http.response.status_code"] = status
        if error is not None:
            facts["error.type"] = _kind(error)
        with suppress(Exception):
            self._span.add_event("attempt", facts)

    def record_samples(self, samples: Sequence[SampleResult], trace: RequestTrace) -> None:
        """Record what the request brought."""
        if self._span is None:
            return
        self._has_result = True
        missing = [sample for sample in samples if sample.status != "ok"]
        facts: dict[str, Any] = {
            "imagen_batch.images": len(samples) - len(missing),
            "imagen_batch.attempts": trace.attempts,
            "imagen_batch.cost_usd": round(sum(sample.cost_usd or 0.0 for sample in samples), 6),
            "gen_ai.response.finish_reasons": sorted({s.finish_reason for s in samples if s.finish_reason}),
        }
        if missing:
            facts["error.type"] = missing[0].filter_category or missing[0].error_kind or missing[0].status
        with suppress(Exception):
            self._span.set_attributes(facts)
            if any(sample.status != "filtered" for sample in missing):
                self._fail()

    def end(self) -> None:
        """End the span; a request that brought no result was not finished."""
        if self._span is not None:
            with suppress(Exception):
                if not self._has_result:
                    self._span.set_attribute("error.type", "unfinished")
                    self._fail()
            with suppress(Exception):
                self._span.end()

    def _fail(self) -> None:
        from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 - only with an SDK

        assert self._span is not None
        self._span.set_status(Status(StatusCode.ERROR))


@dataclass(frozen=True)
class Tracing:
    """Starts spans below the one that was current when the run began; without a tracer there are none."""

    tracer: Tracer | None = None
    parent: Context | None = None

    @contextmanager
    def request(self, request: ImageRequest, provider: Provider) -> Iterator[RequestSpan]:
        """Hold the span of a request while the block sends it."""
        span: Span | None = None
        if self.tracer is not None:
            with suppress(Exception):
                span = self._start(self.tracer, request, provider)
        recorded = RequestSpan(span)
        try:
            yield recorded
        finally:
            recorded.end()

    def _start(self, tracer: Tracer, request: ImageRequest, provider: Provider) -> Span:
        from opentelemetry.trace import SpanKind  # noqa: PLC0415 - only with an SDK

        facts: dict[str, Any] = {
            "gen_ai.operation.name": _OPERATION,
            "gen_ai.provider.name": _SYSTEMS.get(provider.name, provider.name),
            "gen_ai.request.model": request.model,
            "gen_ai.request.choice.count": request.samples,
            "gen_ai.output.type": "image",
            "server.address": urlsplit(provider.base_url).hostname or "",
            "imagen_batch.request.key": request.key,
        }
        return tracer.start_span(
            f"{_OPERATION} {request.model}", context=self.parent, kind=SpanKind.CLIENT, attributes=facts
        )


def find_tracing(env: Mapping[str, str] = os.environ) -> Tracing:
    """Return the tracing that this process has an SDK for.

    An SDK that is configured has imported the API; without it, importing it here would cost every run its time.
    """
    if _API not in sys.modules and _SDK_VARIABLE not in env:
        return Tracing()
    with suppress(Exception):
        from opentelemetry import context, trace  # noqa: PLC0415

        provider = trace.get_tracer_provider()
        if not isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
            return Tracing(provider.get_tracer("imagen_batch", __version__), context.get_current())
    return Tracing()


def _kind(error: BaseException) -> str:
    if isinstance(error, AttemptError):
        return error.kind
    return "interrupted" if isinstance(error, Interrupted) else type(error).__name__
