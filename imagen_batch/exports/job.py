"""Defines the data for a format's writer: the run, the output, the options, and the images in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from imagen_batch.exports.options import Options
from imagen_batch.exports.output.target import Target
from imagen_batch.exports.rows.manifest import RunImage, RunManifest, image_errors
from imagen_batch.exports.rows.selection import LeftOut

FOLDER_FILES = 10_000
"""The most files that an export puts into one folder."""

_ABOUT_IMAGE = {
    *("id", "row", "sample", "version", "prompt", "input_prompt", "model", "model_version", "provider"),
    *("width", "height", "seed", "aspect_ratio", "image_size", "negative_prompt", "style", "mimeType"),
    *("sha256", "c2pa", "run_id", "response_id", "references", "references_sha256", "warnings", "cost_usd"),
}


@dataclass(frozen=True, slots=True)
class Census:
    """The numbers of images to export, counted without reading an image."""

    splits: Mapping[str, int]
    extensions: Counter[str]

    @property
    def images(self) -> int:
        """The number of all images."""
        return sum(self.splits.values())


@dataclass(frozen=True, slots=True)
class Job:
    """One export.

    `stream` yields each image once and records rows left out as it passes them. `read` returns an image's bytes,
    checked against the recorded hash.
    """

    run: RunManifest
    target: Target
    options: Options
    census: Census
    stream: Callable[[], Iterator[RunImage]]
    read: Callable[[RunImage], bytes]
    left_out: Callable[[], Iterator[LeftOut]]
    warnings: list[str] = field(default_factory=list)

    def add(self, image: RunImage, name: str, *, copy: bool = False) -> None:
        """Put the unchanged image into the output under a name."""
        if not self.run.storage.links:  # in a bucket
            self.target.put(name, self.read(image))
            return
        with image_errors(self.run, image):
            self.target.add(name, self.run.storage, image.file, copy=copy or self.options.copy)


def numbered_folder(position: int, *, per_folder: int) -> str:
    """Return the folder of the image at a position, counted from 0: "00000", "00001"."""
    return f"{position // per_folder:05}"


def metadata(row: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return the values of the named columns."""
    return {name: row[name] for name in names}


def describing_columns(run: RunManifest) -> tuple[str, ...]:
    """Return the manifest's columns about the image and its request, then the user's own."""
    return tuple(name for name in run.schema.names if name in _ABOUT_IMAGE or name in run.user_columns)
