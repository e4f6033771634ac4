"""What each row asks for, in as few bytes as can be.

Whose picture it is, how many and at what price: with that in hand nobody has to read a million rows once more to
find out that nothing is left to send.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from math import isnan, nan
from typing import NamedTuple, Protocol

from imagen_batch.records import Outcome

_KEY = 32  # bytes


class RowIndex:
    """Base key, number of samples and price of every row, in input order; 48 bytes a row."""

    def __init__(self) -> None:
        self._bases = bytearray()
        self._samples = array("I")
        self._per_request = array("I")
        self._prices = array("d")
        self._earlier = bytearray()  # as long as the last row that has one makes it
        self._adopted: set[int] = set()

    def add(
        self, base: str, samples: int, *, per_request: int, price: float | None, earlier: str | None = None
    ) -> None:
        """The next row. `price` is the worst case in USD for one picture; None where none is known.

        `earlier` is the base key that an earlier version gave the row, where that is another one.
        """
        if earlier is not None:
            self._earlier.extend(bytes(len(self._bases) - len(self._earlier)))
            self._earlier += bytes.fromhex(earlier)
        self._bases += bytes.fromhex(base)
        self._samples.append(samples)
        self._per_request.append(per_request)
        self._prices.append(nan if price is None else price)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """Base key and number of samples of each row."""
        bases = (self._bases[at : at + _KEY].hex() for at in range(0, len(self._bases), _KEY))
        return zip(bases, self._samples, strict=True)

    def base(self, row: int) -> str:
        """The base key of a row; rows count from 1."""
        return self._bases[(row - 1) * _KEY : row * _KEY].hex()

    def earlier(self) -> Iterator[tuple[int, str, str, int]]:
        """Row, base key, base key of an earlier version and samples of each row that has two."""
        for at in range(0, len(self._earlier), _KEY):
            key = self._earlier[at : at + _KEY]
            row = at // _KEY + 1
            if any(key) and row not in self._adopted:
                yield row, self.base(row), key.hex(), self._samples[row - 1]

    def adopt_earlier(self, row: int) -> None:
        """Go by the row's earlier base key from now on."""
        at = (row - 1) * _KEY
        self._bases[at : at + _KEY] = self._earlier[at : at + _KEY]
        self._adopted.add(row)

    def is_earlier(self, row: int) -> bool:
        """Whether the row goes by its earlier base key, and so by its earlier text."""
        return row in self._adopted

    def per_request(self, row: int) -> int:
        """How many samples of a row one request takes."""
        return self._per_request[row - 1]

    def price(self, row: int) -> float | None:
        """The worst case in USD for one picture of a row; None where none is known."""
        price = self._prices[row - 1]
        return None if isnan(price) else price


class SampleHistory(Protocol):
    """What a plan wants to know of the past."""

    def status(self, base: str, number: int) -> Outcome | None:
        """What became of a sample; None when nothing is known."""


class PendingRow(NamedTuple):
    """A row that still lacks samples: their numbers."""

    row: int
    base: str
    numbers: list[int]
