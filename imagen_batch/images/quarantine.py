"""Keeps images that were paid for but can't be used, below `.imagen-batch/quarantine`.

They are in no table and no dataset. A person may still make something of them, or show them to the service.
"""

from __future__ import annotations

import hashlib
from typing import Final

from imagen_batch.storage import STATE, Storage

QUARANTINE: Final = f"{STATE}/quarantine"


def quarantine(storage: Storage, data: bytes, *, key: str, number: int) -> str | None:
    """Keep the bytes as they came; returns the name of the file, or None where it could not be written.

    The same bytes come to lie in the same file.
    """
    name = f"{QUARANTINE}/{key[:16]}_{number}_{hashlib.sha256(data).hexdigest()[:8]}.bin"
    try:
        storage.put(name, data)
    except OSError:
        return None
    return name
