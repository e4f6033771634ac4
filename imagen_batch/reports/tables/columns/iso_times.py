"""Writes a column of times in ISO 8601, with milliseconds: 2026-11-27T01:02:03.004Z."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

_MS = pa.timestamp("ms")
_FIRST: Final = 0  # in milliseconds since the epoch
_LAST: Final = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp()) * 1000
_DATE_LENGTH: Final = len("2026-11-27")


def to_iso(times: pa.Array) -> pa.Array:
    """Return times of any zone as text in UTC."""
    local = times.cast(_MS)
    if not _is_usual(local):
        return pc.strftime(local, "%Y-%m-%dT%H:%M:%SZ")
    # The cast writes a space after the date. strftime has the same result, and takes fifteen times as long.
    with_t = pc.binary_replace_slice(local.cast(pa.string()), _DATE_LENGTH, _DATE_LENGTH + 1, "T")
    return pc.binary_join_element_wise(with_t, "Z", "")


def _is_usual(times: pa.Array) -> bool:
    """Whether all times are in years of four digits, so that both ways to write them are the same."""
    bounds = pc.min_max(times.cast(pa.int64())).as_py()
    return bounds["min"] is None or (bounds["min"] >= _FIRST and bounds["max"] <= _LAST)
