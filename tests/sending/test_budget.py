"""Spent and reserved together never exceed the wall."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.errors import Interrupted
from imagen_batch.sending.budget import Budget
from imagen_batch.sending.stop import Stop


def _budget(**walls):
    return Budget(**{"max_cost": None, "max_images": None, **walls})


def test_without_a_wall_everything_fits():
    """No wall was asked for."""
    assert _budget().reserve(1e9, 1000, stop=Stop()) is not None


def test_three_pictures_fit_under_three_prices():
    """Sums of floats must not cost the last picture."""
    budget = _budget(max_cost=0.12)
    for _ in range(3):
        budget.reserve(0.04, 1, stop=Stop()).settle(0.04, 1)
    assert budget.reserve(0.04, 1, stop=Stop()) is None
    assert budget.hit


def test_a_refused_attempt_gives_its_money_back():
    """Only what was charged counts."""
    budget = _budget(max_cost=0.04)
    budget.reserve(0.04, 1, stop=Stop()).release()
    assert budget.reserve(0.04, 1, stop=Stop()) is not None


def test_an_unknown_attempt_keeps_its_money():
    """Perhaps it was charged: the wall must hold in that case too."""
    budget = _budget(max_cost=0.07)
    budget.reserve(0.04, 1, stop=Stop()).keep()
    assert budget.reserve(0.04, 1, stop=Stop()) is None


def test_an_unknown_attempt_counts_as_a_picture_too():
    """The wall in pictures holds in that case as well."""
    budget = _budget(max_images=1)
    budget.reserve(0.04, 1, stop=Stop()).keep()
    assert budget.reserve(0.04, 1, stop=Stop()) is None


def test_what_earlier_runs_spent_counts():
    """The wall stands around the folder, not around a process."""
    assert _budget(max_cost=1.0, spent=0.99).reserve(0.04, 1, stop=Stop()) is None
    assert _budget(max_images=5, pictures=5).reserve(None, 1, stop=Stop()) is None


def test_who_does_not_fit_waits_for_what_is_in_flight():
    """An attempt in flight may be refused and give back what it holds."""
    budget = _budget(max_cost=0.04)
    held = budget.reserve(0.04, 1, stop=Stop())
    got = []
    waiter = threading.Thread(target=lambda: got.append(budget.reserve(0.04, 1, stop=Stop())))
    waiter.start()
    held.release()
    waiter.join(5)
    assert got[0] is not None


def test_a_stop_ends_the_waiting():
    """Nobody waits for money in a run that is stopping."""
    budget, stop = _budget(max_cost=0.04), Stop()
    budget.reserve(0.04, 1, stop=stop)
    stop.interrupt(2)
    with pytest.raises(Interrupted):
        budget.reserve(0.04, 1, stop=stop)


@given(
    wall=st.floats(0, 5),
    attempts=st.lists(st.tuples(st.floats(0.01, 1), st.sampled_from(["settle", "release", "keep"]))),
)
def test_the_wall_is_never_crossed(wall, attempts):
    """Whatever is settled, released or kept, what may have been charged stays below the wall."""
    budget, charged = _budget(max_cost=wall), 0.0
    for price, end in attempts:
        reservation = budget.reserve(price, 1, stop=Stop())
        if reservation is None:
            continue
        if end == "settle":
            reservation.settle(price, 1)
        else:
            getattr(reservation, end)()
        charged += price if end != "release" else 0.0
        assert charged <= wall + 1e-6
