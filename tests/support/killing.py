"""Kills a repair at each of its storage operations, and knows what must be left."""

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
def each_change(happens: Callable[[], None]) -> Iterator[None]:
    """Call `happens` before and after each operation that changes the folder; a file may be half written."""
    with patch.object(FileLog, "append", _around(FileLog.append, happens)):
        patches = [patch.object(Folder, name, _around(getattr(Folder, name), happens)) for name in CHANGES]
        for one in patches:
            one.start()
        try:
            yield
        finally:
            for one in patches:
                one.stop()


def _around(operation: Callable[..., Any], happens: Callable[[], None]) -> Callable[..., Any]:
    def wrapped(self: Any, *args: Any, **options: Any) -> Any:
        happens()
        if operation.__name__ == "put":
            name, data = args
            operation(self, name, data[: len(data) // 2])
            happens()
        result = operation(self, *args, **options)
        happens()
        return result

    return wrapped


def spoil(folder: Path) -> set[int]:
    """Damage a finished run of ten rows in many ways; returns the rows whose images are nowhere any more."""
    rows = pq.read_table(folder / "manifest.parquet").to_pylist()
    files = [folder / row["file"] for row in rows]
    one, other = files[0].read_bytes(), files[1].read_bytes()
    files[0].write_bytes(other)  # two images have changed places
    files[1].write_bytes(one)
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
    """Take lines of some keys out of the ledger, or damage them."""
    for path in (folder / LEDGER).iterdir():
        kept = []
        for line in path.read_bytes().splitlines(keepends=True):
            record = orjson.loads(line)
            how = keys.get(record["key"])
            if how == "all" or (how == "done" and record["t"] == "done"):
                continue
            kept.append(b"{}\n" if how == "damage" and record["t"] == "done" else line)
        path.write_bytes(b"".join(kept))


def copy_spoiled(finished: Path, home: Path) -> tuple[Path, set[int]]:
    """A copy of a finished run, damaged."""
    home.mkdir()
    shutil.copytree(finished, home / "out", symlinks=True)
    return home / "out", spoil(home / "out")
