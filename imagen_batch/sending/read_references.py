"""Reads the bytes of reference images when a request is sent, and checks that they are the planned ones.

Rows often share a few images, so the last ones read stay in memory, up to a limit. A file that has changed since the
plan is not sent: the request's key, under which its images will be found again, names the content that was planned.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import sha256

from imagen_batch.errors import ReferenceUnusable
from imagen_batch.images.reference_file import read_file
from imagen_batch.records import InputImage, Reference
from imagen_batch.storage import Storage

_CACHE_BYTES = 64 * 2**20


class ReferenceLoader:
    """The reference images that a process read most recently, by the SHA-256 of their content."""

    def __init__(self, *, cache_bytes: int = _CACHE_BYTES) -> None:
        self._capacity = self._free_bytes = cache_bytes
        self._cached: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, references: Sequence[Reference], storage: Storage) -> tuple[InputImage, ...]:
        """Return the images to send. Raises ReferenceUnusable, which names the reference and the reason."""
        return tuple(self._image(reference, storage) for reference in references)

    def _image(self, reference: Reference, storage: Storage) -> InputImage:
        if reference.uri is not None:
            return InputImage(reference.mime_type, uri=reference.uri)
        assert reference.sha256 is not None
        data = self._find_cached(reference.sha256)
        if data is None:
            data = _read(reference, storage)
            self._cache(reference.sha256, data)
        return InputImage(reference.mime_type, data)

    def _find_cached(self, digest: str) -> bytes | None:
        with self._lock:
            if digest in self._cached:
                self._cached.move_to_end(digest)
            return self._cached.get(digest)

    def _cache(self, digest: str, data: bytes) -> None:
        with self._lock:
            if len(data) > self._capacity or digest in self._cached:
                return
            self._cached[digest] = data
            self._free_bytes -= len(data)
            while self._free_bytes < 0:
                _, oldest = self._cached.popitem(last=False)
                self._free_bytes += len(oldest)


def _read(reference: Reference, storage: Storage) -> bytes:
    name = reference.path or f"{reference.text} ({reference.file})"
    try:
        data = _content(reference, storage)
    except ReferenceUnusable as error:
        raise ReferenceUnusable(f"the reference image {name} was not sent: {error}") from error
    if sha256(data).hexdigest() != reference.sha256:
        raise ReferenceUnusable(
            f"the reference image {name} was not sent: it has changed since the run was planned; run again to use it"
        )
    return data


def _content(reference: Reference, storage: Storage) -> bytes:
    if reference.path is not None:
        return read_file(reference.path, max_bytes=max(1, reference.bytes))
    assert reference.file is not None
    try:
        return storage.read(reference.file)
    except OSError as error:
        raise ReferenceUnusable(f"it can't be read: {error.strerror or error}") from error
