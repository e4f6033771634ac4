"""Tests that the row index returns exactly the values that were added to it."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.planning.compact_row_index import RowIndex

ROWS = st.lists(
    st.tuples(
        st.binary(min_size=32, max_size=32).map(bytes.hex),
        st.integers(1, 10_000),
        st.integers(1, 4),
        st.none() | st.floats(0, 1000),
    ),
    max_size=20,
)


@given(ROWS)
def test_every_row_is_returned_in_order(rows):
    """Each has its key, its number of samples and its price, which may be unknown."""
    index = RowIndex()
    for base, samples, per_request, price in rows:
        index.add(base, samples, per_request=per_request, price=price)
    assert list(index) == [(base, samples) for base, samples, _, _ in rows]
    stored = [(index.row_key(row), index.per_request(row), index.price(row)) for row in range(1, len(rows) + 1)]
    assert stored == [(base, per_request, price) for base, _, per_request, price in rows]


def small_index(*samples):
    """Rows whose keys are their numbers, each with an earlier key except the first."""
    index = RowIndex()
    for row, count in enumerate(samples, 1):
        earlier = None if row == 1 else key_of(100 + row)
        index.add(key_of(row), count, per_request=1, price=None, earlier=earlier)
    return index


def key_of(number):
    """A row key."""
    return f"{number:064x}"


class FakeHistory:
    """A history that has an image for some samples."""

    def __init__(self, *made):
        self.made = set(made)

    def status(self, base, number):
        """Return the outcome of a sample."""
        return "ok" if (base, number) in self.made else None


def test_a_changed_number_of_samples_hides_that_of_the_input_from_requests_only():
    """`wanted` is that of the input, however often the other one changes."""
    index = small_index(1, 2, 3)
    index.set_samples(2, 5)
    index.set_samples(2, 6)
    assert [index.samples(row) for row in (1, 2, 3)] == [1, 6, 3]
    assert [index.wanted(row) for row in (1, 2, 3)] == [1, 2, 3]


def test_every_sample_may_be_requested_until_a_number_is_set():
    """Other rows keep theirs, and a row whose images all exist needs none."""
    index = small_index(1, 2, 3)
    assert [index.missing(row) for row in (1, 2, 3)] == [1, 2, 3]
    index.set_missing(2, 1)
    index.set_missing(3, -1)
    assert [index.missing(row) for row in (1, 2, 3)] == [1, 1, 0]


def test_each_row_is_adjusted_once_and_those_that_use_images_of_others_last():
    """The last row is no exception."""
    adjusted = []
    index = small_index(1, 1, 1)
    index.follow(FakeHistory(), adjust=adjusted.append)
    assert adjusted == [1, 2, 3]
    adjusted.clear()
    index.images = SimpleNamespace(dependents={2: None}, resolve=lambda _index, _history, adjust: adjust(2))
    index.follow(FakeHistory(), adjust=adjusted.append)
    assert adjusted == [1, 3, 2]


def test_a_row_takes_back_its_earlier_key_where_only_that_has_records():
    """A row with records under both keys keeps its new one; no other row changes."""
    index = small_index(1, 2, 2, 1)
    history = FakeHistory((key_of(102), 2), (key_of(103), 1), (key_of(3), 2))
    index.follow(history)
    assert [base for base, _ in index] == [key_of(each) for each in (1, 102, 3, 4)]
    assert [index.uses_earlier_key(row) for row in (1, 2, 3, 4)] == [False, True, False, False]
    assert [row for row, *_ in index.earlier_keys()] == [3, 4]


def test_a_key_that_an_earlier_row_takes_back_does_not_count_for_a_later_one():
    """The images under it are those of the first row, so the second one has only those of its own earlier key."""
    index = RowIndex()
    index.add(key_of(1), 1, per_request=1, price=None, earlier=key_of(2))
    index.add(key_of(2), 1, per_request=1, price=None, earlier=key_of(3))
    index.follow(FakeHistory((key_of(2), 1), (key_of(3), 1)))
    assert [base for base, _ in index] == [key_of(2), key_of(3)]


@pytest.mark.parametrize(("refresh", "key"), [(False, 2), (True, 102)])
def test_a_history_that_has_grown_is_looked_at_again_only_on_request(refresh, key):
    """A run looks once; every record of its own is under keys that are known."""
    index, history = small_index(1, 1), FakeHistory()
    index.follow(history)
    history.made.add((key_of(102), 1))
    index.follow(history, refresh=refresh)
    assert index.row_key(2) == key_of(key)
