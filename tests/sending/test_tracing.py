"""Each request is one span with its attempts as events, and no content, where the process has an SDK."""

import subprocess
import sys
from dataclasses import replace

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from imagen_batch.errors import Fatal, Transient
from imagen_batch.sending.generate import generate
from imagen_batch.sending.tracing import Tracing, find_tracing
from tests.support.sending import IMAGE, OTHER_IMAGE, PRICE, images, predict_request, sending

SECRET = "the service quotes a fox"
REFUSED = Transient(SECRET, kind="overloaded", http_status=503)


@pytest.fixture
def exporter():
    """Spans of a provider of the test's own, which is not that of the process."""
    return InMemorySpanExporter()


def with_tracing(sent, tracer):
    """The same context with a tracer."""
    sent.context = replace(sent.context, tracing=Tracing(tracer))
    return sent


def spans_of(tmp_path, exporter, *replies, samples=1, **changes):
    """The spans of one request."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    sent = with_tracing(sending(tmp_path, *replies, **changes), provider.get_tracer("test"))
    generate(predict_request(samples), sent.context)
    return exporter.get_finished_spans()


def test_a_request_is_one_span_with_what_it_brought(tmp_path, exporter):
    """Names follow the conventions for generative AI."""
    (span,) = spans_of(tmp_path, exporter, images(IMAGE, OTHER_IMAGE), samples=2)
    facts = dict(span.attributes)
    assert span.name == f"generate_content {facts['gen_ai.request.model']}"
    assert span.kind is trace.SpanKind.CLIENT
    assert facts["gen_ai.operation.name"] == "generate_content"
    assert (facts["gen_ai.request.choice.count"], facts["imagen_batch.images"]) == (2, 2)
    assert facts["imagen_batch.cost_usd"] == pytest.approx(2 * PRICE)
    assert facts["imagen_batch.request.key"] == predict_request(2).key
    assert "error.type" not in facts
    assert span.status.status_code is not StatusCode.ERROR


def test_attempts_are_events_with_their_kind_of_error(tmp_path, exporter):
    """Two failed, the third brought the image: still one span, and no error."""
    (span,) = spans_of(tmp_path, exporter, REFUSED, REFUSED, images(IMAGE))
    events = [dict(event.attributes) for event in span.events]
    assert [event.name for event in span.events] == ["attempt"] * 3
    assert [event["imagen_batch.attempt"] for event in events] == [1, 2, 3]
    assert [event.get("error.type") for event in events] == ["overloaded", "overloaded", None]
    assert [event["http.response.status_code"] for event in events] == [503, 503, 200]
    assert span.status.status_code is not StatusCode.ERROR


def test_a_request_without_an_image_is_an_error_with_its_kind(tmp_path, exporter):
    """The error is that of the last attempt."""
    (span,) = spans_of(tmp_path, exporter, REFUSED)
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["imagen_batch.images"] == 0
    assert span.attributes["error.type"]


def test_a_run_that_stops_ends_the_span(tmp_path, exporter):
    """A key that is refused leaves no span open."""
    (span,) = spans_of(tmp_path, exporter, Fatal("no", kind="bad_key", cause="auth", http_status=400))
    assert span.end_time is not None
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "unfinished"


def test_a_span_has_no_content(tmp_path, exporter):
    """It has neither the prompt nor the words of the service."""
    (span,) = spans_of(tmp_path, exporter, REFUSED, images(IMAGE))
    text = span.to_json()
    assert SECRET not in text
    assert predict_request().prompt not in text


def test_an_sdk_that_fails_changes_nothing(tmp_path):
    """The image is made and recorded, whether the tracer fails or its spans do."""

    class BrokenSpan:
        def __getattr__(self, _name):
            raise RuntimeError

    class Tracer:
        def start_span(self, *_, **__):
            return BrokenSpan()

    for number, tracer in enumerate((BrokenSpan(), Tracer())):
        sent = with_tracing(sending(tmp_path / str(number), REFUSED, images(IMAGE)), tracer)
        generate(predict_request(), sent.context)
        assert [sample.status for sample in sent.results] == ["ok"]


def test_without_an_sdk_there_is_no_tracer():
    """The API alone, which Prefect imports, records nothing."""
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    assert find_tracing({}).tracer is None


@pytest.mark.parametrize(("before", "expected"), [("", "False None"), ("configure()", "True Tracer")])
def test_the_api_is_imported_only_with_an_sdk(before, expected):
    """In a process of its own: an SDK that is configured is found, otherwise nothing is imported."""
    program = f"""
import sys
def configure():
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    trace.set_tracer_provider(TracerProvider())
{before}
from imagen_batch.sending.tracing import find_tracing
tracer = find_tracing({{}}).tracer
print("opentelemetry.trace" in sys.modules, None if tracer is None else "Tracer")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.strip() == expected
