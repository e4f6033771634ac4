"""What must someone know who finds the folder and wants to use its pictures? The dataset card, README.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from imagen_batch.metadata import metadata_names
from imagen_batch.records import Entry
from imagen_batch.regular import FOLDER, irregularity
from imagen_batch.storage import Storage
from imagen_batch.wording import one_line

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

    def count(self, entries: Sequence[Entry]) -> None:
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
