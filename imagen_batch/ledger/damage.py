"""Finds the damaged lines of a ledger, and the `skip` records that make every reader ignore such lines."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from imagen_batch.errors import LedgerDamaged
from imagen_batch.ledger.files import ledger_files
from imagen_batch.ledger.parsing import parse, parse_other

_SKIP_MARK: Final = b'"t":"skip"'
_BLOCK: Final = 1 << 20  # bytes in which lines are counted at once


def damaged_lines(folder: Path) -> Iterator[tuple[LedgerDamaged, bytes]]:
    """Yield every line of a ledger that is neither a record nor named by a `skip` record, with its bytes."""
    for path in ledger_files(folder):
        offset = 0
        with path.open("rb") as file:
            for line in file:
                parsed = parse(line) if line.endswith(b"\n") else None  # a last line without an end does not count
                if isinstance(parsed, str) and not is_skipped(path, offset, line):
                    yield damage_at(path, offset, parsed), line
                offset += len(line)


def skip_record(damage: LedgerDamaged, line: bytes) -> dict[str, Any]:
    """Return the record that makes every later reader ignore a damaged line."""
    facts = {"file": damage.path.name, "offset": damage.offset, "sha256": sha256(line).hexdigest()}
    return {"t": "skip", **facts, "reason": damage.reason}


def damage_at(path: Path, offset: int, reason: str) -> LedgerDamaged:
    """Return the error for the line that begins at `offset`. Counts the lines before it."""
    with path.open("rb") as file:
        line, remaining = 1, offset
        while remaining and (block := file.read(min(remaining, _BLOCK))):
            line += block.count(b"\n")
            remaining -= len(block)
    return LedgerDamaged(path, line, offset, reason)


def is_skipped(path: Path, offset: int, line: bytes) -> bool:
    """Whether a `skip` record names this line. Searches only when there is a damaged line."""
    digest = sha256(line).hexdigest()
    for sibling in _siblings(path):
        with sibling.open("rb") as file:
            for text in file:
                if _SKIP_MARK not in text[:20]:
                    continue
                skip = parse_other(text)
                if skip and (skip.file, skip.offset, skip.sha256) == (path.name, offset, digest):
                    return True
    return False


def _siblings(path: Path) -> list[Path]:
    """Return the files of the ledger that `path` belongs to, workers' files in its subfolders included."""
    root = next((parent for parent in path.parents if parent.name == "ledger"), path.parent)
    return ledger_files(root)
