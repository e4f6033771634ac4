"""Which pictures does a dataset hold, and with which prompts?

The rules of the usual image folder loader that shape this table: the file has this very name, paths stand in
`file_name` and are relative to it, rows come from here and not from the disk, and types are fixed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from io import BufferedIOBase
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imagen_batch.records import ManifestRow
from imagen_batch.reports.columns import user_columns
from imagen_batch.storage import Storage
from imagen_batch.storage.regular_files import FOLDER, irregularity
from imagen_batch.text import one_line


class Metadata:
    """Writes a row for each picture, of what the manifest holds. The caller owns the handle.

    `manifest` is the manifest's schema; the columns that belong to the user's `headers` stand at its end.
    """

    def __init__(self, parquet: BinaryIO | BufferedIOBase, *, manifest: pa.Schema, headers: Sequence[str]) -> None:
        places = [manifest.names.index(name) for name in _OWN.values()]
        self._places = [*places, *range(len(manifest) - len(headers), len(manifest))]
        types = [manifest.types[place] for place in self._places]
        self._schema = pa.schema(zip(metadata_names(headers), types, strict=True))
        self._parquet = pq.ParquetWriter(parquet, self._schema, compression="zstd")

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows of the manifest; samples without a picture are left out."""
        made = pc.equal(batch.column("status"), "ok")
        columns = [batch.column(place).filter(made) for place in self._places]
        pictures = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        if pictures.num_rows:
            self._parquet.write_batch(pictures)

    def close(self) -> None:
        """Finish the file; its handle stays open."""
        self._parquet.close()


def metadata_names(headers: Sequence[str]) -> tuple[str, ...]:
    """The dataset's own columns and the user's."""
    own = user_columns(headers, taken=(_LOADED_AS, *_OWN), named=_harmless)
    return (*_OWN, *(column.name for column in own))


def _harmless(header: str) -> str:
    """The loader would open a column `cover_file_name` as pictures: it becomes `cover_filename`."""
    return _NAMES_FILES.sub(r"\1filename\2", header)


_LOADED_AS = "image"  # what the loader makes of `file_name`
_NAMES_FILES = re.compile(r"(^|_)file_name(s?)$")

# What a column is called here, and in the manifest.
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


CARD = "README.md"
_MARK = "# Written by imagen-batch. Take this line out and the file is yours: it is not written over any more."

# Names what belongs to the set; without it a loader guesses from all files of the folder, also the manifest.
_FRONT = f"""---
{_MARK}
license: unknown
task_categories:
- text-to-image
configs:
- config_name: default
  data_files:
  - split: train
    path: ["images/**", "metadata.parquet"]
---
"""


def may_write_card(storage: Storage) -> bool:
    """True unless somebody else's text stands there, or a link or pipe. Raises OSError for a folder."""
    if irregularity(storage, CARD) not in {None, FOLDER}:
        return False
    try:
        return storage.read(CARD)[:500].decode("utf-8", "replace").splitlines()[:2] == ["---", _MARK]
    except FileNotFoundError:
        return True


class Card:
    """Counts what the card tells. Memory grows with the number of models only."""

    def __init__(self, *, headers: Sequence[str], provider: str) -> None:
        self._columns = metadata_names(headers)
        self._provider = provider
        self._models: Counter[str] = Counter()
        self._asked = 0
        self._signed = 0

    def count(self, entries: Sequence[ManifestRow]) -> None:
        """Take a batch into account."""
        pictures = [entry for entry in entries if entry.sample.status == "ok"]
        self._asked += len(entries)
        self._models.update(entry.model for entry in pictures)
        self._signed += sum(entry.sample.c2pa is True for entry in pictures)

    def text(self) -> str:
        """The whole card."""
        parts = (self._pictures(), self._use(), self._provenance(), _LICENCE)
        return _FRONT + "\n".join(parts)

    def _pictures(self) -> str:
        models = "".join(f"| `{model}` | {count:,} |\n" for model, count in sorted(self._models.items()))
        return (
            f"# Pictures from prompts\n\n{self._maker()}\n\n"
            f"Pictures: {self._models.total():,} of {self._asked:,} asked for.\n\n"
            f"| model | pictures |\n|---|---|\n{models}"
        )

    def _maker(self) -> str:
        if self._provider == "simulator":
            return "**Made by a simulator**, not by an image model: a rehearsal of names, sizes and prompts."
        return f"Made by image models through the provider `{self._provider}`."

    def _use(self) -> str:
        columns = ", ".join(f"`{_inline(name)}`" for name in self._columns)
        return (
            f"## Use\n\n{_EXAMPLE}\n"
            f"Each picture comes with the columns of `metadata.parquet`: {columns}.\n"
            "`manifest.parquet` and `manifest.csv` also hold the samples that have no picture, and why.\n"
        )

    def _provenance(self) -> str:
        return (
            "## Provenance\n\nFiles are byte for byte as they were received. "
            f"{self._signed:,} of {self._models.total():,} carry C2PA content credentials "
            f"(found in the file, not verified).\n{self._watermark()}"
        )

    def _watermark(self) -> str:
        if self._provider == "simulator":
            return "The simulator says in each picture what it is.\n"
        return (
            "Google states that its image models put an invisible SynthID watermark into every picture.\n"
            "Saving a picture anew usually strips its content credentials: keep the originals.\n"
        )


_EXAMPLE = """```python
from datasets import load_dataset

pictures = load_dataset(".", split="train")
```
"""
_LICENCE = "## Licence\n\nTo be filled in by whoever publishes this set, here and above (`license`).\n"


def _inline(name: str) -> str:
    return one_line(name.replace("`", "'"), 200)
