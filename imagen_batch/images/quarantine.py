"""Keeps images that were paid for but can't be used, below `.imagen-batch/quarantine`.

They appear in no table and no dataset. A person may still recover something from them or show them to the service.
"""

from __future__ import annotations

import hashlib
from typing import Final

from imagen_batch.storage import STATE, Storage

QUARANTINE: Final = f"{STATE}/quarantine"


def quarantine(storage: Storage, data: bytes, *, key: str, number: int) -> str | None:
    """Save the bytes unchanged; returns the name of the file, or None where it could not be written.

    The same bytes always get the same name.
    """
    name = f"{QUARANTINE}/{key[:16]}_{number}_{hashlib.sha256(data).hexdigest()[:8]}.bin"
    try:
        storage.put(name, data)
    except OSError:
        return None
    return name
