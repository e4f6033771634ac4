"""Writes `images.csv`: one row an image, every column of the manifest, every text in quotes."""

from __future__ import annotations

from contextlib import closing

import pyarrow as pa

from imagen_batch.exports.job import Job
from imagen_batch.exports.output.left_out_rows import RowWriter
from imagen_batch.exports.rows.manifest import rename_clashing

_SPLIT = "split"


def write(job: Job) -> None:
    """Write the table. Its column `split` is the user's, unless there is none or an option chose the splits.

    In that case the user's own column follows as `input_split`.
    """
    schema = job.run.schema
    adds_split = job.options.chooses_splits or _SPLIT not in map(str.lower, schema.names)
    names = rename_clashing(schema.names, [_SPLIT] if adds_split else [])
    schema = pa.schema([field.with_name(names[field.name]) for field in schema])
    if adds_split:
        schema = schema.append(pa.field(_SPLIT, pa.string()))
    with (
        job.target.write("images.csv") as handle,
        closing(RowWriter(handle, schema, kind="csv", safe=job.options.excel_safe)) as table,
    ):
        for image in job.stream():
            row = {names[name]: cell for name, cell in image.row.items()}
            table.write({**row, _SPLIT: image.split} if adds_split else row)
