"""Stores the facts about a run's reference images, so that its folder can be read after the files have changed.

    references.json   SHA-256, type and size of each file, by its absolute path

A run that sends reads the files themselves. `status`, `audit` and the comparison with an edited input read this file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import orjson

from imagen_batch.images.reference_file import FileFacts
from imagen_batch.planning.input_origin import Origin
from imagen_batch.planning.references.find_reference_images import RunReferences
from imagen_batch.storage import STATE, Storage

REFERENCES: Final = f"{STATE}/references.json"


def save_reference_facts(references: RunReferences, storage: Storage) -> None:
    """Store the facts about all files of a plan. A run without reference images stores nothing."""
    facts = references.files.facts
    if not facts and storage.size(REFERENCES) is None:
        return
    files = {path: [each.sha256, each.mime_type, each.bytes] for path, each in facts.items()}
    with storage.write(REFERENCES) as target:
        target.write(orjson.dumps({"schema_version": 1, "files": files}))


def are_as_recorded(references: RunReferences, storage: Storage) -> bool:
    """Whether the files of a plan are those that the folder's last run recorded."""
    return dict(references.files.facts) == _read_facts(storage)


def stored_references(storage: Storage, origin: Origin | None, *, as_recorded: bool) -> RunReferences:
    """Return the reference images of a folder's input, `as_recorded` by its last run or as the files are now."""
    folder = _folder(origin)
    stored = _read_facts(storage) if as_recorded else None
    # A run of an earlier version has no base folder; a column of that name was the user's own then.
    ignored = origin is None or origin.folder is None
    variants = origin is not None and bool(origin.reading.get("matrix"))
    return RunReferences(folder, stored=stored, ignored=ignored, variants=variants)


def _folder(origin: Origin | None) -> Path:
    if origin is None:
        return Path()
    if origin.folder is not None:
        return Path(origin.folder)
    return Path() if origin.source is None else Path(origin.source).parent


def _read_facts(storage: Storage) -> dict[str, FileFacts]:
    try:
        files = orjson.loads(storage.read(REFERENCES))["files"]
        return {path: FileFacts(mime_type, sha256, size) for path, (sha256, mime_type, size) in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, or a damaged file: files are read
        return {}
