"""Writes a run's images as a dataset: metadata.parquet, and a dataset card.

The format is that of the usual image folder loader: the file must have this name, its column `file_name` has paths
relative to it, the loader takes the rows from it and not from the disk, and types are fixed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from io import BufferedIOBase
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imagen_batch.records import ManifestRow
from imagen_batch.reports.counters.lists_of_image_facts import ImageFacts
from imagen_batch.reports.tables.arrow_columns import user_columns
from imagen_batch.reports.tables.dataset_size_category import size_category
from imagen_batch.reports.tables.names_of_replaced_files import CARD
from imagen_batch.storage import Storage
from imagen_batch.storage.irregular_files import FOLDER, irregularity
from imagen_batch.text import one_line, plural


class Metadata:
    """Writes a row for each image, from the columns of the manifest. The caller owns the handle.

    `manifest` is the manifest's schema; its last columns are those of the user's `headers`.
    """

    def __init__(self, parquet: BinaryIO | BufferedIOBase, *, manifest: pa.Schema, headers: Sequence[str]) -> None:
        self._indexes = _indexes(manifest, headers)
        self._schema = metadata_schema(manifest, headers)
        self._parquet = pq.ParquetWriter(parquet, self._schema, compression="zstd")

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows of the manifest; samples without an image are left out."""
        # The file of a rejected image may have been deleted.
        has_image = pc.and_(pc.equal(batch.column("status"), "ok"), pc.is_valid(batch.column("file")))
        columns = [batch.column(index).filter(has_image) for index in self._indexes]
        images = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        if images.num_rows:
            self._parquet.write_batch(images)

    def close(self) -> None:
        """Finish the file; its handle stays open."""
        self._parquet.close()


def metadata_schema(manifest: pa.Schema, headers: Sequence[str]) -> pa.Schema:
    """Return the columns of the dataset with their types."""
    fields = zip(_indexes(manifest, headers), metadata_names(headers), strict=True)
    return pa.schema([manifest.field(index).with_name(name) for index, name in fields])


def _indexes(manifest: pa.Schema, headers: Sequence[str]) -> list[int]:
    own = [manifest.names.index(name) for name in _OWN.values()]
    return [*own, *range(len(manifest) - len(headers), len(manifest))]


def metadata_names(headers: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the dataset's own columns and of the user's."""
    users = user_columns(headers, taken=(_LOADED_AS, *_OWN), named=_plain_name)
    return (*_OWN, *(column.name for column in users))


def _plain_name(header: str) -> str:
    """Return `cover_filename` for `cover_file_name`: the loader would open the files that such a column names."""
    return _FILE_COLUMN.sub(r"\1filename\2", header)


_LOADED_AS = "image"  # the loader's name for the column that it makes of `file_name`
_FILE_COLUMN = re.compile(r"(^|_)file_name(s?)$")

# A column's name in the dataset, and in the manifest.
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


_MARK = "# Written by imagen-batch. Take this line out and the file is yours: it is not written over any more."

# Lists the files of the dataset. Without it a loader guesses from all files of the folder, the manifest included.
_CONFIGS = """configs:
- config_name: default
  data_files:
  - split: train
    path: ["images/**", "metadata.parquet"]
---
"""


def may_write_card(storage: Storage) -> bool:
    """Return False if README.md is somebody else's text, a link or a pipe. Raises OSError for a folder."""
    if irregularity(storage, CARD) not in {None, FOLDER}:
        return False
    try:
        return storage.read(CARD)[:500].decode("utf-8", "replace").splitlines()[:2] == ["---", _MARK]
    except FileNotFoundError:
        return True


class DatasetCard:
    """Counts the figures of the dataset card. Memory grows with the number of models only.

    `columns` are those of the dataset with their types.
    """

    def __init__(self, *, name: str, columns: pa.Schema, headers: Sequence[str], provider: str) -> None:
        self._name = one_line(name.encode(errors="replace").decode(), 200) or "Images from prompts"
        self._columns = columns
        self._users = frozenset(metadata_names(headers)) - frozenset(metadata_names(()))
        self._provider = provider
        self._usd = 0.0
        self._unpriced = 0
        self._models: Counter[str] = Counter()
        self._requested = 0
        self._signed = 0

    def add(self, entries: Sequence[ManifestRow]) -> None:
        """Count a batch of rows."""
        images = [entry for entry in entries if entry.sample.status == "ok"]
        self._requested += len(entries)
        self._models.update(entry.model for entry in images)
        self._signed += sum(entry.sample.c2pa is True for entry in images)
        self._add_costs(entry.cost_usd for entry in images)

    def add_images(self, images: ImageFacts) -> None:
        """Count images."""
        self._requested += len(images)
        self._models.update(images.models)
        self._signed += sum(c2pa is True for c2pa in images.c2pa)
        self._add_costs(images.costs)

    def _add_costs(self, costs: Iterable[float | None]) -> None:
        for usd in costs:
            self._usd += usd or 0.0
            self._unpriced += usd is None

    def text(self) -> str:
        """Return the whole card."""
        parts = (self._images(), self._use(), self._features(), self._provenance(), _LICENSE)
        return self._front() + "\n".join(parts)

    def _front(self) -> str:
        return (
            f"---\n{_MARK}\npretty_name: {json.dumps(self._name, ensure_ascii=False)}\nlicense: unknown\n"
            f"task_categories:\n- text-to-image\nsize_categories:\n- {size_category(self._models.total())}\n"
            f"tags:\n- synthetic\n- generated-images\n{_CONFIGS}"
        )

    def _images(self) -> str:
        models = "".join(f"| `{model}` | {count:,} |\n" for model, count in sorted(self._models.items()))
        return (
            f"# {_inline(self._name)}\n\n{self._origin()}\n\n"
            f"Images: {self._models.total():,} of {self._requested:,} requested.\n\n"
            f"| model | images |\n|---|---|\n{models}{self._price()}"
        )

    def _price(self) -> str:
        if self._provider == "simulator" or not self._models:
            return ""
        unpriced = f"; the price of {plural(self._unpriced, 'image')} is unknown" if self._unpriced else ""
        return f"\nThe images cost {self._usd:,.2f} USD to generate{unpriced}.\n"

    def _origin(self) -> str:
        if self._provider == "simulator":
            return "**Made by a simulator**, not by an image model: a rehearsal of names, sizes and prompts."
        return f"Made by image models through the provider `{self._provider}`."

    def _use(self) -> str:
        return (
            f"## Use\n\n{_EXAMPLE}\n"
            "`manifest.parquet` and `manifest.csv` also list the samples without an image, and why they have none.\n"
        )

    def _features(self) -> str:
        rows = "".join(
            f"| `{_inline(field.name)}` | {field.type} | {'prompt file' if field.name in self._users else 'run'} |\n"
            for field in list(self._columns)[1:]  # the first one becomes the image
        )
        return f"## Features\n\n| column | type | from |\n|---|---|---|\n| `image` | image | service |\n{rows}"

    def _provenance(self) -> str:
        return (
            "## Provenance\n\nFiles are kept byte for byte as they were received. "
            f"{self._signed:,} of {self._models.total():,} carry C2PA content credentials "
            f"(found in the file, not verified).\n{self._watermark()}"
        )

    def _watermark(self) -> str:
        if self._provider == "simulator":
            return "Each of the simulator's images says that it is simulated.\n"
        return (
            "Google states that its image models put an invisible SynthID watermark into every image.\n"
            "Saving an image again usually strips its content credentials: keep the originals.\n"
        )


_EXAMPLE = """```python
from datasets import load_dataset

images = load_dataset(".", split="train")
```
"""
_LICENSE = "## License\n\nTo be filled in by the publisher of this dataset, here and above (`license`).\n"


def _inline(name: str) -> str:
    return one_line(name.replace("`", "'").replace("|", "/"), 200)
