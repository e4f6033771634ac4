"""Keeps the key, sample count and price of every row in as few bytes as possible.

Whether anything is left to send is answered from these, without reading a million rows again.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import isnan, nan
from typing import NamedTuple, Protocol

from imagen_batch.ledger.folds.sample_states import slots_of
from imagen_batch.ledger.history import History
from imagen_batch.ledger.records import OrderedVersion
from imagen_batch.ledger.reviews import Reviews
from imagen_batch.planning.references.choose_images_of_other_rows import Waiting
from imagen_batch.planning.references.keys_from_row_images import RowImages
from imagen_batch.records import Outcome

_KEY = 32  # bytes


class SampleHistory(Protocol):
    """The part of a run's history that a plan needs."""

    @property
    def reviews(self) -> Reviews:
        """The decisions about samples."""

    def status(self, base: str, number: int) -> Outcome | None:
        """Return the outcome of a sample; None if it has none."""

    def have_images(self, slots: Sequence[bytes]) -> list[bool]:
        """Return for each sample whether it certainly is "ok"; its status is not looked up then."""


class RowIndex:
    """Row key, number of samples and price of every row, in input order; 48 bytes a row."""

    def __init__(self) -> None:
        self._keys = bytearray()
        self._samples = array("I")
        self._per_request = array("I")
        self._prices = array("d")
        self._wanted: dict[int, int] = {}  # samples that the input requests, of rows with more
        self._missing = array("I")  # usable images that --accept still wants; empty without it
        self._earlier = bytearray()  # reaches to the last row that has an earlier key
        self._adopted: set[int] = set()
        self._adopted_for: SampleHistory | None = None
        self.images: RowImages | None = None  # where rows refer to images of other rows

    def add(
        self, base: str, samples: int, *, per_request: int, price: float | None, earlier: str | None = None
    ) -> None:
        """Append a row. `price` is the worst case in USD for one image; None when unknown.

        `earlier` is the row key that an earlier version gave the row, if it differs.
        """
        if earlier is not None:
            self._earlier.extend(bytes(len(self._keys) - len(self._earlier)))
            self._earlier += bytes.fromhex(earlier)
        self._keys += bytes.fromhex(base)
        self._samples.append(samples)
        self._per_request.append(per_request)
        self._prices.append(nan if price is None else price)

    def add_rows(
        self,
        bases: Iterable[bytes],
        samples: Iterable[int],
        *,
        per_request: Iterable[int],
        prices: Iterable[float | None],
    ) -> None:
        """Append rows that have no key of an earlier version."""
        self._keys += b"".join(bases)
        self._samples.extend(samples)
        self._per_request.extend(per_request)
        self._prices.extend(nan if price is None else price for price in prices)

    def set_key(self, row: int, key: str) -> None:
        """Replace the key of a row."""
        self._keys[(row - 1) * _KEY : row * _KEY] = bytes.fromhex(key)

    def follow(self, history: History, *, refresh: bool = False, adjust: Callable[[int], None] | None = None) -> None:
        """Update the keys from the ledger: those of earlier versions, and those that depend on images.

        `refresh`: look for keys of earlier versions again, because the same history has grown. `adjust` is called
        once for each row when its key is known, before rows that use its images.
        """
        self.adopt_earlier_keys(history, refresh=refresh)
        dependents = self.images.dependents if self.images is not None else {}
        if adjust is not None:
            for row in range(1, len(self._samples) + 1):
                if row not in dependents:
                    adjust(row)
        if self.images is not None:
            self.images.resolve(self, history, adjust)

    def waiting(self, row: int) -> Waiting | None:
        """Return why nothing can be sent for a row; None if the row is not waiting."""
        return None if self.images is None else self.images.waiting.get(row)

    @property
    def waiting_rows(self) -> frozenset[int]:
        """The rows that wait for images of others."""
        return frozenset() if self.images is None else frozenset(self.images.waiting)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._samples)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """Yield row key and number of samples of each row."""
        keys = (self._keys[at : at + _KEY].hex() for at in range(0, len(self._keys), _KEY))
        return zip(keys, self._samples, strict=True)

    def row_key(self, row: int) -> str:
        """Return the key of a row; rows count from 1."""
        return self._keys[(row - 1) * _KEY : row * _KEY].hex()

    def slots_of_samples(self, rows: Sequence[int], numbers: Sequence[int]) -> list[bytes]:
        """Return the slots of samples of rows, which are in input order."""
        if not rows:
            return []
        first = rows[0]
        keys = bytes(self._keys[(first - 1) * _KEY : rows[-1] * _KEY])
        return slots_of(keys, [row - first for row in rows], numbers)

    def samples(self, row: int) -> int:
        """Return the number of samples of a row."""
        return self._samples[row - 1]

    def samples_of_rows(self, first: int, count: int) -> Sequence[int]:
        """Return the numbers of samples of consecutive rows."""
        return self._samples[first - 1 : first - 1 + count]

    def wanted(self, row: int) -> int:
        """Return the number of samples that the input requests."""
        return self._wanted.get(row, self._samples[row - 1])

    def missing(self, row: int) -> int:
        """Return how many samples of a row may be requested now."""
        return self._missing[row - 1] if self._missing else self._samples[row - 1]

    def set_missing(self, row: int, samples: int) -> None:
        """Set how many usable images of a row --accept still wants."""
        if not self._missing:
            self._missing = array("I", self._samples)
        self._missing[row - 1] = max(0, samples)

    def set_samples(self, row: int, samples: int) -> None:
        """Request a number of samples of a row other than that of the input."""
        self._wanted.setdefault(row, self._samples[row - 1])
        self._samples[row - 1] = samples

    def per_request(self, row: int) -> int:
        """Return how many samples of a row fit into one request."""
        return self._per_request[row - 1]

    def price(self, row: int) -> float | None:
        """Return the worst case in USD for one image of a row; None when unknown."""
        price = self._prices[row - 1]
        return None if isnan(price) else price

    def earlier_keys(self) -> Iterator[tuple[int, str, str, int]]:
        """Yield row, row key, earlier row key and number of samples of each row that has two keys."""
        for at in range(0, len(self._earlier), _KEY):
            key = self._earlier[at : at + _KEY]
            row = at // _KEY + 1
            if any(key) and row not in self._adopted:
                yield row, self.row_key(row), key.hex(), self._samples[row - 1]

    def uses_earlier_key(self, row: int) -> bool:
        """Return whether the row has its earlier key, and so keeps its earlier text."""
        return row in self._adopted

    def adopt_earlier_keys(self, history: SampleHistory, *, refresh: bool = False) -> None:
        """Restore the earlier key of each row for which the ledger has records under that key.

        Such a row keeps the text that was sent for it, so that it is not paid for again because of another text.
        `refresh`: look again, because the same history has grown.
        """
        if self._adopted_for is history and not refresh:
            return
        self._adopted_for, adopted = history, set()
        for row, base, earlier, samples in self.earlier_keys():
            numbers = range(1, samples + 1)
            if all(history.status(earlier, number) is None for number in numbers):
                continue
            # This row's new key may have been another row's earlier key: the images under it belong to that row.
            if base in adopted or all(history.status(base, number) is None for number in numbers):
                self._adopt_earlier_key(row)
                adopted.add(earlier)

    def _adopt_earlier_key(self, row: int) -> None:
        at = (row - 1) * _KEY
        self._keys[at : at + _KEY] = self._earlier[at : at + _KEY]
        self._adopted.add(row)


class PendingRow(NamedTuple):
    """A row with samples still to be requested: their numbers, and further versions of samples."""

    row: int
    base: str
    numbers: list[int]
    versions: tuple[OrderedVersion, ...] = ()
