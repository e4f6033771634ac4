"""What rows ask for comes back from few bytes as it was."""

from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.planning.row_index import RowIndex

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
def test_every_row_comes_back(rows):
    """In order, each with its key, its number of samples and its price, which may be unknown."""
    asked = RowIndex()
    for base, samples, per_request, price in rows:
        asked.add(base, samples, per_request=per_request, price=price)
    assert list(asked) == [(base, samples) for base, samples, _, _ in rows]
    told = [(asked.base(row), asked.per_request(row), asked.price(row)) for row in range(1, len(rows) + 1)]
    assert told == [(base, per_request, price) for base, _, per_request, price in rows]
