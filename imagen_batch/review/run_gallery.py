"""Writes the gallery at the end of a run, in bounded time and without ever failing the run.

Thumbnails are made for at most three seconds, first those of the first rows; `imagen-batch gallery` makes the others,
and the page shows the images themselves until then. In a bucket the page is written without any: it shows its images
where the folder is copied to a local disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path, PurePosixPath

from imagen_batch.review.gallery import GALLERY_FILE, MAX_ITEMS, build_gallery, read_run_id, write_gallery
from imagen_batch.review.manifest_items import MANIFEST, count_samples, items_from_manifest
from imagen_batch.storage import Folder, Storage

_SECONDS = 0.5
_SECONDS_PER_IMAGE = 0.0003
_MAX_SECONDS = 3.0


def write_run_gallery(
    storage: Storage,
    *,
    has_reviews: bool = True,
    has_new_images: bool = True,
    warn: Callable[[str], None],
    is_stopped: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Write `gallery.html` from the manifest; return whether that succeeded. `warn` is called with a failure.

    The ledger is read only if it may have reviews. Once `is_stopped` is True no further thumbnails are made.
    """
    try:
        if isinstance(storage, Folder):
            end = clock() + _seconds_for_thumbnails(storage.path, has_new_images=has_new_images)
            build_gallery(
                storage.path,
                has_reviews=has_reviews,
                may_make_thumbnail=lambda: not is_stopped() and clock() < end,
            )
        else:
            _write_remote(storage)
    # The images and tables are complete: an error in the page must not end the run.
    except Exception as error:  # noqa: BLE001
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        warn(f"{GALLERY_FILE} could not be written ({reason}). The images and tables are complete.")
        return False
    return True


def _seconds_for_thumbnails(folder: Path, *, has_new_images: bool) -> float:
    """Return how long thumbnails may take; a run without new images does not make up for those of earlier runs."""
    images = min(count_samples(folder / MANIFEST), MAX_ITEMS) if has_new_images else 0
    return min(_SECONDS + _SECONDS_PER_IMAGE * images, _MAX_SECONDS)


def _write_remote(storage: Storage) -> None:
    manifest = storage.local(MANIFEST)
    items = islice(items_from_manifest(manifest.parent, manifest=manifest, has_reviews=False), MAX_ITEMS)
    title = PurePosixPath(storage.location).name
    with storage.write(GALLERY_FILE) as target:
        write_gallery(items, target, title=title, run=read_run_id(storage), total=count_samples(manifest))
