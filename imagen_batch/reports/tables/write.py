"""Writes a run's tables, each of them completely or not at all.

manifest.parquet  manifest.csv   every requested sample
failures.csv                     prompt rows with missing images, to run again; only a header when there are none
metadata.parquet  README.md      the images as a dataset
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import PurePosixPath
from types import TracebackType
from typing import Self

import pyarrow as pa

from imagen_batch.prompts.infer_column_types import ColumnType
from imagen_batch.records import ManifestRow
from imagen_batch.reports.image_blocks.block import Block
from imagen_batch.reports.tables.arrow_columns import Column, schema, to_batch
from imagen_batch.reports.tables.columns.typed_user_columns import typed_schema, with_types
from imagen_batch.reports.tables.dataset import DatasetCard, Metadata, may_write_card, metadata_schema
from imagen_batch.reports.tables.failures import Failures
from imagen_batch.reports.tables.manifest import Manifest, manifest_columns
from imagen_batch.reports.tables.names_of_replaced_files import CARD
from imagen_batch.reports.tables.write_without_raising import (
    TableFile,
    UnwrittenFile,
    alternate_name,
    can_use_alternate,
    describe_error,
    remove_alternates,
)
from imagen_batch.storage import Storage

_PARTS = 20  # per batch: few rows at a time stay in the processor's cache
_BATCH_BYTES = 32 * 2**20  # prompts may be long

_STREAMED = ("manifest.parquet", "manifest.csv", "metadata.parquet", "failures.csv")


class TableWriter:
    """Writes all tables from rows in input order, in a `with` block.

    When the block ends normally every file is put in place; after an exception none has changed. A file that can't
    be written is listed in `unwritten` and does not affect the others. Memory holds at most `batch_rows` rows, and as
    many again that a thread is writing.

    With `targets` only these files are written, each under the name that is given for it.

    `columns` are the input's headers in order, `user_columns` those of them that have no meaning to us, with their
    types in Parquet; without types they are text.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        user_columns: Sequence[str] | Mapping[str, ColumnType],
        columns: Sequence[str],
        provider: str,
        batch_rows: int = 10_000,
        targets: Mapping[str, str] | None = None,
    ) -> None:
        self._storage = storage
        self._user_columns = tuple(user_columns)
        self._headers = tuple(columns)
        self._columns = manifest_columns(self._user_columns)
        types = list(user_columns.values()) if isinstance(user_columns, Mapping) else []
        self._table = typed_schema(schema(self._columns), types)
        self._card = DatasetCard(
            name=PurePosixPath(storage.location).name,
            columns=metadata_schema(self._table, self._user_columns),
            headers=self._user_columns,
            provider=provider,
        )
        self._batch_rows = batch_rows
        self._part_rows = max(1, batch_rows // _PARTS)
        self._entries: list[ManifestRow] = []
        self._parts: list[pa.RecordBatch] = []
        self._rest: pa.RecordBatch | None = None  # of the last block: fewer rows than a part
        self._bytes = 0  # of the parts
        self._writing: Future[None] | None = None
        self._targets = targets
        self._files: dict[str, TableFile] = {}
        self._work = self._open_files()

    def add(self, entry: ManifestRow) -> None:
        """Add the next sample."""
        self._entries.append(entry)
        if len(self._entries) >= self._part_rows:
            self._flush_part()

    def add_block(self, block: Block) -> None:
        """Add the next samples, whose columns are those of `columns`."""
        if self._entries:
            self._flush_part()
        entries = list(block.entries.values())
        self._failures.write(entries)
        self._card.add(entries)
        self._card.add_images(block.images)
        batch = block.batch if self._rest is None else pa.concat_batches([self._rest, block.batch])
        whole = batch.num_rows - batch.num_rows % self._part_rows
        for begin in range(0, whole, self._part_rows):
            self._add_part(batch.slice(begin, self._part_rows))
        self._rest = batch.slice(whole) if whole < batch.num_rows else None

    @property
    def columns(self) -> Sequence[Column]:
        """The manifest's columns."""
        return self._columns

    @property
    def unwritten(self) -> tuple[UnwrittenFile, ...]:
        """The files that could not be written, after the block has ended."""
        return tuple(
            UnwrittenFile(file.name, describe_error(file.error), error_number=file.error.errno)
            for file in self._files.values()
            if file.error is not None
        )

    @property
    def further_attempts(self) -> list[dict[str, str]]:
        """The `targets` of further attempts that may help: other names, and on a full disk one file at a time."""
        failed = [(file.name, file.error) for file in self._files.values() if file.error is not None]
        renamed = {name: alternate_name(name) for name, error in failed if can_use_alternate(error)}
        return [*([renamed] if renamed else []), *({name: name} for name, _ in failed if name not in renamed)]

    def __enter__(self) -> Self:
        self._work.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._work.__exit__(kind, error, trace)

    @contextmanager
    def _open_files(self) -> Iterator[None]:
        self._files = {name: self._file(name) for name in _STREAMED}
        files = self._files
        try:
            with (
                closing(
                    Manifest(
                        files["manifest.parquet"],
                        files["manifest.csv"],
                        table=self._table,
                        text=schema(self._columns),
                    )
                ) as self._manifest,
                closing(
                    Metadata(files["metadata.parquet"], manifest=self._table, headers=self._user_columns)
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
        if self._targets is None:
            remove_alternates(self._storage, (file.name for file in files.values() if file.error is None))

    def _file(self, name: str) -> TableFile:
        if self._targets is None:
            return TableFile(self._storage, name)
        target = self._targets.get(name)
        return TableFile(self._storage, name, target=target) if target else _NullFile(name)

    def _flush_part(self) -> None:
        """Turn the collected rows into columns."""
        if self._rest is not None:
            rest, self._rest = self._rest, None
            self._add_part(rest)
        entries, self._entries = self._entries, []
        self._failures.write(entries)
        self._card.add(entries)
        self._add_part(to_batch(entries, self._columns))

    def _add_part(self, part: pa.RecordBatch) -> None:
        self._parts.append(part)
        self._bytes += part.nbytes
        full = sum(part.num_rows for part in self._parts) + self._part_rows > self._batch_rows
        if full or self._bytes > _BATCH_BYTES:
            self._write_async()

    def _write_async(self) -> None:
        """Hand the collected columns over to the thread."""
        parts, self._parts, self._bytes = self._parts, [], 0
        self._wait()
        self._writing = self._thread.submit(self._write, parts)

    def _write(self, parts: Sequence[pa.RecordBatch]) -> None:
        """Write columns, in the thread. Arrow releases the GIL, so the next rows are built on another core."""
        batch = pa.concat_batches(parts)
        if batch.num_rows:
            typed = with_types(batch, self._table)
            self._manifest.write(batch, typed)
            self._metadata.write(typed)

    def _wait(self) -> None:
        """Wait for the thread; raises an exception that writing raised."""
        if self._writing is not None:
            self._writing.result()

    def _write_card(self) -> None:
        """Write the dataset card, unless README.md is somebody else's."""
        if self._targets is not None and CARD not in self._targets:
            return
        try:
            if self._targets is None and not may_write_card(self._storage):
                return
        except OSError as error:
            self._files[CARD] = _NullFile(CARD, error)
            return
        self._files[CARD] = card = self._file(CARD)
        card.write(self._card.text().encode())


@contextmanager
def _text_into(file: TableFile) -> Iterator[io.TextIOWrapper]:
    """Yield a text handle on the file: UTF-8, line ends as they are given."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    try:
        yield text
    finally:
        text.detach()


class _NullFile(TableFile):
    """Discards what is written to it."""

    def __init__(self, name: str, error: OSError | None = None) -> None:
        io.BufferedIOBase.__init__(self)
        self.name = self.target = name
        self.error = error
        self._size = 0
        self._handle = None

    def write(self, data: object) -> int:
        """Count the bytes of `data`."""
        size = memoryview(data).nbytes  # type: ignore[arg-type]
        self._size += size
        return size
