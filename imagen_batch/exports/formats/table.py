"""Writes `images.csv`: one row an image, every column of the manifest, every text in quotes."""

from __future__ import annotations

from contextlib import closing

import pyarrow as pa

from imagen_batch.exports.job import Job
from imagen_batch.exports.output.left_out_rows import RowWriter


def write(job: Job) -> None:
    """Write the table. Its column `split` is the user's, unless there is none or an option chose the splits."""
    chosen = bool(job.options.split or job.options.split_column)
    schema = job.run.schema
    if "split" not in schema.names:
        schema = schema.append(pa.field("split", pa.string()))
    with (
        job.target.write("images.csv") as handle,
        closing(RowWriter(handle, schema, kind="csv", safe=job.options.excel_safe)) as table,
    ):
        for image in job.stream():
            split = {"split": image.split}
            table.write({**image.row, **split} if chosen else {**split, **image.row})
