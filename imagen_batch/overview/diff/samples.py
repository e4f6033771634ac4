"""Reads what a comparison needs of a run's manifest, in memory that does not grow with the length of prompts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from imagen_batch.errors import SettingsInvalid
from imagen_batch.storage import Storage, open_storage
from imagen_batch.text import one_line

_MANIFEST = "manifest.parquet"
_NEEDED = ("row", "sample", "status")
_COLUMNS = (
    *_NEEDED,
    "id",
    "prompt",
    "model",
    "file",
    "sha256",
    "error_kind",
    "filter_category",
    "cost_usd",
    "version",
)
_BATCH_ROWS = 200  # prompts may have 150,000 characters
_SHOWN_CHARS = 400  # of a prompt


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of a run. `prompt` is shortened for display; `prompt_digest` is that of the whole text."""

    row: int
    id: str
    number: int
    status: str
    reason: str
    prompt: str
    prompt_digest: bytes
    model: str
    file: str | None
    sha256: str | None
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class RunSamples:
    """The samples of a run, in input order."""

    storage: Storage
    samples: tuple[Sample, ...]

    @property
    def location(self) -> str:
        """The folder or URL."""
        return self.storage.location

    @property
    def images(self) -> int:
        """How many samples have an image."""
        return sum(sample.status == "ok" for sample in self.samples)

    @property
    def cost_usd(self) -> float:
        """What the images of these samples cost, as far as it is known."""
        return round(sum(sample.cost_usd or 0.0 for sample in self.samples), 6)


def read_samples(location: str) -> RunSamples:
    """Read the manifest of a finished run. Raises SettingsInvalid where there is none, or a damaged one."""
    storage = open_storage(location)
    try:
        if storage.size(_MANIFEST) is None:
            raise SettingsInvalid(f"{location} has no {_MANIFEST}: name the output folder of a finished run")
        with pq.ParquetFile(storage.local(_MANIFEST)) as file:
            names = file.schema_arrow.names
            if missing := [name for name in _NEEDED if name not in names]:
                raise SettingsInvalid(f"{location}: {_MANIFEST} has no column {missing[0]}; {_remedy(location)}")
            return RunSamples(storage, tuple(_samples(file, [name for name in _COLUMNS if name in names])))
    except (OSError, pa.ArrowException) as error:
        reason = one_line(str(error), 200)
        raise SettingsInvalid(f"{location}: {_MANIFEST} can't be read: {reason}; {_remedy(location)}") from error


def _remedy(location: str) -> str:
    return f"run: imagen-batch audit {location} --repair"


def _samples(file: pq.ParquetFile, columns: list[str]) -> Iterator[Sample]:
    for batch in file.iter_batches(_BATCH_ROWS, columns=columns):
        for values in batch.to_pylist():
            yield _sample(values)


def _sample(values: Mapping[str, Any]) -> Sample:
    prompt = _text(values.get("prompt"))
    return Sample(
        row=int(values["row"] or 0),
        id=_text(values.get("id")),
        number=int(values["sample"] or 0),
        status=_text(values["status"]),
        reason=_text(values.get("filter_category") or values.get("error_kind")),
        prompt=prompt[: _SHOWN_CHARS + 1],
        prompt_digest=hashlib.blake2b(prompt.encode("utf-8", "surrogatepass"), digest_size=16).digest(),
        model=_text(values.get("model")),
        file=_safe_name(values.get("file")),
        sha256=values.get("sha256") or None,
        cost_usd=values.get("cost_usd"),
    )


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _safe_name(value: object) -> str | None:
    """Return a name below the run's folder; None for a path that leads out of it."""
    if not isinstance(value, str) or not value:
        return None
    path = PurePosixPath(value)
    return None if path.is_absolute() or ".." in path.parts or "\0" in value else value
