"""Reads the images of a run one by one, each with its row of the manifest."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any

from imagen_batch.exports.options import Options
from imagen_batch.exports.rows.manifest import open_manifest
from imagen_batch.exports.rows.prefetch import Prefetch
from imagen_batch.exports.rows.selection import Selection, make_selection

if TYPE_CHECKING:
    from PIL.Image import Image

RowAndImage = tuple[dict[str, Any], "Image"]


def read_images(place: str, *, where: str | None, approved: bool) -> Iterator[RowAndImage]:
    """Check place and options now, and yield rows and images later. Raises SettingsInvalid."""
    return _open_each(make_selection(open_manifest(place), Options(where=where, approved=approved)))


def _open_each(selection: Selection) -> Iterator[RowAndImage]:
    from PIL import Image  # noqa: PLC0415 - plans and runs need no images

    prefetch, images = Prefetch(selection.run), selection.images()
    for image in images if selection.run.storage.links else prefetch.through(images):
        yield dict(image.row), Image.open(BytesIO(prefetch.take(image)))
