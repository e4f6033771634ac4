"""The threads of a process share their governors, and a process keeps to its share."""

import time

import pytest

from imagen_batch.sending.context import Governors, request_threads
from imagen_batch.sending.stop import Stop
from imagen_batch.settings import make_settings
from tests.support.sending import images, sending


def _settings(**chosen):
    return make_settings({"prompts": "book.csv", "out": "out", **chosen})


def test_a_model_has_one_governor():
    """Its pace is that of all its requests; another model has its own."""
    governors = Governors(_settings(), Stop())
    assert governors.of("a") is governors.of("a")
    assert governors.of("a") is not governors.of("b")


def test_a_governor_has_the_rates_of_the_settings():
    """These are requests per minute, images per minute and concurrency."""
    pace = Governors(_settings(requests_per_minute=600, concurrency=7), Stop()).of("a")._pace
    assert (pace.per_minute, pace._max_in_flight) == (600, 7)
    pace = Governors(_settings(images_per_minute=60), Stop()).of("a")._pace
    now = time.monotonic() + 100
    pace.start(now, images=4)
    pace.start(now, images=4)
    assert pace.wait(now) == pytest.approx(0.0)
    pace.start(now, images=4)
    assert pace.wait(now) == pytest.approx(4.0)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_share_holds_for_governors_made_before_and_after(before):
    """A worker's share may change before or after it has sent anything."""
    governors = Governors(_settings(requests_per_minute=600, concurrency=8), Stop())
    if before:
        governors.of("a")
    governors.resize(0.5)
    assert governors.of("a")._pace.per_minute == pytest.approx(300)
    governors.resize(0.25)
    assert governors.of("a")._pace.per_minute == pytest.approx(150)
    governors.resize(0)
    assert governors.of("a")._pace.per_minute == pytest.approx(150)


def test_the_share_at_the_start_counts():
    """A process may get its share when it starts."""
    governors = Governors(_settings(requests_per_minute=600), Stop(), share=0.5)
    assert governors.of("a")._pace.per_minute == pytest.approx(300)
    assert Governors(_settings(requests_per_minute=600), Stop()).of("a")._pace.per_minute == pytest.approx(600)


def test_there_are_spare_threads_for_writing():
    """There is one for every eight: attempts continue while results are written."""
    with request_threads(_settings(concurrency=16)) as threads:
        assert threads._max_workers == 18


def test_closing_flushes_the_ledger_and_closes_the_connections(tmp_path):
    """Nothing that was recorded is lost."""
    sent = sending(tmp_path, images())
    sent.context.close()
    assert sent.transport.closed
    assert sent.context.governor("imagen") is sent.context.governors.of("imagen")
