"""Kills a repair at each of its storage operations, and damages folders for it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson
import pyarrow.parquet as pq

from imagen_batch.storage import LEDGER, Folder
from imagen_batch.storage.folder import FileLog

CHANGES = ("put", "create", "link", "move", "remove", "write", "sync", "log", "reserve")


@contextmanager
def each_change(hook: Callable[[], None]) -> Iterator[None]:
    """Call `hook` before and after each operation that changes the folder, and with half-written files."""
    with patch.object(FileLog, "append", _around(FileLog.append, hook)):
        patches = [patch.object(Folder, name, _around(getattr(Folder, name), hook)) for name in CHANGES]
        for patcher in patches:
            patcher.start()
        try:
            yield
        finally:
            for patcher in patches:
                patcher.stop()


def _around(operation: Callable[..., Any], hook: Callable[[], None]) -> Callable[..., Any]:
    def wrapped(self: Any, *args: Any, **options: Any) -> Any:
        hook()
        if operation.__name__ == "put":
            name, data = args
            operation(self, name, data[: len(data) // 2])
            hook()
        result = operation(self, *args, **options)
        hook()
        return result

    return wrapped


def damage(folder: Path) -> set[int]:
    """Damage a finished run of ten rows in many ways; return the rows whose images no longer exist."""
    rows = pq.read_table(folder / "manifest.parquet").to_pylist()
    files = [folder / row["file"] for row in rows]
    first, second = files[0].read_bytes(), files[1].read_bytes()
    files[0].write_bytes(second)  # two images have changed places
    files[1].write_bytes(first)
    files[2].write_bytes(files[2].read_bytes()[:200])  # lost
    files[3].unlink()  # lost
    files[4].rename(folder / "images" / "the best of all.png")
    files[5].rename(folder.parent / f"{folder.name}-elsewhere.png")
    files[5].symlink_to(folder.parent / f"{folder.name}-elsewhere.png")
    forget(folder, {rows[6]["key"]: "done", rows[7]["key"]: "all", rows[8]["key"]: "damage"})
    files[6].rename(folder / ".imagen-batch" / "incoming" / f"{rows[6]['key']}_1")
    (folder / "manifest.csv").write_text("junk")
    return {3, 4}


def forget(folder: Path, keys: dict[str, str]) -> None:
    """Remove ledger lines of some keys, or damage them."""
    for path in (folder / LEDGER).iterdir():
        kept = []
        for line in path.read_bytes().splitlines(keepends=True):
            record = orjson.loads(line)
            action = keys.get(record["key"])
            if action == "all" or (action == "done" and record["t"] == "done"):
                continue
            kept.append(b"{}\n" if action == "damage" and record["t"] == "done" else line)
        path.write_bytes(b"".join(kept))


def copy_damaged(finished: Path, home: Path) -> tuple[Path, set[int]]:
    """Copy a finished run and damage the copy."""
    home.mkdir()
    shutil.copytree(finished, home / "out", symlinks=True)
    return home / "out", damage(home / "out")
