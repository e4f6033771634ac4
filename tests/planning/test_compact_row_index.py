"""Tests that the row index returns exactly the values that were added to it."""

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
