"""Writes tar shards for WebDataset: `KEY.png`, `KEY.txt` and `KEY.json` for each image.

Keys contain no dots, because everything after the first dot is the extension. All images of a set have one
extension, as `datasets` requires; if types are mixed it is the most frequent one, and readers decide by content. The
folder has no other files, because a loader would try to read them as well.
"""

from __future__ import annotations

import io
import json
import tarfile
from contextlib import ExitStack
from typing import Any

from imagen_batch.exports.job import Job, describing_columns, metadata
from imagen_batch.exports.output.shards import Shards
from imagen_batch.exports.rows.manifest import RunImage


def write(job: Job) -> None:
    """Write shards named `data/train-000000.tar`."""
    extension = _one_extension(job)
    writers = {
        split: _Writer(Shards(job.target, f"data/{split}", ".tar", job.options, digits=6))
        for split in job.census.splits
    }
    names = describing_columns(job.run)
    with ExitStack() as stack:
        for writer in writers.values():
            stack.callback(writer.close)
        for image in job.stream():
            writers[image.split].add(image.stem, _files(image, job.read(image), extension, names))


def _files(image: RunImage, data: bytes, extension: str, names: tuple[str, ...]) -> dict[str, bytes]:
    about = json.dumps(metadata(image.row, names), ensure_ascii=False, default=str, sort_keys=True)
    prompt = image.row["prompt"] or ""
    return {
        extension: data,
        ".txt": prompt.encode(errors="replace"),
        ".json": about.encode(errors="replace"),
    }


def _one_extension(job: Job) -> str:
    counts = job.census.extensions
    (extension, _), *others = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if others:
        mixed = ", ".join(f"{count:,} {name}" for name, count in others)
        job.warnings.append(f"images of several types: {mixed} are named {extension} too; their content is unchanged")
    return extension


class _Writer:
    """Adds samples to the current shard; equal samples give equal bytes."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._tar: tarfile.TarFile | None = None

    def add(self, key: str, files: dict[str, bytes]) -> None:
        """Add a sample; start a new shard if the current one would become too large."""
        size = sum(map(len, files.values()))
        if self._shards.is_full(size):
            self._finish()
        self._shards.count(size)
        if self._tar is None:
            handle: Any = self._shards.open()
            self._tar = tarfile.open(fileobj=handle, mode="w|", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        for extension, data in files.items():
            self._tar.addfile(_entry(key + extension, len(data)), io.BytesIO(data))
        self._tar.getmembers().clear()  # tarfile remembers every entry otherwise

    def close(self) -> None:
        """End the last shard."""
        self._finish()

    def _finish(self) -> None:
        if self._tar is not None:
            self._tar.close()
            self._tar = None
        self._shards.finish()


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size = size
    entry.mode = 0o644
    return entry  # owner and time are 0 by default
