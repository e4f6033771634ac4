"""Measures what the checks for warnings add to the CPU time of an image.

    python -m benchmarks.speed.image_warnings

Images are PNGs and JPEGs of 1024 pixels as the services send them, and one of a flat color. The base is what every
image costs anyway: base64, the check of the file with its checksum, and writing it.
"""

from __future__ import annotations

import base64
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.support.figures import Figure, at_most, report_and_exit
from imagen_batch.images.compare_aspect_ratio import has_other_ratio
from imagen_batch.images.flat_color import is_flat_color
from imagen_batch.images.validate import validate
from imagen_batch.ledger.identical_images import ImageDigests
from imagen_batch.providers.wire.decode_image import image_bytes

_ROUNDS = 60
_LIMIT_PERCENT = 2.0


def main() -> None:
    """Measure and print."""
    bodies = {"PNG": _photo("PNG"), "JPEG": _photo("JPEG", quality=95), "small JPEG": _photo("JPEG", quality=90)}
    figures = [figure for name, data in bodies.items() for figure in _measure(name, data)]
    flat = Image.new("RGB", (1024, 1024), "teal")
    for kind in ("PNG", "JPEG"):
        milliseconds = _cpu_ms(_checks(_encoded(flat, kind), f"image/{kind.lower()}"))
        figures.append(Figure(f"flat {kind}: checks", f"{milliseconds:.2f} ms (only such images are decoded)"))
    report_and_exit([*figures, _duplicates()])


def _measure(name: str, data: bytes) -> list[Figure]:
    mime_type = "image/png" if name == "PNG" else "image/jpeg"
    checks, base = _cpu_ms(_checks(data, mime_type)), _cpu_ms(_without_checks(data))
    return [
        Figure(f"{name} of {len(data) / 1e6:.2f} MB: base", f"{base:.2f} ms"),
        Figure(f"{name}: checks", f"{checks * 1000:.2f} us"),
        at_most(f"{name}: checks", 100 * checks / base, _LIMIT_PERCENT, " %"),
    ]


def _checks(data: bytes, mime_type: str) -> Callable[[], object]:
    digests, digest = ImageDigests(), "ab" * 32

    def check() -> None:
        is_flat_color(data, mime_type, pixels=1 << 20)
        has_other_ratio(1024, 1024, "1:1", dialect="generate_content")
        digests.add(digest, position=7)

    return check


def _without_checks(data: bytes) -> Callable[[], object]:
    text = base64.b64encode(data).decode()
    place = Path(tempfile.mkdtemp()) / "image"

    def base() -> None:
        received = image_bytes(text)
        assert received is not None
        validate(received)
        place.write_bytes(received)

    return base


def _duplicates() -> Figure:
    """Measure the search for equal bytes among a million images, once at the end of a run."""
    digests = ImageDigests()
    for number in range(1_000_000):
        digests.add(f"{number * 2654435761 % 2**64:016x}", position=number)
    began = time.process_time()
    assert not digests.find_repeated()
    return at_most("duplicates among 1,000,000 images", time.process_time() - began, 2.0, " s")


def _cpu_ms(work: Callable[[], object]) -> float:
    times = []
    for _ in range(_ROUNDS):
        began = time.thread_time()
        for _ in range(10):
            work()
        times.append((time.thread_time() - began) / 10)
    return statistics.median(times) * 1000


def _photo(kind: str, **options: object) -> bytes:
    """Draw a gradient with the noise of paper: as large as an image of a service."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[0:1024, 0:1024]
    levels = np.stack([x / 4, y / 4, (x + y) / 8], -1) + rng.normal(0, 2.5, (1024, 1024, 3))
    return _encoded(Image.fromarray(levels.clip(0, 255).astype("uint8")), kind, **options)


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)  # type: ignore[arg-type]
    return target.getvalue()


if __name__ == "__main__":
    main()
