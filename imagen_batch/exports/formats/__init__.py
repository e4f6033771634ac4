"""Lists the formats: how each is written and described. A format's module is imported when it is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType

from imagen_batch.exports.job import Job
from imagen_batch.exports.output.left_out_rows import Kind


@dataclass(frozen=True, slots=True)
class Format:
    """A format.

    `data_files` returns the glob of a split's files for the dataset card; None for a format without a card.
    `reads_in_order`: the format reads each image in the order of the stream. `divided`: a column `split` divides it
    without an option for that.
    """

    name: str
    summary: str
    side_table: Kind
    data_files: Callable[[str], str] | None = None
    croissant: bool = False
    reads_in_order: bool = True
    divided: bool = True

    def write(self, job: Job) -> None:
        """Write all images of the job."""
        write: Callable[[Job], None] = import_module(f"{__name__}.{_MODULES.get(self.name, self.name)}").write
        write(job)


_MODULES = {"csv": "table"}  # a module called csv would hide the standard one's name

_ALL = (
    Format(
        "imagefolder",
        "folders of images with metadata.parquet: load_dataset(DIR)",
        "parquet",
        data_files=lambda split: f"{split}/**",
        croissant=True,
    ),
    Format(
        "parquet",
        "Parquet shards with embedded images: load_dataset(DIR)",
        "parquet",
        data_files=lambda split: f"data/{split}-*.parquet",
        croissant=True,
    ),
    Format(
        "webdataset",
        "tar shards: webdataset, load_dataset(DIR)",
        "parquet",
        data_files=lambda split: f"data/{split}-*.tar",
    ),
    Format("captions", "each image with a .txt of the same name: LoRA trainers", "csv"),
    Format("coco", "COCO captions: pycocotools", "parquet"),
    Format("labelstudio", "tasks for Label Studio, images by path", "csv"),
    Format("csv", "one table, without images", "csv", reads_in_order=False, divided=False),
    Format("pdf", "contact sheets with captions, for proofs", "csv", reads_in_order=False, divided=False),
    Format("folder", "images under descriptive names with XMP sidecars, for delivery", "csv", divided=False),
)

FORMATS: Mapping[str, Format] = MappingProxyType({format_.name: format_ for format_ in _ALL})
"""The formats by name, in the order of `--help`."""
