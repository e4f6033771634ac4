"""The ledger adds up what was charged, what may have been charged, and for how many images."""

import pytest

from imagen_batch.ledger.costs import Charges, Cost
from imagen_batch.ledger.history import read_history
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.records import SampleResult
from imagen_batch.storage import LEDGER, Folder
from tests.support.factories import ok, request, trace

FAILED = SampleResult(1, "failed", error="no", cost_usd=0.01)
PAIR = request(1, samples=2, names=("images/a", "images/b"), price=0.08)
SINGLE = request(2)


class Ledger:
    """Writes records in short form and reads them back."""

    def __init__(self, folder):
        self.folder = folder
        storage = Folder(folder)
        storage.put("images/a.png", b"")
        self.writer = LedgerWriter(storage, now=1.0)

    def sent(self, owner, attempt=1, **named):
        self.writer.record_sent(owner, attempt=attempt, at=float(attempt), **named)

    def ended(self, owner, charged, attempt=1, usd=None, **facts):
        known = {"kind": "x", "status": 503, "charged": charged, "usd": usd, "error": "no", **facts}
        self.writer.record_ended(owner, attempt=attempt, at=attempt + 0.5, facts=known)

    def result(self, owner, *samples, attempt=1, **named):
        self.writer.record_result(owner, samples, trace(owner.key, attempts=attempt), **named)

    @property
    def history(self):
        self.writer.flush()
        return read_history(self.folder / LEDGER)


@pytest.fixture(name="ledger")
def _ledger(tmp_path):
    ledger = Ledger(tmp_path)
    yield ledger
    ledger.writer.close()


def test_costs_and_charges_are_added_field_by_field():
    """Each field has its own sum."""
    assert Cost(1.0, 2.0, 3) + Cost(10.0, 20.0, 30) == Cost(11.0, 22.0, 33)
    assert Cost(1.0, 2.0).upper_bound == 3.0
    one, other = Charges(Cost(1.0, 2.0, 3), 4, 5, 6), Charges(Cost(10.0, 20.0, 30), 40, 50, 60)
    assert one + other == Charges(Cost(11.0, 22.0, 33), 44, 55, 66)


def test_possible_charges_are_counted():
    """An attempt without a known price is counted as unpriced."""
    charges = Charges()
    charges.add_possible(0.08, images=2)
    charges.add_possible(None, images=1)
    assert charges == Charges(Cost(0.0, 0.08, 1), 0, 3, 2)


def test_an_open_attempt_is_a_possible_charge(ledger):
    """This includes the number of its images."""
    ledger.sent(PAIR)
    history = ledger.history
    assert history.charges() == Charges(Cost(0.0, 0.08, 0), 0, 2, 1)
    assert (history.max_images_made(), history.attempts, history.refused_429) == (2, 1, 0)
    assert history.has_unresolved


def test_a_lost_attempt_stays_a_possible_charge_after_a_result(ledger):
    """The result does not say what became of the earlier attempt."""
    ledger.sent(SINGLE)
    ledger.ended(SINGLE, "maybe")
    ledger.sent(SINGLE, 2)
    ledger.result(SINGLE, ok(), attempt=2)
    assert ledger.history.charges() == Charges(Cost(0.04, 0.04, 0), 1, 1, 1)


def test_an_unusable_answer_is_a_charge_with_images_that_do_not_count_as_made(ledger):
    """Its price is divided among its samples."""
    ledger.sent(PAIR)
    ledger.ended(PAIR, "yes", usd=0.06)
    ledger.sent(PAIR, 2)
    ledger.result(PAIR, ok(1, cost_usd=0.03), ok(2, cost_usd=0.03), attempt=2)
    history = ledger.history
    assert history.charges() == Charges(Cost(pytest.approx(0.12), 0.0, 0), 2, 2, 0)
    assert [history.cost(PAIR.base, number) for number in (1, 2)] == pytest.approx([0.06, 0.06])
    assert history.max_images_made() == 4


def test_a_refused_attempt_is_no_charge(ledger):
    """A 429 is counted as such."""
    ledger.sent(SINGLE)
    ledger.ended(SINGLE, "no", status=429)
    history = ledger.history
    assert history.charges() == Charges()
    assert (history.refused_429, history.attempts, history.attempts_of(SINGLE.key)) == (1, 1, 1)
    assert not history.has_unresolved


def test_the_end_of_an_attempt_that_is_not_known_is_ignored(ledger):
    """Its start may be in a line that was skipped."""
    ledger.ended(SINGLE, "maybe")
    assert ledger.history.charges() == Charges()


def test_a_possible_charge_beside_a_result_is_counted(ledger):
    """A recovered image does not show whether the attempt was charged twice."""
    ledger.result(SINGLE, ok(), maybe_usd=0.04)
    assert ledger.history.charges() == Charges(Cost(0.04, 0.04, 0), 1, 0, 1)


def test_an_image_without_a_known_price_is_unpriced(ledger):
    """A failure without a price is not."""
    ledger.result(SINGLE, ok(cost_usd=None, cost_is="unknown"))
    ledger.result(PAIR, SampleResult(1, "failed", cost_is="unknown"))
    assert ledger.history.charges() == Charges(Cost(0.0, 0.0, 1), 1, 0, 0)


def test_charges_of_several_results_of_a_sample_are_added(ledger):
    """Its own record has the last one only."""
    ledger.result(SINGLE, FAILED)
    assert ledger.history.cost(SINGLE.base, 1) is None
    ledger.result(SINGLE, ok())
    history = ledger.history
    assert history.cost(SINGLE.base, 1) == pytest.approx(0.05)
    assert history.cost_bounds().spent == pytest.approx(0.05)
    assert (history.images_recorded, history.images_made()) == (1, 1)


def test_charges_are_kept_apart_by_kind_of_provider(ledger):
    """A simulator's are not real; earlier versions recorded no provider, which counts as either."""
    for number, provider in enumerate(("simulator", "gemini", "vertex", None), 1):
        ledger.sent(request(number), provider=provider)
        ledger.result(request(number), ok())
    ledger.sent(request(5), provider="simulator")
    ledger.sent(request(6), provider="gemini")
    ledger.sent(request(7))
    history = ledger.history
    assert history.charges("simulator") == Charges(Cost(pytest.approx(0.08), pytest.approx(0.08)), 2, 2, 2)
    assert history.charges("vertex") == Charges(Cost(pytest.approx(0.12), pytest.approx(0.08)), 3, 2, 2)
    assert history.charges() == Charges(Cost(pytest.approx(0.16), pytest.approx(0.12)), 4, 3, 3)
    assert history.max_images_made("gemini") == 5
    assert history.cost_bounds("gemini").upper_bound == pytest.approx(0.20)


def test_a_sample_is_unresolved_until_each_of_its_attempts_is(ledger):
    """Two runs may have sent it; one of them was refused."""
    ledger.sent(PAIR)
    ledger.sent(PAIR, 2)
    ledger.ended(PAIR, "no", attempt=2)
    assert [ledger.history.is_unresolved(PAIR.base, number) for number in (1, 2, 3)] == [True, True, False]
    assert ledger.history.status(PAIR.base, 2) == "unknown"
    ledger.sent(PAIR, 3)
    ledger.ended(PAIR, "no", attempt=1)
    assert ledger.history.is_unresolved(PAIR.base, 1)
    ledger.ended(PAIR, "no", attempt=3)
    assert not ledger.history.is_unresolved(PAIR.base, 1)
    assert ledger.history.status(PAIR.base, 2) is None


def test_open_attempts_are_found_by_sample_and_by_time(ledger):
    """Only those without a recorded end are open."""
    ledger.sent(PAIR)
    ledger.sent(PAIR, 2)
    ledger.sent(SINGLE, 3)
    ledger.ended(SINGLE, "no", attempt=3)
    history = ledger.history
    assert history.latest_open_attempt(PAIR.base, 2).attempt == 2
    assert history.latest_open_attempt(PAIR.base, 3) is None
    assert history.latest_open_attempt(SINGLE.base, 1) is None
    assert history.open_since(2.0) == {(PAIR.base, 1), (PAIR.base, 2)}
    assert history.open_since(2.1) == set()
    assert list(history.open) == [(PAIR.key, 1), (PAIR.key, 2)]
    attempt = history.open[PAIR.key, 1]
    assert (attempt.share, attempt.numbers) == (0.04, range(1, 3))
    assert (attempt.usd, attempt.names, attempt.at) == (0.08, PAIR.names, 1.0)


def test_an_open_attempt_without_a_price_has_no_share(ledger):
    """Nothing is divided."""
    ledger.sent(request(3, price=None))
    (attempt,) = ledger.history.open.values()
    assert attempt.share is None


def test_the_last_failure_of_a_sample_is_known_until_something_follows(ledger):
    """The manifest shows it."""
    ledger.sent(SINGLE)
    ledger.ended(SINGLE, "no", error=None)
    failed = ledger.history.last_failed(SINGLE.base, 1)
    assert (failed.key, failed.attempt, failed.sent_at, failed.at) == (SINGLE.key, 1, 1.0, 1.5)
    assert (failed.kind, failed.http_status, failed.error) == ("x", 503, "x")
    ledger.sent(SINGLE, 2)
    assert ledger.history.last_failed(SINGLE.base, 1) is None
    ledger.ended(SINGLE, "no", attempt=2)
    assert ledger.history.last_failed(SINGLE.base, 1).error == "no"
    ledger.result(SINGLE, FAILED, attempt=3)
    assert ledger.history.last_failed(SINGLE.base, 1) is None


def test_attempts_are_counted_on_after_a_result(ledger):
    """The result's own count continues; a result of another request of the row does not."""
    ledger.sent(SINGLE)
    assert ledger.history.previous_attempts(SINGLE) == 1
    ledger.result(SINGLE, FAILED, attempt=4)
    assert ledger.history.previous_attempts(SINGLE) == 4
    assert ledger.history.attempts_of(SINGLE.key) == 0
    assert ledger.history.previous_attempts(request(2, key="ff" * 32)) == 0
    assert ledger.history.previous_attempts(PAIR) == 0


def test_closing_a_writer_closes_its_log_once(tmp_path, monkeypatch):
    """A second call must not close a file that was opened since under the same number."""
    writer, closed = LedgerWriter(Folder(tmp_path), now=1.0), []
    close = writer._log.close
    monkeypatch.setattr(writer._log, "close", lambda: closed.append(close()))
    writer.close()
    writer.close()
    assert closed == [None]
