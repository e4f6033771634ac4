"""Writes COCO captions: `annotations/captions_SPLIT.json` and the images in a folder for each split."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from contextlib import ExitStack
from typing import IO, Any, BinaryIO

from imagen_batch.exports.formats.imagefolder import image_name
from imagen_batch.exports.job import Job, describing_columns, metadata
from imagen_batch.exports.rows.manifest import RunImage


def write(job: Job) -> None:
    """Link or copy each image and write its entries."""
    names = describing_columns(job.run)
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        files = {
            split: _Captions(
                stack.enter_context(job.target.write(f"annotations/captions_{split}.json")),
                stack.enter_context(tempfile.TemporaryFile("w+b")),
            )
            for split in job.census.splits
        }
        for image in job.stream():
            name = image_name(image, counts[image.split])
            counts[image.split] += 1
            job.add(image, f"{image.split}/{name}")
            files[image.split].add(name, image, metadata(image.row, names))
        for file in files.values():
            file.close()


class _Captions:
    """Writes one JSON file as a stream: images directly, annotations through a temporary file."""

    def __init__(self, handle: BinaryIO, later: IO[bytes]) -> None:
        self._handle = handle
        self._later = later
        self._count = 0
        about = {"description": "Images generated from prompts by image models", "version": "1.0"}
        handle.write(b'{"info": ' + _json(about) + b',\n"licenses": [],\n"images": [')

    def add(self, name: str, image: RunImage, about: dict[str, Any]) -> None:
        """Add an image with its caption; both are numbered from 1."""
        comma = b",\n" if self._count else b"\n"
        self._count += 1
        size = {"width": image.row.get("width"), "height": image.row.get("height")}
        self._handle.write(comma + _json({"id": self._count, "file_name": name, **size, "imagen_batch": about}))
        caption = {"id": self._count, "image_id": self._count, "caption": image.row["prompt"] or ""}
        self._later.write(comma + _json(caption))

    def close(self) -> None:
        """End the file."""
        self._handle.write(b'],\n"annotations": [')
        self._later.seek(0)
        shutil.copyfileobj(self._later, self._handle)
        self._handle.write(b"]}\n")


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, default=str).encode(errors="replace")
