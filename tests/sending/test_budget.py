"""Spent and reserved money together never exceed a limit."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.errors import Interrupted
from imagen_batch.sending.budget import Budget
from imagen_batch.sending.stop import Stop


def _budget(**limits):
    return Budget(**{"max_cost": None, "max_images": None, **limits})


def test_without_a_limit_everything_fits():
    """Any price and any number of images can be reserved."""
    assert _budget().reserve(1e9, 1000, stop=Stop()) is not None


def test_three_images_fit_within_three_prices():
    """Rounding errors must not leave out the last image."""
    budget = _budget(max_cost=0.12)
    for _ in range(3):
        budget.reserve(0.04, 1, stop=Stop()).settle(0.04, 1)
    assert budget.reserve(0.04, 1, stop=Stop()) is None
    assert budget.is_exhausted


def test_a_refused_attempt_gives_its_money_back():
    """Only charged attempts count."""
    budget = _budget(max_cost=0.04)
    budget.reserve(0.04, 1, stop=Stop()).release()
    assert budget.reserve(0.04, 1, stop=Stop()) is not None


def test_an_attempt_of_unknown_outcome_holds_its_money():
    """It may have been charged, and the limit must hold in that case, too."""
    budget = _budget(max_cost=0.07)
    budget.reserve(0.04, 1, stop=Stop()).hold()
    assert budget.reserve(0.04, 1, stop=Stop()) is None


def test_an_attempt_of_unknown_outcome_counts_as_an_image():
    """The limit in images holds in that case as well."""
    budget = _budget(max_images=1)
    budget.reserve(0.04, 1, stop=Stop()).hold()
    assert budget.reserve(0.04, 1, stop=Stop()) is None


def test_spending_of_earlier_runs_counts():
    """The limit is one of the folder, not of a process."""
    assert _budget(max_cost=1.0, spent=0.99).reserve(0.04, 1, stop=Stop()) is None
    assert _budget(max_images=5, images=5).reserve(None, 1, stop=Stop()) is None


def test_an_attempt_that_does_not_fit_waits_for_those_in_flight():
    """An attempt in flight may be refused and release its reservation."""
    budget = _budget(max_cost=0.04)
    held = budget.reserve(0.04, 1, stop=Stop())
    results = []
    waiter = threading.Thread(target=lambda: results.append(budget.reserve(0.04, 1, stop=Stop())))
    waiter.start()
    held.release()
    waiter.join(5)
    assert results[0] is not None


def test_a_stop_ends_the_waiting():
    """No thread waits for money in a run that is stopping."""
    budget, stop = _budget(max_cost=0.04), Stop()
    budget.reserve(0.04, 1, stop=stop)
    stop.interrupt(2)
    with pytest.raises(Interrupted):
        budget.reserve(0.04, 1, stop=stop)


@given(
    limit=st.floats(0, 5),
    attempts=st.lists(st.tuples(st.floats(0.01, 1), st.sampled_from(["settle", "release", "hold"]))),
)
def test_the_limit_is_never_exceeded(limit, attempts):
    """Possible charges stay within the limit for any sequence of settled, released and held reservations."""
    budget, charged = _budget(max_cost=limit), 0.0
    for price, end in attempts:
        reservation = budget.reserve(price, 1, stop=Stop())
        if reservation is None:
            continue
        if end == "settle":
            reservation.settle(price, 1)
        else:
            getattr(reservation, end)()
        charged += price if end != "release" else 0.0
        assert charged <= limit + 1e-6
