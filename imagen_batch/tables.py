"""Which tables does a run leave behind, and how do they all appear whole?

manifest.parquet  manifest.csv   every sample asked for
failures.csv                     prompt rows without a picture, to run again; only a header when none lacks
metadata.parquet  README.md      the pictures as a dataset
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from types import TracebackType
from typing import Self

from imagen_batch.card import CARD, Card, may_write_card
from imagen_batch.failures import Failures
from imagen_batch.manifest import Manifest
from imagen_batch.metadata import Metadata
from imagen_batch.records import Entry
from imagen_batch.storage import Storage, written_text

TABLE_FILES = ("manifest.parquet", "manifest.csv", "failures.csv", "metadata.parquet", "summary.json", "summary.md")
"""What a run writes anew at its end, besides the dataset card."""


class Tables:
    """Takes entries in input order, in a `with` block.

    When that ends well every file is put in place; after an exception none has changed. Memory holds
    `batch_rows` entries, however many come.

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
        self._columns = tuple(columns)
        self._card = Card(headers=user_columns, provider=provider)
        self._batch_rows = batch_rows
        self._batch: list[Entry] = []
        self._takers: tuple[Callable[[Sequence[Entry]], None], ...] = ()
        self._work = self._opened()

    def add(self, entry: Entry) -> None:
        """The next sample asked for."""
        self._batch.append(entry)
        if len(self._batch) >= self._batch_rows:
            self._pass_on()

    def __enter__(self) -> Self:
        self._work.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._work.__exit__(kind, error, trace)

    @contextmanager
    def _opened(self) -> Iterator[None]:
        storage, headers = self._storage, self._user_columns
        with (
            storage.write("manifest.parquet") as manifest_parquet,
            written_text(storage, "manifest.csv") as manifest_csv,
            storage.write("metadata.parquet") as metadata_parquet,
            written_text(storage, "failures.csv") as failures_csv,
            closing(Manifest(manifest_parquet, manifest_csv, headers=headers)) as manifest,
            closing(Metadata(metadata_parquet, headers=headers)) as metadata,
            closing(Failures(failures_csv, headers=self._columns)) as failures,
        ):
            self._takers = (manifest.write, metadata.write, failures.write, self._card.count)
            yield
            self._pass_on()
        self._write_card()

    def _pass_on(self) -> None:
        batch, self._batch = self._batch, []
        for take in self._takers:
            take(batch)

    def _write_card(self) -> None:
        if may_write_card(self._storage):
            with written_text(self._storage, CARD) as card:
                card.write(self._card.text())
