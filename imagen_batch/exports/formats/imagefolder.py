"""Writes one folder a split: images in numbered folders of at most 10,000, and `metadata.parquet`.

A folder named after its split is the only layout in which the loader recognizes splits whatever the file names are.
"""

from __future__ import annotations

import re
from contextlib import ExitStack, closing

import pyarrow as pa

from imagen_batch.exports.job import FOLDER_FILES, Job, describing_columns, metadata, numbered_folder
from imagen_batch.exports.output.left_out_rows import RowWriter
from imagen_batch.exports.rows.manifest import RunImage

_NAMES_FILES = re.compile(r"(^|_)file_name(s?)$")


def write(job: Job) -> None:
    """Link or copy each image and write its row."""
    names = describing_columns(job.run)
    schema = metadata_schema(job.run.schema, names)
    counts: dict[str, int] = {}
    with ExitStack() as stack:
        tables: dict[str, RowWriter] = {}
        for split in job.census.splits:
            handle = stack.enter_context(job.target.write(f"{split}/metadata.parquet"))
            tables[split] = stack.enter_context(closing(RowWriter(handle, schema, kind="parquet")))
        for image in job.stream():
            name = image_name(image, counts.get(image.split, 0))
            counts[image.split] = counts.get(image.split, 0) + 1
            job.add(image, f"{image.split}/{name}")
            values = (name, *metadata(image.row, names).values())
            tables[image.split].write(dict(zip(schema.names, values, strict=True)))


def image_name(image: RunImage, position: int) -> str:
    """Return the name below the folder of the split; `position` counts from 0 within the split."""
    return f"{numbered_folder(position, per_folder=FOLDER_FILES)}/{image.stem}{image.extension}"


def metadata_schema(manifest: pa.Schema, names: tuple[str, ...]) -> pa.Schema:
    """Return `file_name` and the named columns of the manifest, under names that the loader does not interpret."""
    fields, taken = [pa.field("file_name", pa.string())], {"file_name", "image"}
    for name in names:
        harmless = _NAMES_FILES.sub(r"\1filename\2", name)
        while harmless in taken:
            harmless = f"input_{harmless}"
        taken.add(harmless)
        fields.append(manifest.field(name).with_name(harmless))
    return pa.schema(fields)
