"""What was sent, and what came back? The only truth about money.

JSON lines in `.imagen-batch/ledger/`, one file per writer, append only:

    sent   before an attempt: which samples, at what worst-case price
    back   the attempt brought no result; whether it may have been charged
    done   the result for each sample, written when its pictures are on disk

A record counts once it is on disk. A torn last line is ignored. A `sent` that nothing answers is unknown: it
may have been charged.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol

import orjson

from imagen_batch.files import sync_folder
from imagen_batch.records import ImageRequest, Sample, Trace

SAMPLE_FIELDS = tuple(field.name for field in fields(Sample))


class Asked(Protocol):
    """What a result is recorded for: a request, or an attempt found open in the ledger."""

    @property
    def key(self) -> str: ...
    @property
    def base(self) -> str: ...


class LedgerWriter:
    """Appends records to a file of its own. Threads that append together share one flush."""

    def __init__(self, folder: Path, *, now: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # Read back in the order of their names: a later writer's word about a sample comes last.
        self.path = folder / f"{now:015.3f}-{uuid.uuid4().hex[:8]}.jsonl"
        self._fd: int | None = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        sync_folder(folder)
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._waiting: list[bytes] = []
        self._folders: set[Path] = set()
        self._size = 0
        self._queued = 0
        self._flushed = 0

    def sent(self, request: ImageRequest, *, attempt: int, at: float) -> None:
        """An attempt is about to start. On disk when this returns."""
        self._append(
            {
                "t": "sent",
                "key": request.key,
                "base": request.base,
                "first": request.first,
                "names": request.names,
                "model": request.model,
                "attempt": attempt,
                "at": at,
                "usd": request.price,
            }
        )

    def back(self, request: ImageRequest, *, attempt: int, at: float, facts: Mapping[str, object]) -> None:
        """An attempt ended without a result. Not waited for: were it lost, the attempt counts as unknown."""
        record = {"t": "back", "key": request.key, "attempt": attempt, "at": at, **facts}
        self._append(record, wait=False)

    def done(
        self,
        request: Asked,
        samples: tuple[Sample, ...],
        trace: Trace,
        *,
        folders: set[Path],
        maybe_usd: float = 0.0,
    ) -> None:
        """The result of a request. On disk when this returns, and after its pictures' entries in `folders`.

        `maybe_usd` is what may have been charged beyond the samples.
        """
        record = {
            "t": "done",
            "key": request.key,
            "base": request.base,
            "attempt": trace.attempts,
            "status": trace.http_status,
            "latency": trace.latency_s,
            "sent_at": trace.sent_at,
            "at": trace.finished_at,
            "samples": [_slim(sample) for sample in samples],
        }
        if maybe_usd:
            record["maybe_usd"] = maybe_usd
        self._append(record, folders=folders)

    def flush(self) -> None:
        """Put everything that waits on disk."""
        with self._lock:
            upto = self._queued
        self._flush(upto)

    def close(self) -> None:
        """Flush what waits and close the file. Closing twice does nothing.

        What a full disk does not take any more is not told: those attempts count as unknown.
        """
        if self._fd is None:
            return
        with suppress(OSError):
            self.flush()
        with self._flushing:
            os.close(self._fd)
            self._fd = None

    def _append(self, record: dict[str, Any], *, wait: bool = True, folders: Iterable[Path] = ()) -> None:
        line = orjson.dumps(record) + b"\n"
        with self._lock:
            self._waiting.append(line)
            self._folders.update(folders)
            self._queued += 1
            ticket = self._queued
        if wait:
            self._flush(ticket)

    def _flush(self, ticket: int) -> None:
        # Whoever gets here first writes for all; the others find their record already on disk.
        with self._flushing:
            if self._flushed >= ticket:
                return
            with self._lock:
                lines, self._waiting = self._waiting, []
                folders, self._folders = self._folders, set()
                upto = self._queued
            try:
                self._write(b"".join(lines), folders)
            except OSError:  # a full disk: what is half there goes, and waits for the next flush
                with self._lock:
                    self._waiting[:0] = lines
                    self._folders |= folders
                raise
            self._flushed = upto

    def _write(self, data: bytes, folders: set[Path]) -> None:
        assert self._fd is not None, "a record after the end of the ledger"
        for folder in folders:
            sync_folder(folder)
        try:
            _write_all(self._fd, data)
            os.fsync(self._fd)
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise
        self._size += len(data)


def _slim(sample: Sample) -> dict[str, Any]:
    values = ((name, getattr(sample, name)) for name in SAMPLE_FIELDS)
    return {name: value for name, value in values if value is not None and value != ()}


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
