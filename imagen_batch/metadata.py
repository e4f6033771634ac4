"""Which pictures does a dataset hold, and with which prompts?

The rules of the usual image folder loader that shape this table: the file has this very name, paths stand in
`file_name` and are relative to it, rows come from here and not from the disk, and types are fixed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import BinaryIO

import pyarrow.parquet as pq

from imagen_batch.columns import (
    TEXT,
    TRUTH,
    WHOLE,
    Column,
    column,
    schema,
    to_batch,
    user_columns,
    values,
)
from imagen_batch.records import Entry


class Metadata:
    """Writes a row for each picture. The caller owns the handle."""

    def __init__(self, parquet: BinaryIO, *, headers: Sequence[str]) -> None:
        self._columns = metadata_columns(headers)
        self._parquet = pq.ParquetWriter(parquet, schema(self._columns), compression="zstd")

    def write(self, entries: Sequence[Entry]) -> None:
        """Add a batch; samples without a picture are left out."""
        pictures = [entry for entry in entries if entry.sample.status == "ok"]
        if pictures:
            self._parquet.write_batch(to_batch(values(pictures, self._columns), self._columns))

    def close(self) -> None:
        """Finish the file; its handle stays open."""
        self._parquet.close()


def metadata_columns(headers: Sequence[str]) -> tuple[Column, ...]:
    """The dataset's own columns and the user's."""
    taken = (_LOADED_AS, *(column.name for column in _OWN))
    return _OWN + user_columns(headers, taken=taken, named=_harmless)


def _harmless(header: str) -> str:
    """The loader would open a column `cover_file_name` as pictures: it becomes `cover_filename`."""
    return _NAMES_FILES.sub(r"\1filename\2", header)


_LOADED_AS = "image"  # what the loader makes of `file_name`
_NAMES_FILES = re.compile(r"(^|_)file_name(s?)$")

_OWN = (
    column("file_name", TEXT, "sample.file"),
    column("prompt", TEXT, "entry.prompt"),
    column("id", TEXT, "row.id"),
    column("row", WHOLE, "row.row"),
    column("sample", WHOLE, "sample.number"),
    column("model", TEXT, "entry.model"),
    column("provider", TEXT, "entry.provider"),
    column("width", WHOLE, "sample.width"),
    column("height", WHOLE, "sample.height"),
    column("seed", WHOLE, "options.seed"),
    column("aspect_ratio", TEXT, "options.aspect_ratio"),
    column("image_size", TEXT, "options.image_size"),
    column("negative_prompt", TEXT, "options.negative_prompt"),
    column("mimeType", TEXT, "sample.mime_type"),
    column("sha256", TEXT, "sample.sha256"),
    column("c2pa", TRUTH, "sample.c2pa"),
)
