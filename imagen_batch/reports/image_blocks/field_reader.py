"""Reads single fields of ordinary images, for columns that are computed from some of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

LISTS: Final = ("filter_codes", "warnings")
"""Fields with lists of texts, which ordinary images do not have."""


class FieldReader:
    """Stands for the sample or the trace in one row of the columns, and can be moved to another row.

    Only fields that are read become Python values.
    """

    def __init__(self, columns: Mapping[str, pa.Array]) -> None:
        self._columns = columns
        self._values: dict[str, list[Any]] = {}
        self._row = 0

    def at(self, row: int) -> FieldReader:
        """Move to another row."""
        self._row = row
        return self

    def has_only_read_nulls(self) -> bool:
        """Return whether no row has a value in any of the fields that were read, so that all rows are alike."""
        return all(self._columns[name].null_count == len(self._columns[name]) for name in self._values)

    def __getattr__(self, name: str) -> Any:
        """Return the value of a field."""
        if name in LISTS:
            return ()
        if name not in self._columns:
            raise AttributeError(name)
        if name not in self._values:
            self._values[name] = self._columns[name].to_pylist()
        return self._values[name][self._row]
