"""Writes `images.csv`: one row an image, every column of the manifest, every text in quotes."""

from __future__ import annotations

from contextlib import closing

import pyarrow as pa

from imagen_batch.exports.job import Job
from imagen_batch.exports.output.left_out_rows import RowWriter


def write(job: Job) -> None:
    """Write the table; a `split` column is added if the manifest has none."""
    schema = job.run.schema
    if "split" not in schema.names:
        schema = schema.append(pa.field("split", pa.string()))
    with (
        job.target.write("images.csv") as handle,
        closing(RowWriter(handle, schema, kind="csv", safe=job.options.excel_safe)) as table,
    ):
        for image in job.stream():
            table.write({"split": image.split, **image.row})
