"""Writes Parquet shards with the images inside, as the Image feature of `datasets` reads them.

Without the `huggingface` entry of the schema's metadata the image column would load as a plain struct. Small row
groups let a viewer or a stream fetch a hundred images instead of a whole shard.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from imagen_batch.exports.formats.imagefolder import metadata_schema
from imagen_batch.exports.job import Job, describing_columns, metadata
from imagen_batch.exports.output.shards import Shards
from imagen_batch.exports.rows.manifest import RunImage

_ROW_GROUP = 100
_GROUP_BYTES = 64 * 2**20  # fewer images where they are large
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write(job: Job) -> None:
    """Write shards named `data/train-00000-of-00004.parquet`."""
    names = describing_columns(job.run)
    schema = parquet_schema(job.run.schema, names)
    shards = {split: Shards(job.target, f"data/{split}", ".parquet", job.options) for split in job.census.splits}
    writers = {split: _Writer(each, schema) for split, each in shards.items()}
    with ExitStack() as stack:
        for writer in writers.values():
            stack.callback(writer.close)
        for image in job.stream():
            writers[image.split].add(image, job.read(image), names)
    for each in shards.values():
        each.close(total=True)


def parquet_schema(manifest: pa.Schema, names: tuple[str, ...]) -> pa.Schema:
    """Return the image, then the named columns, with the features that `datasets` reads."""
    described = metadata_schema(manifest, names)
    fields = [pa.field("image", _IMAGE), *list(described)[1:]]
    features = {field.name: feature(field.type) for field in fields}
    about = json.dumps({"info": {"features": features}}, sort_keys=True)
    return pa.schema(fields, metadata={"huggingface": about})


def feature(type_: pa.DataType) -> dict[str, Any]:
    """Return a column's type as `datasets` describes it."""
    if type_ == _IMAGE:
        return {"_type": "Image"}
    if pa.types.is_struct(type_):
        return {field.name: feature(field.type) for field in type_}
    if pa.types.is_list(type_):
        return {"feature": feature(type_.value_type), "_type": "List"}
    names = {"double": "float64", "float": "float32", "halffloat": "float16"}
    written = str(type_).replace("date32[day]", "date32").replace("date64[ms]", "date64")
    return {"dtype": names.get(written, written), "_type": "Value"}


class _Writer:
    """Buffers rows until a row group is full."""

    def __init__(self, shards: Shards, schema: pa.Schema) -> None:
        self._shards = shards
        self._schema = schema
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self._parquet: pq.ParquetWriter | None = None

    def add(self, image: RunImage, data: bytes, names: tuple[str, ...]) -> None:
        """Add a row; start a new shard if the current one would become too large."""
        if self._shards.is_full(len(data)):
            self._finish()
        self._shards.count(len(data))
        values = ({"bytes": data, "path": image.stem + image.extension}, *metadata(image.row, names).values())
        self._rows.append(dict(zip(self._schema.names, values, strict=True)))
        self._bytes += len(data) + len(image.row["prompt"] or "")
        if len(self._rows) >= _ROW_GROUP or self._bytes >= _GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        """Write the remaining rows."""
        self._finish()

    def _flush(self) -> None:
        rows, self._rows, self._bytes = self._rows, [], 0
        if not rows:
            return
        if self._parquet is None:
            self._parquet = _open(self._shards.open(), self._schema)
        self._parquet.write_table(pa.Table.from_pylist(rows, schema=self._schema))

    def _finish(self) -> None:
        self._flush()
        if self._parquet is not None:
            self._parquet.close()
            self._parquet = None
        self._shards.finish()


def _open(handle: BinaryIO, schema: pa.Schema) -> pq.ParquetWriter:
    """Return a writer that does not compress images, which are encoded already."""
    leaves = _leaves(schema)
    codecs = dict.fromkeys(leaves, "zstd") | {"image.bytes": "none"}
    return pq.ParquetWriter(
        handle, schema, compression=codecs, use_dictionary=[leaf for leaf in leaves if leaf != "image.bytes"]
    )


def _leaves(schema: pa.Schema) -> list[str]:
    """Return the Parquet paths of all columns, including those inside structs and lists."""
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    with pq.ParquetFile(pa.BufferReader(sink.getvalue())) as file:
        return [file.schema.column(position).path for position in range(len(file.schema))]
