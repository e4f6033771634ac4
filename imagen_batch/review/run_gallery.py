"""Writes the gallery at the end of a run, in bounded time and without ever failing the run.

Thumbnails are made for at most three seconds, first those of the first rows; `imagen-batch gallery` makes the others,
and the page shows the images themselves until then. In a bucket the page is written without any: it shows its images
where the folder is copied to a local disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from pathlib import PurePosixPath

from imagen_batch.review.gallery import GALLERY_FILE, MAX_ITEMS, build_gallery, read_run_id, write_gallery
from imagen_batch.review.manifest_items import MANIFEST, count_samples, items_from_manifest
from imagen_batch.storage import Folder, Storage

_SECONDS = 0.5
_SECONDS_PER_IMAGE = 0.0003
_MAX_SECONDS = 3.0


def write_run_gallery(
    storage: Storage,
    *,
    warn: Callable[[str], None],
    is_stopped: Callable[[], bool] = lambda: False,
    has_reviews: Callable[[], bool] = lambda: True,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Write `gallery.html` from the manifest; return whether that succeeded. `warn` is called with a failure.

    Once `is_stopped` is True no further thumbnails are made. Without `has_reviews` the ledger is not read.
    """
    try:
        if isinstance(storage, Folder):
            _write_local(storage, is_stopped, clock, has_reviews=has_reviews())
        else:
            _write_remote(storage)
    # The images and tables are complete: an error in the page must not end the run.
    except Exception as error:  # noqa: BLE001
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        warn(f"{GALLERY_FILE} could not be written ({reason}). The images and tables are complete.")
        return False
    return True


def _write_local(
    storage: Folder, is_stopped: Callable[[], bool], clock: Callable[[], float], *, has_reviews: bool
) -> None:
    folder = storage.path
    seconds = _SECONDS + _SECONDS_PER_IMAGE * min(count_samples(folder / MANIFEST), MAX_ITEMS)
    end = clock() + min(seconds, _MAX_SECONDS)
    build_gallery(folder, has_reviews=has_reviews, may_make_thumbnail=lambda: not is_stopped() and clock() < end)


def _write_remote(storage: Storage) -> None:
    manifest = storage.local(MANIFEST)
    items = islice(items_from_manifest(manifest.parent, manifest=manifest), MAX_ITEMS)
    title = PurePosixPath(storage.location).name
    with storage.write(GALLERY_FILE) as target:
        write_gallery(items, target, title=title, run=read_run_id(storage), total=count_samples(manifest))
