"""Which tables does a run leave behind, and how do they all appear whole?

manifest.parquet  manifest.csv   every sample asked for
failures.csv                     prompt rows without a picture, to run again; only a header when none lacks
metadata.parquet  README.md      the pictures as a dataset
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from types import TracebackType
from typing import Self

import pyarrow as pa

from imagen_batch.card import CARD, Card, may_write_card
from imagen_batch.columns import schema, to_batch
from imagen_batch.failures import Failures
from imagen_batch.manifest import Manifest, manifest_columns
from imagen_batch.metadata import Metadata
from imagen_batch.records import Entry
from imagen_batch.storage import Storage, written_text

_PARTS = 20  # of a batch: few entries at a time stay in the processor's cache
_BATCH_BYTES = 32 * 2**20  # prompts may be long

TABLE_FILES = ("manifest.parquet", "manifest.csv", "failures.csv", "metadata.parquet", "summary.json", "summary.md")
"""What a run writes anew at its end, besides the dataset card."""


class Tables:
    """Takes entries in input order, in a `with` block.

    When that ends well every file is put in place; after an exception none has changed. Memory holds at most
    `batch_rows` rows, however many come, and as many that a thread is writing meanwhile.

    `columns` are the input's headers in order, `user_columns` those of them that only the user knows.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        user_columns: Sequence[str],
        columns: Sequence[str],
        provider: str,
        batch_rows: int = 10_000,
    ) -> None:
        self._storage = storage
        self._user_columns = tuple(user_columns)
        self._headers = tuple(columns)
        self._columns = manifest_columns(user_columns)
        self._card = Card(headers=user_columns, provider=provider)
        self._batch_rows = batch_rows
        self._part_rows = max(1, batch_rows // _PARTS)
        self._entries: list[Entry] = []
        self._parts: list[pa.RecordBatch] = []
        self._bytes = 0  # of the parts
        self._writing: Future[None] | None = None
        self._work = self._opened()

    def add(self, entry: Entry) -> None:
        """The next sample asked for."""
        self._entries.append(entry)
        if len(self._entries) >= self._part_rows:
            self._take()

    def __enter__(self) -> Self:
        self._work.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._work.__exit__(kind, error, trace)

    @contextmanager
    def _opened(self) -> Iterator[None]:
        storage, table = self._storage, schema(self._columns)
        with (
            storage.write("manifest.parquet") as manifest_parquet,
            storage.write("manifest.csv") as manifest_csv,
            storage.write("metadata.parquet") as metadata_parquet,
            written_text(storage, "failures.csv") as failures_csv,
            closing(Manifest(manifest_parquet, manifest_csv, table=table)) as self._manifest,
            closing(Metadata(metadata_parquet, manifest=table, headers=self._user_columns)) as self._metadata,
            closing(Failures(failures_csv, headers=self._headers)) as self._failures,
            ThreadPoolExecutor(1, thread_name_prefix="tables") as self._thread,
        ):
            yield
            self._take()
            self._pass_on()
            self._wait()
        self._write_card()

    def _take(self) -> None:
        """Turn the entries at hand into columns."""
        entries, self._entries = self._entries, []
        self._failures.write(entries)
        self._card.count(entries)
        part = to_batch(entries, self._columns)
        self._parts.append(part)
        self._bytes += part.nbytes
        full = sum(part.num_rows for part in self._parts) + self._part_rows > self._batch_rows
        if full or self._bytes > _BATCH_BYTES:
            self._pass_on()

    def _pass_on(self) -> None:
        """Hand the columns over to the thread."""
        parts, self._parts, self._bytes = self._parts, [], 0
        self._wait()
        self._writing = self._thread.submit(self._write, parts)

    def _write(self, parts: Sequence[pa.RecordBatch]) -> None:
        """Runs in the thread. Arrow holds no lock on Python meanwhile: the next rows are made on another core."""
        batch = pa.concat_batches(parts)
        if batch.num_rows:
            self._manifest.write(batch)
            self._metadata.write(batch)

    def _wait(self) -> None:
        """Until what was handed over is written; raises what went wrong there."""
        if self._writing is not None:
            self._writing.result()

    def _write_card(self) -> None:
        if may_write_card(self._storage):
            with written_text(self._storage, CARD) as card:
                card.write(self._card.text())
