"""Writes the ledger: what was sent, and what came back. It is the only source of truth about money.

The ledger consists of JSON lines in `.imagen-batch/ledger/`, one append-only log per writer:

    claim     the writer works on a shard
    kept      images that stand for samples of rows whose text was edited since
    review    a person's decisions about versions of samples
    versions  further versions of samples that a run is going to make
    sent      an attempt is about to start: which samples, at what worst-case price
    back      the attempt brought no result, and whether it may have been charged
    done      the result of each sample, written when its image is on disk
    skip      a damaged line of the ledger that readers ignore

A record counts once it is stored. An incomplete last line is ignored. The outcome of a `sent` without a later `back`
or `done` is unknown: the attempt may have been charged.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from typing import Any, Protocol

import msgspec
import orjson

from imagen_batch.ledger.files import ledger_files, time_after
from imagen_batch.ledger.records import OrderedVersion, ReviewedVersion
from imagen_batch.records import ImageRequest, RequestTrace, SampleResult
from imagen_batch.storage import LEDGER, Storage

SAMPLE_FIELDS = tuple(field.name for field in fields(SampleResult))
TRACE_FACTS = ("model_version", "response_id", "prompt_tokens", "output_tokens", "run_id")


def open_writer(storage: Storage, *, below: str = LEDGER) -> LedgerWriter:
    """Start a log that is read after all that are below the same folder."""
    names = (path.name for path in ledger_files(storage.logs(below)))
    return LedgerWriter(storage, now=time_after(names, time.time()), below=below)


class ResultOwner(Protocol):
    """The owner of a result: a request, or an attempt found open in the ledger."""

    @property
    def key(self) -> str: ...
    @property
    def base(self) -> str: ...


class LedgerWriter:
    """Appends records to a log of its own. Threads that append at the same time share one flush."""

    def __init__(self, storage: Storage, *, now: float, below: str = LEDGER) -> None:
        # Logs are read in the order of their names, so that a later writer's result of a sample comes last.
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
        """Record that this writer works on a shard. Comes first, so that an earlier owner of the shard notices."""
        self._append({"t": "claim", "run": run, "shard": shard})

    def record_sent(self, request: ImageRequest, *, attempt: int, at: float, provider: str | None = None) -> None:
        """Record that an attempt is about to start. Stored when this returns. `provider` is the one that charges."""
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

    def record_ended(self, request: ImageRequest, *, attempt: int, at: float, facts: Mapping[str, object]) -> None:
        """Record that an attempt ended without a result. Stored by the next flush; if lost, it counts as unknown."""
        record = {"t": "back", "key": request.key, "attempt": attempt, "at": at, **facts}
        self._append(record, wait=False)

    def record_result(
        self,
        request: ResultOwner,
        samples: tuple[SampleResult, ...],
        trace: RequestTrace,
        *,
        maybe_usd: float = 0.0,
        recovered: bool = False,
    ) -> None:
        """Record the result of a request. Stored when this returns, after the directory entries of its images.

        `maybe_usd` is what may have been charged beyond the samples. A `recovered` result, whose images were found in
        the folder, is stored by the next flush.
        """
        record = _done_record(request, samples, trace, maybe_usd)
        if recovered:
            record["recovered"] = True
        self._append(record, wait=not recovered, files=[sample.file for sample in samples if sample.file])

    def record_skip(self, record: Mapping[str, object]) -> None:
        """Record a damaged line that readers ignore from now on; see `damage.skip_record`."""
        self._append(dict(record))

    def record_moves(self, moves: Sequence[Mapping[str, object]], *, at: float) -> None:
        """Record that results of some samples hold for others from now on, because rows were edited."""
        self._append({"t": "kept", "at": at, "moves": list(moves)})

    def record_review(self, decisions: Sequence[ReviewedVersion], *, at: float) -> None:
        """Record a person's decisions, all of them or none."""
        self._append({"t": "review", "at": at, "decisions": [_struct_fields(record) for record in decisions]})

    def record_versions(self, versions: Sequence[OrderedVersion], *, at: float) -> None:
        """Record further versions that are about to be requested, so that a later run continues the same ones."""
        self._append({"t": "versions", "at": at, "versions": [_struct_fields(record) for record in versions]})

    def flush(self) -> None:
        """Store all records that are waiting."""
        with self._lock:
            last = self._queued
        self._flush(last)

    def close(self) -> None:
        """Flush and close the log. Closing twice does nothing.

        Records that a full disk does not take are lost without an error: their attempts count as unknown.
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
            position = self._queued
        if wait:
            self._flush(position)

    def _flush(self, position: int) -> None:
        # The first thread writes for all; the others find their records on disk.
        with self._flushing:
            if self._flushed >= position:
                return
            with self._lock:
                lines, self._waiting = self._waiting, []
                files, self._files = self._files, set()
                last = self._queued
            try:
                self._storage.sync(files)
                self._log.append(b"".join(lines))
            except OSError:  # the disk is full: nothing of this counts, all of it waits for the next flush
                with self._lock:
                    self._waiting[:0] = lines
                    self._files |= files
                raise
            self._flushed = last


def _done_record(
    request: ResultOwner, samples: tuple[SampleResult, ...], trace: RequestTrace, maybe_usd: float
) -> dict[str, Any]:
    record = {
        "t": "done",
        "key": request.key,
        "base": request.base,
        "attempt": trace.attempts,
        "status": trace.http_status,
        "latency": trace.latency_s,
        "sent_at": trace.sent_at,
        "at": trace.finished_at,
        "samples": [_without_defaults(sample) for sample in samples],
    }
    facts = {name: value for name in TRACE_FACTS if (value := getattr(trace, name)) is not None}
    return record | facts | ({"maybe_usd": maybe_usd} if maybe_usd else {})


def _struct_fields(record: ReviewedVersion | OrderedVersion) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(record).items() if value is not None}


def _without_defaults(sample: SampleResult) -> dict[str, Any]:
    values = ((name, getattr(sample, name)) for name in SAMPLE_FIELDS)
    return {name: value for name, value in values if value is not None and value != ()}
