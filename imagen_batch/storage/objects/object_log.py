"""Stores a log in an object store, where nothing can be appended to an object.

A log consists of objects `<log>/<first>-<last>`, numbered by append: each append is one object and counts once that
is stored. Every thousand of them are merged into one object and then removed, so that a long run leaves few objects.
Where a kill leaves both, the longer one replaces all that it covers.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol

_MERGE_AFTER = 1000
_FETCH_TOGETHER = 100  # objects, held in memory
_MAX_TRIES = 5  # a listed part may be merged and removed before it is fetched

_RANGE = re.compile(r"([0-9]{8})-([0-9]{8})")


class Objects(Protocol):
    """The operations of an object store that a log needs."""

    def put(self, name: str, data: bytes) -> None: ...
    def sizes(self, below: str) -> Iterator[tuple[str, int]]: ...
    def read_all(self, names: Iterable[str]) -> list[bytes]: ...
    def remove_all(self, names: Iterable[str]) -> None: ...


class Part(NamedTuple):
    """One object with the appends `first` to `last` of a log."""

    log: str
    first: int
    last: int

    @property
    def name(self) -> str:
        """The object's name."""
        return f"{self.log}/{self.first:08}-{self.last:08}"


class ObjectLog:
    """A log with one writer. Not thread-safe."""

    def __init__(self, objects: Objects, name: str, *, merge_after: int = _MERGE_AFTER) -> None:
        self._objects = objects
        self._name = name
        self._merge_after = merge_after
        self._single: list[bytes] = []  # appends that are not yet merged
        self._appended = 0

    def append(self, data: bytes) -> None:
        """Store one part. The next append overwrites a part that failed."""
        self._objects.put(Part(self._name, self._appended + 1, self._appended + 1).name, data)
        self._appended += 1
        self._single.append(data)
        if len(self._single) >= self._merge_after:
            self._merge()

    def close(self) -> None:
        """Merge the remaining single parts."""
        if len(self._single) > 1:
            self._merge()

    def _merge(self) -> None:
        """Replace single parts by one object. If that fails, the single parts stay and are equally valid."""
        first = self._appended - len(self._single) + 1
        merged, self._single = b"".join(self._single), []
        with suppress(OSError):
            self._objects.put(Part(self._name, first, self._appended).name, merged)
            singles = (Part(self._name, number, number).name for number in range(first, self._appended + 1))
            self._objects.remove_all(singles)


class ObjectLogs:
    """Local copies of all logs below a name, as files in `folder`."""

    def __init__(self, objects: Objects, below: str, folder: Path) -> None:
        self._objects = objects
        self._below = below
        self._folder = folder
        self._copied: defaultdict[str, int] = defaultdict(int)  # log -> the last append that is copied
        self._starts: dict[tuple[str, int], int] = {}  # log, first append of a part -> its offset in the file

    def refresh(self) -> Path:
        """Copy the parts that are new and return the folder. Raises OSError where a part is missing."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for tries_left in reversed(range(_MAX_TRIES)):
            listed = list(self._objects.sizes(self._below))
            try:
                self._copy(self._find_new(listed))
            except FileNotFoundError as missing:
                if not tries_left:
                    raise OSError(f"a part of the ledger is missing: {missing}") from missing
            else:
                break
        return self._folder

    def _find_new(self, listed: Iterable[tuple[str, int]]) -> list[Part]:
        parts = sorted(_parts(listed), key=lambda part: (part.log, part.first, -part.last))
        upto = dict(self._copied)
        new = []
        for part in parts:
            copied = upto.get(part.log, 0)
            if part.last <= copied:
                continue
            if part.first > copied + 1:
                raise FileNotFoundError(Part(part.log, copied + 1, part.first - 1).name)
            new.append(part)
            upto[part.log] = part.last
        return new

    def _copy(self, parts: Sequence[Part]) -> None:
        for start in range(0, len(parts), _FETCH_TOGETHER):
            batch = parts[start : start + _FETCH_TOGETHER]
            for part, data in zip(batch, self._objects.read_all(part.name for part in batch), strict=True):
                self._add(part, data)

    def _add(self, part: Part, data: bytes) -> None:
        with (self._folder / PurePosixPath(part.log).name).open("ab") as copy:
            end = copy.tell()
            begin = self._starts.setdefault((part.log, part.first), end)
            copy.write(data[end - begin :])  # the start of a merged part may be copied already
        self._copied[part.log] = part.last


def _parts(sizes: Iterable[tuple[str, int]]) -> Iterator[Part]:
    for name, _ in sizes:
        log, _, numbers = name.rpartition("/")
        if match := _RANGE.fullmatch(numbers):
            yield Part(log, int(match[1]), int(match[2]))
