"""A budget names the limit that was reached, counts the right spending, and wakes waiting attempts."""

import threading

import pytest

from imagen_batch.errors import Interrupted
from imagen_batch.records import CENT_FRACTION
from imagen_batch.sending.budget import Budget
from imagen_batch.sending.stop import Stop


def _budget(**limits):
    return Budget(**{"max_cost": None, "max_images": None, **limits})


def _waiting(budget, stop, result):
    """Return a thread that waits for four cents, once it has begun to wait."""
    entered = threading.Event()

    class Watched(Stop):
        def check(self):
            entered.set()
            stop.check()

    def reserve():
        try:
            result.append(budget.reserve(0.04, 1, stop=Watched()))
        except Interrupted:
            result.append("interrupted")

    thread = threading.Thread(target=reserve)
    thread.start()
    assert entered.wait(5)
    return thread


def test_the_limit_of_a_run_leaves_out_what_earlier_runs_spent():
    """Only what this run reserves counts."""
    budget = _budget(max_cost_per_run=0.08, spent=10.0)
    assert budget.spent_before == 10.0
    for _ in range(2):
        budget.reserve(0.04, 1, stop=Stop()).settle(0.04, 1)
    assert budget.reserve(0.04, 1, stop=Stop()) is None
    assert budget.limit == "max_cost_per_run"
    assert budget.used == (pytest.approx(10.08), 2)


def test_the_limit_of_the_folder_includes_what_earlier_runs_spent():
    """It is named before that of the run."""
    budget = _budget(max_cost=1.0, max_cost_per_run=0.01, spent=0.99)
    assert budget.reserve(0.04, 1, stop=Stop()) is None
    assert budget.limit == "max_cost"


def test_images_are_limited_by_number():
    """Two fit into a limit of five after three, and a third does not."""
    budget = _budget(max_images=5, images=3)
    assert budget.reserve(None, 2, stop=Stop()) is not None
    budget.reserve(None, 0, stop=Stop()).settle(0.0, 0)
    assert budget.used == (0.0, 5)
    with pytest.raises(Interrupted):
        budget.reserve(None, 1, stop=_stopped())


def _stopped():
    stop = Stop()
    stop.interrupt(2)
    return stop


def test_a_settled_attempt_counts_with_its_real_cost():
    """It is cheaper than the worst case, and has fewer images."""
    budget = _budget(max_cost=1.0)
    budget.reserve(0.16, 4, stop=Stop()).settle(0.08, 2)
    assert budget.used == (pytest.approx(0.08), 2)
    budget.reserve(0.16, 4, stop=Stop()).release()
    assert budget.used == (pytest.approx(0.08), 2)
    budget.reserve(0.16, 4, stop=Stop()).hold()
    assert budget.used == (pytest.approx(0.24), 6)


def test_the_first_limit_that_prevented_an_attempt_is_named():
    """It may have been reached by this process or by the division among workers."""
    budget = _budget(max_images=0)
    assert not budget.is_exhausted
    budget.mark_exhausted("max_cost")
    assert budget.is_exhausted
    budget.mark_exhausted("max_images")
    assert budget.reserve(0.04, 1, stop=Stop()) is None
    assert budget.limit == "max_cost"


def test_an_attempt_that_waits_starts_as_soon_as_money_is_released(monkeypatch):
    """It is woken, and does not sleep until its next check."""
    monkeypatch.setattr("imagen_batch.sending.budget._MAX_WAIT_S", 30.0)
    budget, result = _budget(max_cost=0.04), []
    held = budget.reserve(0.04, 1, stop=Stop())
    thread = _waiting(budget, Stop(), result)
    held.release()
    thread.join(10)
    assert not thread.is_alive()
    assert result[0] is not None


def test_a_stop_is_noticed_while_an_attempt_waits(monkeypatch):
    """Nothing is released, and the thread ends all the same."""
    monkeypatch.setattr("imagen_batch.sending.budget._MAX_WAIT_S", 0.01)
    budget, stop, result = _budget(max_cost=0.04), Stop(), []
    budget.reserve(0.04, 1, stop=Stop())
    thread = _waiting(budget, stop, result)
    stop.interrupt(2)
    thread.join(10)
    assert result == ["interrupted"]


def test_one_image_too_many_waits_for_those_in_flight_and_then_does_not_fit():
    """An attempt in flight keeps the others waiting, a settled one does not."""
    budget, result = _budget(max_images=1), []
    held = budget.reserve(0.04, 1, stop=Stop())
    thread = _waiting(budget, Stop(), result)
    held.settle(0.04, 1)
    thread.join(10)
    assert result == [None]


@pytest.mark.parametrize("limit", ["max_cost", "max_cost_per_run"])
def test_an_attempt_that_reaches_the_limit_exactly_fits(limit):
    """This includes rounding errors up to a fraction of a cent."""
    assert _budget(**{limit: 1.0}).reserve(1.0 + CENT_FRACTION, 1, stop=Stop()) is not None
    assert _budget(**{limit: 1.0}).reserve(1.0 + 2 * CENT_FRACTION, 1, stop=Stop()) is None
