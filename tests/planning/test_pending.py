"""What is left is the same whether it is counted or listed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.planning.pending import count_pending, remaining_requests
from imagen_batch.planning.plan import make_plan
from imagen_batch.records import OUTCOMES
from imagen_batch.settings import validated
from tests.support.runs import TODAY, write_csv

ROWS = [
    {"prompt": "a", "samples": 6, "model": "imagen-4.0-generate-001"},
    {"prompt": "b", "samples": 1, "model": "gemini-nano-banana-2.1"},
    {"prompt": "c", "samples": 3, "model": "of-our-own"},
    {"prompt": "a", "samples": 2, "model": "imagen-4.0-generate-001"},
]


class Past:
    """A past that hypothesis drew."""

    def __init__(self, statuses):
        self.statuses = statuses

    def status(self, base, number):
        return self.statuses.get((base, number))


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """A file with rows of several models, one of them without a price."""
    source = write_csv(tmp_path_factory.mktemp("input") / "prompts.csv", ROWS)
    asked = {"prompts": str(source), "provider": "simulator", "dialect": "predict"}
    return make_plan(validated(asked), today=TODAY)


@given(st.data())
def test_the_count_is_that_of_the_requests(plan, data):
    """Requests, samples, prices, and pictures without a price."""
    slots = [(base, number) for base, samples in plan.asked for number in range(1, samples + 1)]
    statuses = {slot: data.draw(st.sampled_from([None, *OUTCOMES])) for slot in slots}
    past = Past(statuses)
    requests = list(remaining_requests(plan, past))
    left = count_pending(plan, past)
    assert left.requests == len(requests)
    assert left.samples == sum(one.samples for one in requests)
    assert left.unpriced == sum(one.samples for one in requests if one.price is None)
    assert left.usd == pytest.approx(sum(one.price or 0.0 for one in requests))
    assert [one.row for one in requests] == sorted(one.row for one in requests)
