"""Reads type, size and SHA-256 of the files that rows refer to, each file once, however many rows name it."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from imagen_batch.errors import ReferenceUnusable
from imagen_batch.images.reference_file import FileFacts, examine, read_file


class ReferenceFiles:
    """The facts about files by absolute path. Memory grows with the number of different files, not of rows.

    `known` are facts that a run stored; with them a plan is read as that run saw it, even if files have changed.
    """

    def __init__(self, known: Mapping[str, FileFacts] | None = None) -> None:
        self._known = known
        self._facts: dict[str, FileFacts] = {}
        self._unusable: dict[str, str] = {}

    @property
    def facts(self) -> Mapping[str, FileFacts]:
        """The facts about all files that have been read."""
        return self._facts

    def read(self, path: str, *, most: int) -> FileFacts:
        """Return the facts about a file of at most `most` bytes. Raises ReferenceUnusable."""
        if path in self._unusable:
            raise ReferenceUnusable(self._unusable[path])
        if path not in self._facts:
            try:
                self._facts[path] = self._read(path, most)
            except ReferenceUnusable as error:
                self._unusable[path] = str(error)
                raise
        return self._facts[path]

    def _read(self, path: str, most: int) -> FileFacts:
        if self._known is None:
            return examine(read_file(path, max_bytes=most))
        if path in self._known:
            return self._known[path]
        try:
            return examine(read_file(path, max_bytes=most))
        except ReferenceUnusable:
            return FileFacts("", sha256(b"missing:" + path.encode("utf-8", "surrogateescape")).hexdigest(), 0)
