"""Which pictures does a dataset hold, and with which prompts?

The rules of the usual image folder loader that shape this table: the file has this very name, paths stand in
`file_name` and are relative to it, rows come from here and not from the disk, and types are fixed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import BufferedIOBase
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imagen_batch.columns import user_columns


class Metadata:
    """Writes a row for each picture, of what the manifest holds. The caller owns the handle.

    `manifest` is the manifest's schema; the columns that belong to the user's `headers` stand at its end.
    """

    def __init__(self, parquet: BinaryIO | BufferedIOBase, *, manifest: pa.Schema, headers: Sequence[str]) -> None:
        places = [manifest.names.index(name) for name in _OWN.values()]
        self._places = [*places, *range(len(manifest) - len(headers), len(manifest))]
        types = [manifest.types[place] for place in self._places]
        self._schema = pa.schema(zip(metadata_names(headers), types, strict=True))
        self._parquet = pq.ParquetWriter(parquet, self._schema, compression="zstd")

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows of the manifest; samples without a picture are left out."""
        made = pc.equal(batch.column("status"), "ok")
        columns = [batch.column(place).filter(made) for place in self._places]
        pictures = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        if pictures.num_rows:
            self._parquet.write_batch(pictures)

    def close(self) -> None:
        """Finish the file; its handle stays open."""
        self._parquet.close()


def metadata_names(headers: Sequence[str]) -> tuple[str, ...]:
    """The dataset's own columns and the user's."""
    own = user_columns(headers, taken=(_LOADED_AS, *_OWN), named=_harmless)
    return (*_OWN, *(column.name for column in own))


def _harmless(header: str) -> str:
    """The loader would open a column `cover_file_name` as pictures: it becomes `cover_filename`."""
    return _NAMES_FILES.sub(r"\1filename\2", header)


_LOADED_AS = "image"  # what the loader makes of `file_name`
_NAMES_FILES = re.compile(r"(^|_)file_name(s?)$")

# What a column is called here, and in the manifest.
_OWN = {
    "file_name": "file",
    "prompt": "prompt",
    "id": "id",
    "row": "row",
    "sample": "sample",
    "model": "model",
    "provider": "provider",
    "width": "width",
    "height": "height",
    "seed": "seed",
    "aspect_ratio": "aspect_ratio",
    "image_size": "image_size",
    "negative_prompt": "negative_prompt",
    "mimeType": "mimeType",
    "sha256": "sha256",
    "c2pa": "c2pa",
}
