"""The simulation of large jobs keeps its invariants for all inputs."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.scale_model.assumptions import Assumptions, Machines, Service, Store
from benchmarks.scale_model.ceilings import operations, rates, sizes
from benchmarks.scale_model.fleet import fleet, resume_s
from benchmarks.scale_model.traffic import PartedLedger, Traffic, flow

WORLD = Assumptions()
FLOWING = flow(WORLD, images=500)
IMMORTAL = replace(WORLD, machines=Machines(deaths_a_day=0.0))


@settings(max_examples=50, deadline=None)
@given(
    per_minute=st.floats(30, 3000),
    slots=st.integers(4, 300),
    workers=st.integers(1, 4),
    transient=st.floats(0, 0.3),
    seed=st.integers(0, 9),
)
def test_no_more_is_sent_than_the_quota_allows(
    per_minute: float, slots: int, workers: int, transient: float, seed: int
) -> None:
    """This holds for any number of slots, workers and failures; each worker may make up for two late starts."""
    service = Service(per_minute=per_minute, transient=transient)
    world = replace(WORLD, slots=slots, workers=workers, service=service)
    count = Traffic(world, far=False, dice=random.Random(seed)).run(300)
    assert count.made == 300 <= count.attempts
    assert count.attempts <= count.now * per_minute / 60 + 3 * workers
    assert count.busy_s <= count.now * slots * workers


def test_slots_are_filled_as_in_the_law_of_little() -> None:
    """It is the number of starts per second, times the seconds of each."""
    still = replace(WORLD, service=Service(transient=0.0))
    result = flow(still)
    stays = still.service.latency_s + still.store.image_s + 3 * still.store.part_s
    assert result.slots == pytest.approx(result.a_second * stays, rel=0.02)


def test_the_same_seed_has_the_same_result() -> None:
    """Two people can then compare their tables."""
    assert flow(WORLD, images=2000, seed=3) == flow(WORLD, images=2000, seed=3)
    assert fleet(WORLD, [1000] * 300, flow(WORLD, images=2000)) == fleet(
        WORLD, [1000] * 300, flow(WORLD, images=2000)
    )


@given(gaps=st.lists(st.floats(0, 3), min_size=1, max_size=200))
def test_a_record_waits_for_two_parts_at_most(gaps: list[float]) -> None:
    """It waits for the end of the current one and for its own; the parts follow each other."""
    log, now = PartedLedger(1.0), 0.0
    for gap in gaps:
        now += gap
        assert now + 1 <= log.stored(now) <= now + 2
    assert log.parts <= min(len(gaps), now + 2)


def test_a_distant_store_gets_fewer_parts() -> None:
    """While one is being sent, more records gather for the next one."""
    near, far = flow(WORLD, images=3000), flow(WORLD, images=3000, far=True)
    assert far.parts < near.parts
    assert far.slots > near.slots


@settings(max_examples=30, deadline=None)
@given(projects=st.integers(1, 20), runs=st.lists(st.integers(1, 10**6), min_size=1, max_size=50))
def test_a_job_uses_no_more_than_all_quotas(projects: int, runs: list[int]) -> None:
    """This holds for any split into runs and any loss of workers."""
    job = fleet(replace(WORLD, projects=projects), runs, FLOWING)
    assert 0 < job.used <= FLOWING.used


def test_smaller_runs_leave_less_of_the_quota_idle() -> None:
    """The last run of the slowest project determines the end."""
    used = [fleet(IMMORTAL, [size] * (10**8 // size), FLOWING).used for size in (10**6, 2 * 10**5, 5 * 10**4)]
    assert used == sorted(used)


def test_without_lost_workers_no_quota_is_idle() -> None:
    """Only lost replies are paid for twice."""
    job = fleet(IMMORTAL, [10**6] * 100, FLOWING)
    assert (job.deaths, job.idle_s) == (0, 0.0)
    assert job.twice == round(10**8 * WORLD.service.transient * WORLD.service.lost)


def test_operations_are_proportional_to_the_rows() -> None:
    """Ten times the rows need ten times the operations: nothing is listed repeatedly."""
    small, large = operations(WORLD, 10**6, FLOWING), operations(WORLD, 10**7, FLOWING)
    assert large.total == pytest.approx(10 * small.total)
    assert resume_s(WORLD, 10**7) > resume_s(WORLD, 10**6)


def test_ceilings_are_sorted_and_follow_their_assumptions() -> None:
    """A store with twice the puts allows twice the images."""
    assert all(one.limit > 0 for one in [*rates(WORLD), *sizes(WORLD)])
    wider = replace(WORLD, store=Store(puts_a_second=7000.0))
    before, after = ({one.part: one.limit for one in rates(world)} for world in (WORLD, wider))
    assert list(before.values()) == sorted(before.values())
    assert {part: after[part] / most for part, most in before.items() if after[part] != most} == {
        "puts below a prefix": 2.0
    }
