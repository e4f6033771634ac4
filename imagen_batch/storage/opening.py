"""Which kind of storage does this text name?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imagen_batch.errors import LedgerDamaged, SettingsInvalid
from imagen_batch.storage.contract import Storage
from imagen_batch.storage.folder import Folder

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def is_url(place: str) -> bool:
    """Whether `place` is in an object store and no path of this machine."""
    return _URL.match(place) is not None


@contextmanager
def in_reach(place: str | Path, *, to: str) -> Iterator[None]:
    """A place that can't be worked in is told in a sentence: raises SettingsInvalid for an OSError of the block."""
    try:
        yield
    except LedgerDamaged as damage:  # read from a copy on this machine where the run is in a bucket
        damage.place = str(place)
        raise
    except OSError as error:
        raise SettingsInvalid(f"--out {place}: can't {to}: {error.strerror or error}") from error


def open_storage(place: str | Path) -> Storage:
    """The storage at a path or URL; nothing is made there yet.

    Raises SettingsInvalid for a URL that can't be used, saying what is wrong with it or has to be installed.
    """
    if isinstance(place, Path) or not is_url(place):
        return Folder(Path(place))
    from imagen_batch.storage.bucket import open_bucket  # noqa: PLC0415 - fsspec, where it is needed only

    return open_bucket(place)
