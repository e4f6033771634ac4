"""Allocation keeps to a run's limits and hands out everything that remains."""

from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.sending.pacing.pace import Pace
from imagen_batch.workers.allocation import Allocator, Limits, Spent
from tests.support.factories import request

STEPS = st.lists(st.tuples(st.integers(1, 6), st.floats(0, 1)), max_size=40)


def shard(count):
    """Return requests at four cents each."""
    return [request(number, price=0.04) for number in range(count)]


@given(usd=st.none() | st.floats(0, 3), images=st.none() | st.integers(0, 60), at_once=st.integers(1, 5), steps=STEPS)
def test_allocated_limits_and_past_spending_never_exceed_those_of_the_run(usd, images, at_once, steps):
    """Shards start and end in any order, and use any part of their limits."""
    allocator, out, spent, made = Allocator(Limits(usd, images), at_once=at_once), [], 0.0, 0
    for number, (count, used) in enumerate(steps):
        limits = allocator.allocate(number, shard(count))
        if limits is not None:
            out.append((number, limits, used))
            assert (limits.usd is None) is (usd is None)
            assert (limits.images is None) is (images is None)
        if len(out) >= at_once or (limits is None and out):
            ended, held, part = out.pop(0)
            spent += (held.usd or 0.0) * part
            made += int((held.images or 0) * part)
            allocator.release(ended, Spent((held.usd or 0.0) * part, int((held.images or 0) * part)))
        allocated = [each for _, each, _ in out]
        assert usd is None or spent + sum(each.usd for each in allocated) <= usd + 1e-9
        assert images is None or made + sum(each.images for each in allocated) <= images


def test_a_shard_of_an_unlimited_run_is_unlimited():
    """There is nothing to divide."""
    assert Allocator(Limits(), at_once=2).allocate(1, shard(5)) == Limits()


def test_where_enough_remains_a_shard_gets_what_it_wants():
    """It gets no more than that."""
    assert Allocator(Limits(usd=100.0), at_once=4).allocate(1, shard(5)).usd == 0.2


def test_where_little_remains_it_is_divided_evenly():
    """All workers have something to do; the smallest part is one request."""
    allocator = Allocator(Limits(images=9), at_once=3)
    assert [allocator.allocate(number, shard(5)).images for number in range(3)] == [3, 3, 3]
    assert allocator.allocate(3, shard(5)) is None
    allocator.release(0, Spent(images=2))
    assert allocator.allocate(4, shard(5)).images == 1


def test_sums_of_cents_fit():
    """0.12 - 0.08 is 0.03999: three images at four cents fit nevertheless."""
    allocator = Allocator(Limits(usd=0.12), at_once=2)
    assert allocator.allocate(1, shard(2)).usd == 0.06
    allocator.release(1, Spent(usd=0.04))
    assert allocator.allocate(2, shard(1)) is not None
    allocator.release(2, Spent(usd=0.04))
    assert allocator.allocate(3, shard(1)) is not None


def test_a_limit_below_the_price_of_one_request_is_not_allocated():
    """Three cents do not pay for an image at four."""
    assert Allocator(Limits(usd=0.03), at_once=1).allocate(1, shard(1)) is None


@given(shares=st.lists(st.sampled_from([0.125, 0.25, 0.5, 1.0]), min_size=1, max_size=6))
def test_a_resized_pace_keeps_to_its_share(shares):
    """The share applies to rate, images per minute and attempts in flight, however often it changes."""
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


def test_a_limit_that_the_service_names_is_divided_by_share():
    """It is the account's limit; a worker with a quarter share takes a quarter of it."""
    pace = Pace(per_minute=None, in_flight=32)
    pace.resize(0.25)
    permit = pace.start(0.0)
    pace.record_limit(permit, 1.0, retry_after=1.0, per_minute=120.0)
    assert abs(pace.per_minute - 30.0) < 1e-6
