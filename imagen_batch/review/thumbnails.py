"""Makes small WebP copies of images under `.imagen-batch/thumbs/`, each once.

A copy is named after the SHA-256 of its original, so it is reused as long as the original does not change. An image
that can't be read gets no copy; the page shows a placeholder for it.
"""

from __future__ import annotations

import hashlib
import os
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from PIL import Image, ImageOps

from imagen_batch.review.gallery_items import EarlierVersion, GalleryItem
from imagen_batch.storage import STATE

THUMBNAILS = f"{STATE}/thumbs"
SIDE = 320  # pixels of the longer side
MAX_PIXELS = 50_000_000  # of an original: three times the largest that the services offer
MAX_BYTES = 256 * 2**20  # of an original's file
_QUALITY = 80
_AHEAD = 64  # items whose copies are being made while the page is written
_NAME_DIGITS = 24  # of the SHA-256
_READ_FORMATS = ("PNG", "JPEG", "WEBP")


def with_thumbnails(
    items: Iterable[GalleryItem],
    folder: Path,
    *,
    threads: int | None = None,
    may_make: Callable[[], bool] = lambda: True,
) -> Iterator[GalleryItem]:
    """Yield the same items in the same order, each with its thumbnail where one can be made.

    Once `may_make` is False, only thumbnails that exist are used.
    """
    # A limit of our own refuses larger images below, so Pillow's warning would be a second one.
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    pending: deque[_Pending] = deque()
    with ThreadPoolExecutor(threads or min(4, os.cpu_count() or 1), thread_name_prefix="thumbnails") as pool:
        try:
            for item in items:
                pending.append(_submit(item, folder, pool, may_make))
                if len(pending) >= _AHEAD:
                    yield pending.popleft().wait()
            while pending:
                yield pending.popleft().wait()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class ExistingThumbnails:
    """Finds thumbnails that exist; looks into each of their folders once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[str, frozenset[str]] = {}

    def find(self, sha256: str | None) -> str | None:
        """Return the thumbnail of an image with this SHA-256, relative to the run's folder; None if there is none."""
        if not sha256:
            return None
        name = _name(sha256)
        parent, _, file = name.rpartition("/")
        if parent not in self._names:
            self._names[parent] = _names_in(self._folder / parent)
        return name if file in self._names[parent] and _exists(self._folder, name) else None


def _names_in(folder: Path) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries)
    except OSError:
        return frozenset()


def make_thumbnail(folder: Path, file: str, *, sha256: str | None = None) -> str | None:
    """Return the thumbnail of one image, relative to `folder`; None if the image is invalid or too large."""
    try:
        source = contained(folder, file)
        if source is None or source.stat().st_size > MAX_BYTES:
            return None
        name = _name(sha256 or hashlib.sha256(source.read_bytes()).hexdigest())
        if not _exists(folder, name):
            _make(source, folder / name)
    # Pillow's decoders raise many kinds for damaged bytes, and none of them may stop the gallery.
    except Exception:  # noqa: BLE001
        return None
    return name


def contained(folder: Path, file: str) -> Path | None:
    """Return the regular file of that name inside the folder; None if the name or a link leads out of it."""
    parts = PurePosixPath(file).parts
    if not parts or "\0" in file or ".." in parts or PurePosixPath(file).is_absolute():
        return None
    path, root = folder.joinpath(*parts).resolve(), folder.resolve()
    return path if path.is_relative_to(root) and path.is_file() else None


_Thumbnail = Future[str | None] | str | None  # being made, its name, or none


@dataclass(frozen=True, slots=True)
class _Pending:
    item: GalleryItem
    current: _Thumbnail
    earlier: tuple[_Thumbnail, ...]

    def wait(self) -> GalleryItem:
        if self.current is None and not self.earlier:
            return self.item
        earlier: tuple[EarlierVersion, ...] = tuple(
            replace(version, thumbnail=_wait(thumbnail))
            for version, thumbnail in zip(self.item.earlier, self.earlier, strict=True)
        )
        return replace(self.item, thumbnail=_wait(self.current), earlier=earlier)


def _wait(thumbnail: _Thumbnail) -> str | None:
    return thumbnail.result() if isinstance(thumbnail, Future) else thumbnail


def _submit(item: GalleryItem, folder: Path, pool: ThreadPoolExecutor, may_make: Callable[[], bool]) -> _Pending:
    def find_or_make(version: GalleryItem | EarlierVersion) -> _Thumbnail:
        if version.file is None:
            return None
        if version.sha256 and _exists(folder, name := _name(version.sha256)):
            return name
        return pool.submit(make_in_time, version.file, version.sha256) if may_make() else None

    def make_in_time(file: str, sha256: str | None) -> str | None:
        return make_thumbnail(folder, file, sha256=sha256) if may_make() else None

    return _Pending(item, find_or_make(item), tuple(map(find_or_make, item.earlier)))


def _exists(folder: Path, name: str) -> bool:
    try:
        return os.stat(f"{folder}/{name}").st_size > 0  # noqa: PTH116 - a Path takes five times as long
    except OSError:
        return False


def _name(sha256: str) -> str:
    return f"{THUMBNAILS}/{sha256[:2]}/{sha256[:_NAME_DIGITS]}.webp"


def _make(source: Path, target: Path) -> None:
    with Image.open(source, formats=_READ_FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError("more pixels than an image of a service can have")
        image.draft("RGB", (SIDE * 2, SIDE * 2))  # JPEG only: decodes at a fraction of the size
        small = _shrink(image)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.stem}.{uuid.uuid4().hex}.part")
    try:
        small.save(part, "WEBP", quality=_QUALITY, method=2)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _shrink(image: Image.Image) -> Image.Image:
    """Return the image with at most SIDE pixels a side, upright, with 8 bits a channel."""
    if image.mode.startswith("I"):  # 16-bit gray; converting it directly would clip everything above 255 to white
        image = image.convert("I").point(lambda level: level / 256).convert("L")
    image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=1.5)
    return ImageOps.exif_transpose(image)
