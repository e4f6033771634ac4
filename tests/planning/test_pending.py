"""Tests that counting the pending requests gives the same result as listing them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.ledger.costs import Cost
from imagen_batch.ledger.folds.sample_states import slot_of
from imagen_batch.ledger.reviews import Reviews
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.planning.pending import count_pending, remaining_requests
from imagen_batch.records import OUTCOMES
from imagen_batch.settings import make_settings
from tests.support.runs import TODAY, write_csv

ROWS = [
    {"prompt": "a", "samples": 6, "model": "imagen-4.0-generate-001"},
    {"prompt": "b", "samples": 1, "model": "gemini-nano-banana-2.1"},
    {"prompt": "c", "samples": 3, "model": "of-our-own"},
    {"prompt": "a", "samples": 2, "model": "imagen-4.0-generate-001"},
]


class FakeHistory:
    """A history with the statuses that Hypothesis draws."""

    def __init__(self, statuses):
        self.statuses = statuses

    def status(self, base, number):
        return self.statuses.get((base, number))

    def have_images(self, slots):
        made = {slot_of(*sample) for sample, status in self.statuses.items() if status == "ok"}
        return [slot in made for slot in slots]

    @property
    def reviews(self):
        return Reviews(self.status)

    def cost_bounds(self, _provider):
        """Return what was charged: nothing."""
        return Cost()

    def max_images_made(self, _provider):
        """Return how many images there may be."""
        return 0


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """A file with rows of several models, one of them without a price."""
    source = write_csv(tmp_path_factory.mktemp("input") / "prompts.csv", ROWS)
    values = {"prompts": str(source), "provider": "simulator", "dialect": "predict"}
    return make_plan(make_settings(values), today=TODAY)


@given(st.data())
def test_the_counts_equal_those_of_the_listed_requests(plan, data):
    """Requests, samples, prices and images without a price are compared."""
    samples_of_plan = [(base, number) for base, samples in plan.index for number in range(1, samples + 1)]
    statuses = {sample: data.draw(st.sampled_from([None, *OUTCOMES])) for sample in samples_of_plan}
    history = FakeHistory(statuses)
    requests = list(remaining_requests(plan, history))
    pending = count_pending(plan, history)
    assert pending.requests == len(requests)
    assert pending.samples == sum(request.samples for request in requests)
    assert pending.unpriced == sum(request.samples for request in requests if request.price is None)
    assert pending.usd == pytest.approx(sum(request.price or 0.0 for request in requests))
    assert [request.row for request in requests] == sorted(request.row for request in requests)
