"""Reads images of a bucket ahead of the writer, because each of them takes a round trip."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from imagen_batch.exports.rows.manifest import RunImage, RunManifest, read_image

_WINDOW = 16  # images in memory


class Prefetch:
    """Reads ahead the images that pass through `through`, in order; `take` returns their bytes."""

    def __init__(self, run: RunManifest) -> None:
        self._run = run
        self._reads: dict[str, Future[bytes]] = {}

    def through(self, images: Iterable[RunImage]) -> Iterator[RunImage]:
        """Yield the same images while the bytes of the next ones are read."""
        waiting: deque[RunImage] = deque()
        with ThreadPoolExecutor(_WINDOW, thread_name_prefix="prefetch") as threads:
            try:
                for image in images:
                    self._reads[image.file] = threads.submit(read_image, self._run, image)
                    waiting.append(image)
                    if len(waiting) >= _WINDOW:
                        yield waiting.popleft()
                yield from waiting
            finally:
                threads.shutdown(cancel_futures=True)

    def take(self, image: RunImage) -> bytes:
        """Return the image's bytes; an image that was not read ahead is read now."""
        future = self._reads.pop(image.file, None)
        return future.result() if future else read_image(self._run, image)
