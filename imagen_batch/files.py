"""How does a file appear whole, or not at all?"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

_PART = ".part"


@contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """A handle whose bytes become `path` when the block ends well; after an exception `path` is as it was.

    What a killed process leaves behind is a hidden file of a fixed name, which the next attempt overwrites:
    let only one writer at a time be at work on a path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}{_PART}")
    try:
        with part.open("wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable. A step of its own, so that many files can share one flush."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def written_text(path: Path) -> Iterator[TextIO]:
    """The same for UTF-8 text; line ends are written as they are given."""
    with written(path) as handle:
        text = io.TextIOWrapper(handle, encoding="utf-8", newline="")
        try:
            yield text
        finally:
            text.detach()  # flushes, and leaves `handle` open for its own flush to disk
