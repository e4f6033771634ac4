"""How is a log kept where nothing can be appended to?

As objects `<log>/<first>-<last>`, numbered by append: each append is one object and counts when that is stored. Every
thousand of them are written once more as one and then removed, so that a long run leaves few. Where both are
there after a kill, the longer one speaks for all that it covers.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol

_MERGE_AFTER = 1000
_AT_ONCE = 100  # objects fetched together: held in memory
_TRIES = 5  # a part that was listed may be merged away before it is fetched

_RANGE = re.compile(r"([0-9]{8})-([0-9]{8})")


class Objects(Protocol):
    """What a bucket has to offer for this."""

    def put(self, name: str, data: bytes) -> None: ...
    def sizes(self, below: str) -> Iterator[tuple[str, int]]: ...
    def read_all(self, names: Iterable[str]) -> list[bytes]: ...
    def remove_all(self, names: Iterable[str]) -> None: ...


class Part(NamedTuple):
    """Appends `first` to `last` of a log, in one object."""

    log: str
    first: int
    last: int

    @property
    def name(self) -> str:
        """Where it is stored."""
        return f"{self.log}/{self.first:08}-{self.last:08}"


class PartedLog:
    """A log with one writer. Not for several threads at once."""

    def __init__(self, objects: Objects, name: str, *, merge_after: int = _MERGE_AFTER) -> None:
        self._objects = objects
        self._name = name
        self._merge_after = merge_after
        self._single: list[bytes] = []  # appends that are not merged yet
        self._appended = 0

    def append(self, data: bytes) -> None:
        """Store one part. One that failed is written over by the next."""
        self._objects.put(Part(self._name, self._appended + 1, self._appended + 1).name, data)
        self._appended += 1
        self._single.append(data)
        if len(self._single) >= self._merge_after:
            self._merge()

    def close(self) -> None:
        """Merge what is still single."""
        if len(self._single) > 1:
            self._merge()

    def _merge(self) -> None:
        """Fewer objects is all this is for: where it fails the single ones stay, and are as good."""
        first = self._appended - len(self._single) + 1
        whole, self._single = b"".join(self._single), []
        with suppress(OSError):
            self._objects.put(Part(self._name, first, self._appended).name, whole)
            singles = (Part(self._name, number, number).name for number in range(first, self._appended + 1))
            self._objects.remove_all(singles)


class PartedLogs:
    """Copies of all logs below a name, as files in `folder`."""

    def __init__(self, objects: Objects, below: str, folder: Path) -> None:
        self._objects = objects
        self._below = below
        self._folder = folder
        self._copied: defaultdict[str, int] = defaultdict(int)  # log -> its last append that is here
        self._starts: dict[tuple[str, int], int] = {}  # log, first append of a part -> where in the file it begins

    def refreshed(self) -> Path:
        """The folder, with everything in it that is stored now. Raises OSError where a part is missing."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for left in reversed(range(_TRIES)):
            listed = list(self._objects.sizes(self._below))
            try:
                self._copy(self._unread(listed))
            except FileNotFoundError as gone:
                if not left:
                    raise OSError(f"a part of the ledger is missing: {gone}") from gone
            else:
                break
        return self._folder

    def _unread(self, listed: Iterable[tuple[str, int]]) -> list[Part]:
        parts = sorted(_parts(listed), key=lambda part: (part.log, part.first, -part.last))
        upto = dict(self._copied)
        unread = []
        for part in parts:
            have = upto.get(part.log, 0)
            if part.last <= have:
                continue
            if part.first > have + 1:
                raise FileNotFoundError(Part(part.log, have + 1, part.first - 1).name)
            unread.append(part)
            upto[part.log] = part.last
        return unread

    def _copy(self, parts: Sequence[Part]) -> None:
        for start in range(0, len(parts), _AT_ONCE):
            batch = parts[start : start + _AT_ONCE]
            for part, data in zip(batch, self._objects.read_all(part.name for part in batch), strict=True):
                self._add(part, data)

    def _add(self, part: Part, data: bytes) -> None:
        with (self._folder / PurePosixPath(part.log).name).open("ab") as copy:
            end = copy.tell()
            begin = self._starts.setdefault((part.log, part.first), end)
            copy.write(data[end - begin :])  # of a merged part some may be here already
        self._copied[part.log] = part.last


def _parts(sizes: Iterable[tuple[str, int]]) -> Iterator[Part]:
    for name, _ in sizes:
        log, _, numbers = name.rpartition("/")
        if found := _RANGE.fullmatch(numbers):
            yield Part(log, int(found[1]), int(found[2]))
