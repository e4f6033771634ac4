"""Tests that rows become exactly the requests that are still pending."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.ledger.folds.sample_states import number_of
from imagen_batch.ledger.reviews import Reviews
from imagen_batch.planning.compact_row_index import RowIndex
from imagen_batch.planning.keys import RowKeys
from imagen_batch.planning.pending import pending_requests, pending_rows
from imagen_batch.planning.requests_and_shards import requests_for, shard_size, shards
from imagen_batch.planning.resolve_rows import RowPlanner
from imagen_batch.providers.catalogue import load_catalogue
from imagen_batch.records import Options, PromptRow
from imagen_batch.settings import make_settings
from tests.support.factories import request

IMAGEN, ULTRA, GEMINI = "imagen-4.0-generate-001", "imagen-4.0-ultra-generate-001", "gemini-nano-banana-2.1"


class FakeHistory:
    """A history that the test defines."""

    def __init__(self, statuses=()):
        self.statuses = dict(statuses)

    def have_images(self, slots):
        return [self.statuses.get(number_of(slot)) == "ok" for slot in slots]

    def status(self, base, number):
        return self.statuses.get(number)

    @property
    def reviews(self):
        return Reviews(self.status)


def _planned(model=IMAGEN, samples=1, **row):
    settings = make_settings({"prompts": "p", "provider": "simulator"})
    planned, problems, _ = RowPlanner(settings, load_catalogue()).plan_row(
        PromptRow(row=1, line=2, prompt="a mole", model=model, samples=samples, **row)
    )
    assert not problems
    return planned


@pytest.mark.parametrize(("model", "sizes"), [(IMAGEN, [4, 4, 2]), (ULTRA, [1] * 10), (GEMINI, [1] * 10)])
def test_samples_are_divided_among_requests_by_the_limit_of_the_model(model, sizes):
    """Imagen makes up to four images a call, Ultra and Gemini one."""
    requests = list(requests_for(_planned(model, 10), "b", range(1, 11)))
    assert [each.samples for each in requests] == sizes
    assert [number for each in requests for number in each.numbers] == list(range(1, 11))


def test_each_of_several_requests_gets_its_own_seed():
    """The same seed ten times would make the same image ten times."""
    requests = requests_for(_planned(GEMINI, 3, options=Options(seed=7)), "b", range(1, 4))
    assert [each.options.seed for each in requests] == [7, 8, 9]


@pytest.mark.parametrize(
    ("chosen", "sent"),
    [
        ({}, [1, 4, 6]),
        ({"on_unknown": "hold"}, [1, 6]),
        ({"retry": "failed"}, [1, 2, 4, 6]),
        ({"retry": "filtered failed"}, [1, 2, 3, 4, 6]),
        ({"retry": "unknown", "on_unknown": "hold"}, [1, 4, 6]),
    ],
)
def test_the_retry_choice_decides_which_samples_are_sent_again(chosen, sent):
    """Pending and unknown samples are sent anyway, refused and failed ones on request, and saved ones never."""
    history = FakeHistory({2: "failed", 3: "filtered", 4: "unknown", 5: "ok"})
    settings = make_settings({"prompts": "p", **chosen})
    planned, index = _planned(GEMINI, 6), RowIndex()
    index.add("ab" * 32, planned.samples, per_request=1, price=None)
    requests = list(pending_requests([planned], pending_rows(index, history, settings=settings)))
    assert [number for request in requests for number in request.numbers] == sent
    assert {request.base for request in requests} == {"ab" * 32}


def test_the_input_is_not_read_when_nothing_is_pending():
    """A million finished rows are not read again."""
    index, unread = RowIndex(), (pytest.fail("requested a row") for _ in range(1))
    index.add("ab" * 32, 1, per_request=1, price=None)
    history = FakeHistory({1: "ok"})
    assert not list(pending_requests(unread, pending_rows(index, history, settings=make_settings({"prompts": "p"}))))


def test_a_style_is_added_to_the_prompt():
    """Neither dialect has a field for it."""
    assert _planned(style="ink").prompt == "a mole, ink"


@pytest.mark.parametrize("filename", ["book/hero.png", "hero"])
def test_the_user_s_own_file_name_has_no_extension(filename):
    """The extension comes from the content."""
    planned = _planned(filename=filename)
    assert planned.has_custom_name
    assert planned.stem == f"images/{filename.removesuffix('.png')}"


def test_the_number_of_shards_is_bounded():
    """There are some hundreds for any number of rows; a small run has one."""
    assert [shard_size(rows) for rows in (1, 10_000, 50_000, 1_000_000)] == [50, 50, 100, 2000]
    assert 1_000_000 / shard_size(1_000_000) == 500


@given(st.lists(st.integers(1, 10_000_000), max_size=40), st.integers(1, 10))
def test_shards_contain_every_request_once_in_order(weights, size):
    """No shard has too many requests."""
    requests = [request(number, prompt="x" * min(weight, 100)) for number, weight in enumerate(weights, 1)]
    slices = list(shards(requests, size))
    assert [each for shard in slices for each in shard] == requests
    assert all(0 < len(shard) <= size for shard in slices)


@given(st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=12), st.data())
def test_an_edit_adds_requests_only_for_changed_rows(before, data):
    """For any edit, the new keys are those of contents that did not exist before."""
    after = data.draw(st.permutations(before + data.draw(st.lists(st.sampled_from(["a", "e", "f"]), max_size=4))))

    def keys(rows):
        row_keys = RowKeys("gemini")
        return [row_keys.row_key(model="m", prompt=prompt, options=Options()) for prompt in rows]

    new = set(keys(after)) - set(keys(before))
    assert len(new) == (Counter(after) - Counter(before)).total()


def test_a_shard_ends_with_the_request_that_fills_its_bytes(monkeypatch):
    """A shard may have exactly the largest number of bytes."""
    monkeypatch.setattr("imagen_batch.planning.requests_and_shards._SHARD_BYTES", 10)
    requests = [request(number, prompt=prompt) for number, prompt in enumerate(("x" * 4, "x" * 6, "x" * 9, "x"), 1)]
    assert [len(shard) for shard in shards(requests, 100)] == [2, 2]


def test_seeds_stay_within_32_bits():
    """The seed after the highest one is zero."""
    requests = requests_for(_planned(GEMINI, 3, options=Options(seed=2**32 - 2)), "b", range(1, 4))
    assert [each.options.seed for each in requests] == [2**32 - 2, 2**32 - 1, 0]
