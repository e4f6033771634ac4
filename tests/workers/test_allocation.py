"""Whatever shards take, use and give back: a run's wall holds, and what is left is handed out."""

from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.sending.pace import Pace
from imagen_batch.workers.allocation import Allocator, Limits, Spent
from tests.support.factories import request

STEPS = st.lists(st.tuples(st.integers(1, 6), st.floats(0, 1)), max_size=40)


def shard(count):
    """So many requests at four cents."""
    return [request(number, price=0.04) for number in range(count)]


@given(
    usd=st.none() | st.floats(0, 3), pictures=st.none() | st.integers(0, 60), at_once=st.integers(1, 5), steps=STEPS
)
def test_walls_that_are_out_and_what_was_spent_never_exceed_the_run_s(usd, pictures, at_once, steps):
    """Shards come and go in any order, and use any part of what they hold."""
    shares, out, spent, made = Allocator(Limits(usd, pictures), at_once=at_once), [], 0.0, 0
    for number, (count, used) in enumerate(steps):
        wall = shares.take(number, shard(count))
        if wall is not None:
            out.append((number, wall, used))
            assert (wall.usd is None) is (usd is None)
            assert (wall.pictures is None) is (pictures is None)
        if len(out) >= at_once or (wall is None and out):
            ended, its, part = out.pop(0)
            spent += (its.usd or 0.0) * part
            made += int((its.pictures or 0) * part)
            shares.give_back(ended, Spent((its.usd or 0.0) * part, int((its.pictures or 0) * part)))
        held = [one for _, one, _ in out]
        assert usd is None or spent + sum(one.usd for one in held) <= usd + 1e-9
        assert pictures is None or made + sum(one.pictures for one in held) <= pictures


def test_without_a_wall_a_shard_has_none():
    """Nothing is shared out that has no end."""
    assert Allocator(Limits(), at_once=2).take(1, shard(5)) == Limits()


def test_a_wall_that_is_wide_gives_each_what_it_wants():
    """And no more."""
    assert Allocator(Limits(usd=100.0), at_once=4).take(1, shard(5)).usd == 0.2


def test_a_wall_that_is_narrow_is_parted():
    """So that all workers have something to do; the least is one request."""
    shares = Allocator(Limits(pictures=9), at_once=3)
    assert [shares.take(number, shard(5)).pictures for number in range(3)] == [3, 3, 3]
    assert shares.take(3, shard(5)) is None
    shares.give_back(0, Spent(pictures=2))
    assert shares.take(4, shard(5)).pictures == 1


def test_sums_of_cents_fit():
    """0.12 - 0.08 is 0.03999: three pictures at four cents are three all the same."""
    shares = Allocator(Limits(usd=0.12), at_once=2)
    assert shares.take(1, shard(2)).usd == 0.06
    shares.give_back(1, Spent(usd=0.04))
    assert shares.take(2, shard(1)) is not None
    shares.give_back(2, Spent(usd=0.04))
    assert shares.take(3, shard(1)) is not None


def test_what_does_not_fit_is_not_handed_out():
    """A cent is not a picture."""
    assert Allocator(Limits(usd=0.03), at_once=1).take(1, shard(1)) is None


@given(shares=st.lists(st.sampled_from([0.125, 0.25, 0.5, 1.0]), min_size=1, max_size=6))
def test_a_pace_of_which_others_have_a_part_is_that_part(shares):
    """Rate, pictures a minute and attempts in flight, however often it changes."""
    pace = Pace(per_minute=600, in_flight=32, images_per_minute=1200)
    for share in shares:
        pace.resize(share)
    assert abs(pace.per_minute - 600 * shares[-1]) < 1e-6
    started = 0
    while pace.wait(1e9) <= 0:
        pace.start(1e9)
        started += 1
        if started > 100:
            break
    assert started <= 32 * shares[-1] + 1


def test_a_limit_that_the_service_names_is_the_account_s():
    """A worker with a quarter of it takes a quarter."""
    pace = Pace(per_minute=None, in_flight=32)
    pace.resize(0.25)
    permit = pace.start(0.0)
    pace.limited(permit, 1.0, retry_after=1.0, per_minute=120.0)
    assert abs(pace.per_minute - 30.0) < 1e-6
