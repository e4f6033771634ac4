"""Measures how quickly a gallery of 10,000 or 100,000 images opens, and its memory.

    python -m benchmarks.speed.gallery [IMAGES...]

Writes a gallery with a thumbnail file for every image, opens it from disk in a headless Chromium, and prints how long
until the first cards are there, until everything is read, how long a filter, a search and a mark take, and what the
page's memory is. Also how long the page delays the end of a run, and how large the page of a million samples is.
Needs Chromium and the packages of the browser tests.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.support.figures import Figure, at_most, report_and_exit
from imagen_batch.reports.tables.manifest import manifest_columns
from imagen_batch.review import GalleryItem, with_thumbnails, write_gallery
from imagen_batch.review.run_gallery import write_run_gallery
from imagen_batch.storage import Folder
from tests.review.browser import CTRL, Chromium, Page
from tests.review.run_folders import image_bytes

VARIANTS = 4
FIRST_VIEW_S = {10_000: 1.0, 100_000: 1.0}
COMPLETE_S = {10_000: 1.5, 100_000: 6.0}
ACTION_S, MARK_MS, HEAP_MB, ALL_S = 0.5, 50.0, 250, 2.0
_RUNS = 3
_PART = 10_000  # samples of a row group
_FILES = 400  # different thumbnails; the others are hard links, which the browser loads as files of their own


def main() -> None:
    """Measure and print."""
    figures = [_thumbnail_speed(), *_end_of_run(1_000), *_end_of_run(10_000), *_end_of_run(1_000_000)]
    for images in map(int, sys.argv[1:] or ("10000", "100000")):
        figures += _measure(images)
    report_and_exit(figures)


def _measure(images: int) -> list[Figure]:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as home:
        folder = Path(home) / "run"
        began = time.perf_counter()
        page_file = _write(folder, images)
        figures = [
            Figure(f"{images:,}: page written, size", f"{time.perf_counter() - began:.1f} s, {_mb(page_file):.1f} MB")
        ]
        chromium = Chromium(Path(home))
        try:
            opened = [_open(chromium, page_file) for _ in range(_RUNS)]
            first, complete = (statistics.median(each[at] for each in opened) for at in (0, 1))
            figures.append(at_most(f"{images:,}: first view", first, FIRST_VIEW_S.get(images, 1), " s"))
            figures.append(at_most(f"{images:,}: all data read", complete, COMPLETE_S.get(images, 6), " s"))
            with chromium.page() as page:
                page.open(page_file.as_uri())
                figures += _use(page, images)
                figures.append(Figure(f"{images:,}: memory of its process", f"{_renderer_mb(chromium):.0f} MB"))
        finally:
            chromium.stop()
    return figures


def _renderer_mb(chromium: Chromium) -> float:
    """Return the memory of the largest browser process that draws pages."""
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in chromium.renderers()]
    return max(int(status.split("VmRSS:")[1].split()[0]) for status in statuses) / 1024


def _open(chromium: Chromium, page_file: Path) -> tuple[float, float]:
    """Return the seconds from the start of the navigation to the first cards, and to the end of reading."""
    with chromium.page() as page:
        page.open(page_file.as_uri())
        marks = "performance.getEntriesByType('{}').find(entry => entry.name === '{}')?.startTime"
        painted = page.run(marks.format("paint", "first-contentful-paint")) or 0
        first = max(painted, page.run(marks.format("mark", "first-view")))
        return first / 1000, page.run(marks.format("mark", "complete")) / 1000


def _use(page: Page, images: int) -> list[Figure]:
    name = f"{images:,}"
    page.send("HeapProfiler.enable")
    page.send("HeapProfiler.collectGarbage")
    heap = page.run("performance.memory.usedJSHeapSize") / 2**20
    search = _timed(page, "document.querySelector('#search').value = 'lantern 7'; ", "search", "input", 0.12)
    mark = statistics.median(_press(page, "a") for _ in range(40))
    undo = statistics.median(_press(page, "u") for _ in range(40))
    if page.run("document.querySelector('#filters').hidden"):
        page.press("f")
    filtered = page.run(
        "(() => { const start = performance.now(); document.querySelector('.value').click();"
        " document.body.offsetHeight; return performance.now() - start; })()"
    )
    page.run("document.querySelector('#clear-filters').click()")
    scroll = page.run(_SCROLL)
    page.run("document.querySelector('#grid').focus()")
    page.press("a", modifiers=CTRL)
    everything = _press(page, "r")
    kept = bool(page.run("document.querySelector('#warning').hidden"))
    return [
        at_most(f"{name}: heap of the page", heap, HEAP_MB, " MB"),
        at_most(f"{name}: filter", filtered / 1000, ACTION_S, " s"),
        at_most(f"{name}: search", search, ACTION_S, " s"),
        at_most(f"{name}: mark and move on", mark * 1000, MARK_MS, " ms"),
        at_most(f"{name}: undo", undo * 1000, MARK_MS, " ms"),
        at_most(f"{name}: mark everything", everything, ALL_S, " s"),
        Figure(f"{name}: everything marked is kept", "yes" if kept else "NO", "yes", kept),
        Figure(f"{name}: longest frame of 60 jumps", f"{scroll['longest']:.0f} ms, {scroll['elements']} elements"),
    ]


_SCROLL = """new Promise(async done => {
  let longest = 0, last = performance.now();
  for (let jump = 0; jump < 60; jump += 1) {
    scrollTo(0, document.body.scrollHeight * ((jump * 0.37) % 1));
    await new Promise(requestAnimationFrame);
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }
  done({ longest, elements: document.querySelectorAll('*').length });
})"""


def _timed(page: Page, prepare: str, element: str, event: str, wait_s: float) -> float:
    """Return the seconds until the list has changed, without the pause of the page for more typing."""
    milliseconds = page.run(
        f"new Promise(done => {{ {prepare} const start = performance.now();"
        " new MutationObserver(() => { document.body.offsetHeight; done(performance.now() - start); })"
        ".observe(document.querySelector('#found'), { childList: true, characterData: true, subtree: true });"
        f" document.querySelector('#{element}').dispatchEvent(new Event('{event}')); }})"
    )
    return float(milliseconds) / 1000 - wait_s


def _press(page: Page, key: str) -> float:
    """Return the seconds of the page's work on a key, with layout."""
    return float(
        page.run(
            "(() => { const start = performance.now(); document.activeElement.dispatchEvent("
            f"new KeyboardEvent('keydown', {{ key: '{key}', bubbles: true, cancelable: true }}));"
            " document.body.offsetHeight; return performance.now() - start; })()"
        )
        / 1000
    )


def _thumbnail_speed() -> Figure:
    """Measure thumbnails of 1024-pixel PNGs, made by the pool as it is."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        (folder / "images").mkdir()
        items = []
        for number in range(60):
            name = f"images/{number}.png"
            (folder / name).write_bytes(image_bytes(number, size=(1024, 1024)))
            items.append(GalleryItem(row=number + 1, sample=1, status="ok", prompt="p", key="", file=name))
        began = time.perf_counter()
        made = sum(item.thumbnail is not None for item in with_thumbnails(items, folder))
        return Figure("thumbnails of 1024 px, a second", f"{made / (time.perf_counter() - began):.0f}")


def _end_of_run(samples: int) -> list[Figure]:
    """Measure the delay at the end of `run`, with 1024-pixel PNGs without thumbnails."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as home:
        folder = Path(home) / "run"
        _write_manifest(folder, samples)
        began = time.perf_counter()
        if not write_run_gallery(Folder(folder), warn=print):
            raise SystemExit("the page was not written")
        seconds = time.perf_counter() - began
        thumbnails = sum(1 for _ in folder.glob(".imagen-batch/thumbs/*/*.webp"))
        size = Figure(
            f"end of a run of {samples:,}: page, thumbnails", f"{_mb(folder / 'gallery.html'):.1f} MB, {thumbnails:,}"
        )
        return [at_most(f"end of a run of {samples:,}: delay", seconds, 1 + samples / 1000, " s"), size]


def _write_manifest(folder: Path, samples: int) -> None:
    """Write samples that share 60 files, each with its own checksum."""
    (folder / "images").mkdir(parents=True)
    for number in range(60):
        (folder / f"images/{number}.png").write_bytes(image_bytes(number, size=(1024, 1024)))
    table = pa.schema([(column.name, column.type) for column in manifest_columns(())])
    with pq.ParquetWriter(folder / "manifest.parquet", table) as writer:
        for start in range(0, samples, _PART):
            part = [_record(number) for number in range(start, min(start + _PART, samples))]
            writer.write_table(pa.Table.from_pylist(part, schema=table))


def _record(number: int) -> dict[str, object]:
    row = number // VARIANTS + 1
    return {
        "row": row,
        "sample": number % VARIANTS + 1,
        "status": "ok",
        "file": f"images/{number % 60}.png",
        "prompt": f"A hedgehog with lantern {row}, ink and watercolor, soft light, storybook spread",
        "model": "imagen-4.0",
        "provider": "simulator",
        "sha256": hashlib.sha256(f"{number}".encode()).hexdigest(),
        "key": hashlib.sha256(f"row {row}".encode()).hexdigest(),
        "width": 1024,
        "height": 1024,
    }


def _write(folder: Path, images: int) -> Path:
    folder.mkdir(parents=True)
    target = folder / "gallery.html"
    with target.open("wb") as file:
        write_gallery(_items(folder, images), file, title=f"{images:,} images", run="benchmark")
    return target


def _items(folder: Path, images: int) -> Iterator[GalleryItem]:
    thumbs = folder / ".imagen-batch/thumbs"
    for number in range(images):
        row, sample = number // VARIANTS + 1, number % VARIANTS + 1
        key = hashlib.sha256(f"{row}".encode()).hexdigest()
        digest = hashlib.sha256(f"{row} {sample}".encode()).hexdigest()
        _thumbnail(thumbs, number, digest)
        yield GalleryItem(
            row=row,
            sample=sample,
            id=f"scene-{row}",
            status="ok" if number % 50 else "filtered",
            file=f"images/{row:06}_{sample:02}_{key[:8]}.png" if number % 50 else None,
            sha256=digest,
            thumbnail=f".imagen-batch/thumbs/{digest[:2]}/{digest[:24]}.webp" if number % 50 else None,
            width=1024,
            height=1024,
            prompt=f"A hedgehog with lantern {row}, " + "ink and watercolor, soft light, storybook spread, " * 3,
            key=key,
            model="imagen-4.0",
            provider="simulator",
            reason=None if number % 50 else "Blocked.",
            category=None if number % 50 else "violence",
            cost_usd=0.04,
            user={"chapter": f"chapter {row % 12}", "page": str(row)},
        )


def _thumbnail(thumbs: Path, number: int, digest: str) -> None:
    path = thumbs / digest[:2] / f"{digest[:24]}.webp"
    path.parent.mkdir(parents=True, exist_ok=True)
    original = thumbs / f"{number % _FILES}.webp"
    if not original.exists():
        original.write_bytes(image_bytes(number, size=(320, 320), kind="WEBP"))
    os.link(original, path)


def _mb(path: Path) -> float:
    return path.stat().st_size / 2**20


if __name__ == "__main__":
    main()
