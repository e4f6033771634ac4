"""Names the shards of one split and decides when the next one begins."""

from __future__ import annotations

from contextlib import ExitStack
from typing import BinaryIO

from imagen_batch.exports.options import Options
from imagen_batch.exports.output.target import Target


class Shards:
    """Files `PREFIX-00000.EXT`; at most one is open. Their size is that of the images inside."""

    def __init__(self, target: Target, prefix: str, extension: str, options: Options, *, digits: int = 5) -> None:
        self._target = target
        self._prefix = prefix
        self._extension = extension
        self._limit = options.shard_size
        self._digits = digits
        self._finished: list[str] = []
        self._bytes = 0
        self._stack = ExitStack()

    def is_full(self, more: int) -> bool:
        """Return whether an image of so many bytes belongs to the next shard."""
        return bool(self._bytes) and self._bytes + more > self._limit

    def count(self, more: int) -> None:
        """Add so many bytes to the size of the current shard."""
        self._bytes += more

    def open(self) -> BinaryIO:
        """Open the next shard and return its handle."""
        self._finished.append(f"{self._prefix}-{len(self._finished):0{self._digits}}{self._extension}")
        return self._stack.enter_context(self._target.write(self._finished[-1]))

    def finish(self) -> None:
        """Close the current shard."""
        self._stack.close()
        self._bytes = 0

    def close(self, *, total: bool) -> None:
        """Close the last shard; with `total` every name gets the number of shards."""
        self.finish()
        for name in self._finished if total else ():
            stem = name.removesuffix(self._extension)
            self._target.rename(name, f"{stem}-of-{len(self._finished):05}{self._extension}")
