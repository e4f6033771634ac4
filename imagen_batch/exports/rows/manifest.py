"""Reads a run's manifest as a stream of batches, and its images one by one."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from imagen_batch.errors import SettingsInvalid
from imagen_batch.inputs.stored_input_and_settings import holds_run
from imagen_batch.reports.next_steps import make_absolute
from imagen_batch.reports.tables.columns.typed_user_columns import cell_text
from imagen_batch.reports.tables.manifest import manifest_columns
from imagen_batch.storage import Storage, open_storage
from imagen_batch.text import did_you_mean, plural

MANIFEST = "manifest.parquet"
EXTENSIONS: Mapping[str, str] = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}
_BATCH_ROWS = 200  # prompts may have 150,000 characters


@dataclass(frozen=True, slots=True)
class RunManifest:
    """A finished run: its storage, and its manifest's columns and number of rows."""

    storage: Storage
    path: Path  # of the manifest, on this machine
    schema: pa.Schema
    rows: int

    @property
    def user_columns(self) -> tuple[str, ...]:
        """The columns that came from the prompt file."""
        own = {column.name for column in manifest_columns(())}
        return tuple(name for name in self.schema.names if name not in own)

    def text(self, row: Mapping[str, Any], column: str) -> str:
        """Return a cell of a row as text, a user's cell as in the prompt file."""
        return cell_text(row[column], self.schema.field(column))

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the manifest in order, with all columns or those in `columns`."""
        with pq.ParquetFile(self.path) as file:
            yield from file.iter_batches(_BATCH_ROWS, columns=list(columns) if columns else None)


@dataclass(frozen=True, slots=True)
class RunImage:
    """One image to export. `row` is its manifest row, `split` a name such as "train"."""

    row: Mapping[str, Any]
    split: str

    @property
    def file(self) -> str:
        """The name of the image below the run's folder."""
        return str(self.row["file"])

    @property
    def extension(self) -> str:
        """The extension that matches the content, with its dot."""
        return EXTENSIONS.get(self.row.get("mimeType") or "") or PurePosixPath(self.file).suffix

    @property
    def stem(self) -> str:
        """A name of digits and hex only: no loader finds a split's name or an extension in it."""
        row = self.row
        version = row.get("version") or 1
        later = f"_{version:02}" if isinstance(version, int) and version > 1 else ""
        return f"{row['row']:06}_{row['sample']:02}{later}_{(row.get('key') or '')[:8] or '0' * 8}"

    @property
    def label(self) -> str:
        """The name of the image in messages: row and the user's id."""
        return f"row {self.row['row']}" + (f" ({self.row['id']})" if self.row.get("id") else "")


def open_manifest(folder: str | Path) -> RunManifest:
    """Return the manifest of a run. Raises SettingsInvalid if there is none that can be read."""
    storage = open_storage(folder)
    with manifest_errors(folder):
        if storage.size(MANIFEST) is None:
            raise SettingsInvalid(_explain_missing(str(folder)))
        path = storage.local(MANIFEST)
        with pq.ParquetFile(path) as file:
            return RunManifest(storage, path, file.schema_arrow.remove_metadata(), file.metadata.num_rows)


@contextmanager
def manifest_errors(folder: str | Path) -> Iterator[None]:
    """Turn the error of a manifest that can't be read into SettingsInvalid."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        reason = str((isinstance(error, OSError) and error.strerror) or error).splitlines()[0]
        raise SettingsInvalid(f"{folder}: {MANIFEST} can't be read: {reason}") from error


def _explain_missing(folder: str) -> str:
    if holds_run(folder):
        return f"The run in {folder} has no {MANIFEST}. To write it: {_repair_command(folder)}"
    return f"No imagen-batch run found in {folder}: it has no {MANIFEST}; name the output folder of a finished run"


def rename_clashing(names: Iterable[str], added: Iterable[str]) -> dict[str, str]:
    """Map the names of columns to those that they have beside columns that an export adds.

    A name that differs from an added one at most in case gets the prefix `input_`, as in the manifest.
    """
    names = list(names)
    taken, reserved, renamed = {name.lower() for name in names}, {name.lower() for name in added}, {}
    for name in names:
        free = name
        while free.lower() in reserved or (free != name and free.lower() in taken):
            free = f"input_{free}"
        renamed[name] = free
    return renamed


def describe_missing_column(name: str, columns: Sequence[str]) -> str:
    """Return what is wrong with a column's name: the names that are most like it, and where all of them are."""
    hint = did_you_mean(name, columns, most=3) or "."
    return (
        f"there is no column {name!r}{hint} The first line of manifest.csv has all {plural(len(columns), 'column')}"
    )


def read_image(run: RunManifest, image: RunImage) -> bytes:
    """Return the image's bytes as they were received. Raises SettingsInvalid unless they are the recorded ones."""
    with image_errors(run, image):
        data = run.storage.read(image.file)
    recorded = image.row.get("sha256")
    if recorded and hashlib.sha256(data).hexdigest() != recorded:
        raise SettingsInvalid(f"{image.label}: {image.file} is not the file that was received; {_remedy(run)}")
    return data


@contextmanager
def image_errors(run: RunManifest, image: RunImage) -> Iterator[None]:
    """Turn the error of a missing image into SettingsInvalid."""
    try:
        yield
    except FileNotFoundError as error:
        raise SettingsInvalid(f"{image.label}: {image.file} is missing; {_remedy(run)}") from error


def _remedy(run: RunManifest) -> str:
    return f"run: {_repair_command(run.storage.location)}"


def _repair_command(folder: str) -> str:
    return shlex.join(["imagen-batch", "audit", make_absolute(folder), "--repair"])
