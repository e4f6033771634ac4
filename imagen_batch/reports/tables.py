"""Which tables does a run leave behind, and how do they all appear whole?

manifest.parquet  manifest.csv   every sample asked for
failures.csv                     prompt rows without a picture, to run again; only a header when none lacks
metadata.parquet  README.md      the pictures as a dataset
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from types import TracebackType
from typing import Self

import pyarrow as pa

from imagen_batch.records import ManifestRow
from imagen_batch.reports.columns import schema, to_batch
from imagen_batch.reports.dataset import CARD, Card, Metadata, may_write_card
from imagen_batch.reports.failures import Failures
from imagen_batch.reports.manifest import Manifest, manifest_columns
from imagen_batch.reports.table_file import TableFile, Unwritten, beside, clear_beside, reason, worth_a_place_beside
from imagen_batch.storage import Storage

_PARTS = 20  # of a batch: few entries at a time stay in the processor's cache
_BATCH_BYTES = 32 * 2**20  # prompts may be long

TABLE_FILES = ("manifest.parquet", "manifest.csv", "failures.csv", "metadata.parquet", "summary.json", "summary.md")
"""What a run writes anew at its end, besides the dataset card."""

_STREAMED = ("manifest.parquet", "manifest.csv", "metadata.parquet", "failures.csv")


class TableWriter:
    """Takes entries in input order, in a `with` block.

    When that ends well every file is put in place; after an exception none has changed. A file that can't be written
    ends nothing: it stands in `unwritten`, and the others are there. Memory holds at most `batch_rows` rows,
    however many come, and as many that a thread is writing meanwhile.

    `again`: only these files, each under the name that it stands for.

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
        again: Mapping[str, str] | None = None,
    ) -> None:
        self._storage = storage
        self._user_columns = tuple(user_columns)
        self._headers = tuple(columns)
        self._columns = manifest_columns(user_columns)
        self._card = Card(headers=user_columns, provider=provider)
        self._batch_rows = batch_rows
        self._part_rows = max(1, batch_rows // _PARTS)
        self._entries: list[ManifestRow] = []
        self._parts: list[pa.RecordBatch] = []
        self._bytes = 0  # of the parts
        self._writing: Future[None] | None = None
        self._again = again
        self._files: dict[str, TableFile] = {}
        self._work = self._opened()

    def add(self, entry: ManifestRow) -> None:
        """The next sample asked for."""
        self._entries.append(entry)
        if len(self._entries) >= self._part_rows:
            self._flush_part()

    @property
    def unwritten(self) -> tuple[Unwritten, ...]:
        """The files that are not in their places, after the block has ended."""
        failed = ((file.name, file.error) for file in self._files.values())
        return tuple(
            Unwritten(name, reason(error), error_number=error.errno) for name, error in failed if error is not None
        )

    @property
    def further_tries(self) -> list[dict[str, str]]:
        """What may help, one after the other, as `again` wants it: other names, and one file alone on a full disk."""
        failed = [(file.name, file.error) for file in self._files.values() if file.error is not None]
        others = {name: beside(name) for name, error in failed if worth_a_place_beside(error)}
        return [*([others] if others else []), *({name: name} for name, _ in failed if name not in others)]

    def __enter__(self) -> Self:
        self._work.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._work.__exit__(kind, error, trace)

    @contextmanager
    def _opened(self) -> Iterator[None]:
        table = schema(self._columns)
        self._files = {name: self._file(name) for name in _STREAMED}
        files = self._files
        try:
            with (
                closing(Manifest(files["manifest.parquet"], files["manifest.csv"], table=table)) as self._manifest,
                closing(
                    Metadata(files["metadata.parquet"], manifest=table, headers=self._user_columns)
                ) as self._metadata,
                _text_into(files["failures.csv"]) as text,
                closing(Failures(text, headers=self._headers)) as self._failures,
                ThreadPoolExecutor(1, thread_name_prefix="tables") as self._thread,
            ):
                yield
                self._flush_part()
                self._write_async()
                self._wait()
        except BaseException as error:
            for file in files.values():
                file.abandon(error)
            raise
        self._write_card()
        for file in files.values():
            file.finish()
        if self._again is None:
            clear_beside(self._storage, (file.name for file in files.values() if file.error is None))

    def _file(self, name: str) -> TableFile:
        if self._again is None:
            return TableFile(self._storage, name)
        target = self._again.get(name)
        return TableFile(self._storage, name, target=target) if target else _Nowhere(name)

    def _flush_part(self) -> None:
        """Turn the entries at hand into columns."""
        entries, self._entries = self._entries, []
        self._failures.write(entries)
        self._card.count(entries)
        part = to_batch(entries, self._columns)
        self._parts.append(part)
        self._bytes += part.nbytes
        full = sum(part.num_rows for part in self._parts) + self._part_rows > self._batch_rows
        if full or self._bytes > _BATCH_BYTES:
            self._write_async()

    def _write_async(self) -> None:
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
        """Somebody else's card stays."""
        if self._again is not None and CARD not in self._again:
            return
        try:
            if self._again is None and not may_write_card(self._storage):
                return
        except OSError as error:
            self._files[CARD] = _Nowhere(CARD, error)
            return
        self._files[CARD] = card = self._file(CARD)
        card.write(self._card.text().encode())


@contextmanager
def _text_into(file: TableFile) -> Iterator[io.TextIOWrapper]:
    """UTF-8 text; line ends are written as they are given."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    try:
        yield text
    finally:
        text.detach()


class _Nowhere(TableFile):
    """Takes bytes and forgets them."""

    def __init__(self, name: str, error: OSError | None = None) -> None:
        io.BufferedIOBase.__init__(self)
        self.name = self.target = name
        self.error = error
        self._size = 0
        self._handle = None

    def write(self, data: object) -> int:
        """Count it, no more."""
        size = memoryview(data).nbytes  # type: ignore[arg-type]
        self._size += size
        return size
