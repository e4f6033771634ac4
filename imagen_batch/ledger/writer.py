"""What was sent, and what came back? The only truth about money.

JSON lines in `.imagen-batch/ledger/`, one log per writer, append only:

    kept   images that stand for samples of rows whose text was edited since
    sent   before an attempt: which samples, at what worst-case price
    back   the attempt brought no result; whether it may have been charged
    done   the result for each sample, written when its pictures are on disk
    skip   a damaged line of the ledger that readers pass over

A record counts once it is stored. A torn last line is ignored. A `sent` that nothing answers is unknown: it
may have been charged.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from typing import Any, Protocol

import orjson

from imagen_batch.records import ImageRequest, RequestTrace, SampleResult
from imagen_batch.storage import LEDGER, Storage

SAMPLE_FIELDS = tuple(field.name for field in fields(SampleResult))


class Asked(Protocol):
    """What a result is recorded for: a request, or an attempt found open in the ledger."""

    @property
    def key(self) -> str: ...
    @property
    def base(self) -> str: ...


class LedgerWriter:
    """Appends records to a log of its own. Threads that append together share one flush."""

    def __init__(self, storage: Storage, *, now: float, below: str = LEDGER) -> None:
        # Read back in the order of their names: a later writer's word about a sample comes last.
        self.name = f"{below}/{now:015.3f}-{uuid.uuid4().hex[:8]}.jsonl"
        self._storage = storage
        self._log = storage.log(self.name)
        self._closed = False
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._waiting: list[bytes] = []
        self._files: set[str] = set()
        self._queued = 0
        self._flushed = 0

    def claim(self, run: str, shard: int) -> None:
        """This writer makes a shard. Told first, so that whoever made it before finds out."""
        self._append({"t": "claim", "run": run, "shard": shard})

    def sent(self, request: ImageRequest, *, attempt: int, at: float, provider: str | None = None) -> None:
        """An attempt is about to start. Stored when this returns. `provider` tells whose money it is."""
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
                **({} if provider is None else {"provider": provider}),
            }
        )

    def back(self, request: ImageRequest, *, attempt: int, at: float, facts: Mapping[str, object]) -> None:
        """An attempt ended without a result. Not waited for: were it lost, the attempt counts as unknown."""
        record = {"t": "back", "key": request.key, "attempt": attempt, "at": at, **facts}
        self._append(record, wait=False)

    def done(
        self,
        request: Asked,
        samples: tuple[SampleResult, ...],
        trace: RequestTrace,
        *,
        maybe_usd: float = 0.0,
    ) -> None:
        """The result of a request. Stored when this returns, and after the names of its pictures.

        `maybe_usd` is what may have been charged beyond the samples.
        """
        record = _done(request, samples, trace, maybe_usd)
        self._append(record, files=[sample.file for sample in samples if sample.file])

    def recovered(
        self,
        request: Asked,
        samples: tuple[SampleResult, ...],
        trace: RequestTrace,
        *,
        maybe_usd: float = 0.0,
    ) -> None:
        """The same for images that were found in the folder. Stored by the next flush."""
        record = _done(request, samples, trace, maybe_usd) | {"recovered": True}
        self._append(record, wait=False, files=[sample.file for sample in samples if sample.file])

    def skip(self, record: Mapping[str, object]) -> None:
        """A damaged line that readers pass over from now on; see `ledger_reader.skip_record`."""
        self._append(dict(record))

    def kept(self, moves: Sequence[Mapping[str, object]], *, at: float) -> None:
        """What is known of some samples holds for others from now on: their rows were edited. See `kept.py`."""
        self._append({"t": "kept", "at": at, "moves": list(moves)})

    def flush(self) -> None:
        """Store everything that waits."""
        with self._lock:
            upto = self._queued
        self._flush(upto)

    def close(self) -> None:
        """Flush what waits and close the log. Closing twice does nothing.

        What a full disk does not take any more is not told: those attempts count as unknown.
        """
        if self._closed:
            return
        with suppress(OSError):
            self.flush()
        with self._flushing, suppress(OSError):
            self._closed = True
            self._log.close()

    def _append(self, record: dict[str, Any], *, wait: bool = True, files: Iterable[str] = ()) -> None:
        line = orjson.dumps(record) + b"\n"
        with self._lock:
            self._waiting.append(line)
            self._files.update(files)
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
                files, self._files = self._files, set()
                upto = self._queued
            try:
                self._storage.sync(files)
                self._log.append(b"".join(lines))
            except OSError:  # a full disk: nothing of it counts, and it waits for the next flush
                with self._lock:
                    self._waiting[:0] = lines
                    self._files |= files
                raise
            self._flushed = upto


def _done(request: Asked, samples: tuple[SampleResult, ...], trace: RequestTrace, maybe_usd: float) -> dict[str, Any]:
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
    return record | ({"maybe_usd": maybe_usd} if maybe_usd else {})


def _slim(sample: SampleResult) -> dict[str, Any]:
    values = ((name, getattr(sample, name)) for name in SAMPLE_FIELDS)
    return {name: value for name, value in values if value is not None and value != ()}
