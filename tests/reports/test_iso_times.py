"""Tests that the fast way to write times has the same text as the general one."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.reports.tables.columns.iso_times import to_iso

MILLISECONDS = st.integers(-(10**14), 4 * 10**14) | st.integers(0, 10**13) | st.integers(-10, 10)


@given(st.lists(st.none() | MILLISECONDS))
def test_times_are_written_as_strftime_writes_them(milliseconds: list[int | None]) -> None:
    """This holds before 1970, in years of five digits, and where all or none are empty."""
    times = pa.array(milliseconds, type=pa.timestamp("ms", tz="UTC"))
    assert to_iso(times).equals(pc.strftime(times.cast(pa.timestamp("ms")), "%Y-%m-%dT%H:%M:%SZ"))


def test_a_time_has_its_milliseconds() -> None:
    """They are never left out."""
    times = pa.array([0, 1_764_000_000_120], type=pa.timestamp("ms", tz="UTC"))
    assert to_iso(times).to_pylist() == ["1970-01-01T00:00:00.000Z", "2025-11-24T16:00:00.120Z"]
