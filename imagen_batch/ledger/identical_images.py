"""Finds recorded images with the same bytes, as a gateway's cache returns them for different requests."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Set
from dataclasses import dataclass
from typing import Final

from imagen_batch.ledger.folds.sample_states import slot_of

_DIGITS: Final = 16  # of the SHA-256; digests that look equal are compared in full


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Samples whose image has the same bytes as that of another sample."""

    slots: Set[bytes] = frozenset()

    def has(self, base: str, number: int) -> bool:
        """Whether the sample is one of these."""
        return bool(self.slots) and slot_of(base, number) in self.slots


class ImageDigests:
    """The checksum of each recorded image with the position of its record: 16 bytes of memory an image."""

    def __init__(self) -> None:
        self._digests = array("Q")
        self._positions = array("Q")

    def add(self, sha256: str, *, position: int) -> None:
        """Add an image. `position` is that of its record."""
        try:
            digest = int(sha256[:_DIGITS], 16)
        except ValueError:  # not a checksum that this program wrote
            return
        self._digests.append(digest)
        self._positions.append(position)

    def find_repeated(self) -> Collection[int]:
        """Return the positions of records whose images occur more than once, also of records that are superseded."""
        if len(self._digests) < 2:
            return ()
        import numpy as np  # noqa: PLC0415 - only needed when tables are written

        digests = np.frombuffer(self._digests, dtype=np.uint64)
        order = np.argsort(digests, kind="stable")
        same = np.flatnonzero(digests[order[1:]] == digests[order[:-1]])
        images = np.union1d(order[same], order[same + 1])
        return set(np.frombuffer(self._positions, dtype=np.uint64)[images].tolist())
