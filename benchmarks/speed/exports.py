"""Measures speed and peak memory of exports of 10,000 and 100,000 images.

    python -m benchmarks.speed.exports [LARGE=100000]

Each export runs in a process of its own, from a run whose 200 different images of about 12 kB have that many names.
Memory must not grow with the number of images; `--report` keeps a hash and a name of each, and here a finding too,
since nearly every image repeats another one.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from benchmarks.support.figures import Figure, at_most, report_and_exit
from imagen_batch.prompts.infer_column_types import ColumnType
from imagen_batch.records import ManifestRow, Options, PromptRow, RequestTrace, SampleResult
from imagen_batch.reports.tables.write import TableWriter
from imagen_batch.storage import Folder

SMALL = 10_000
DIFFERENT = 200
GROWTH_MB = 60
REPORT_MB = 220
FORMATS = ("imagefolder", "parquet", "webdataset", "captions", "coco", "labelstudio", "csv", "folder")
_EXPORT = (
    "import sys; from imagen_batch.exports.export import export\n"
    "run, to, out, report = sys.argv[1:]\n"
    "export(run, to=to, out=out, split='train=0.9,test=0.1', report=report == 'report')\n"
    "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"
)


def main() -> None:
    """Measure each format at both sizes."""
    large = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as place:
        runs = {count: make_run(Path(place) / f"run-{count}", count) for count in (SMALL, large)}
        for name in (*FORMATS, "csv --report"):
            to, _, report = name.partition(" --")
            peaks = {}
            for count, run in runs.items():
                seconds, peaks[count] = measure(run, to, Path(place) / "out", report)
                print(f"{name}: {count:,} images, {seconds:.1f} s, {peaks[count]:.0f} MB", flush=True)
            figures.append(
                Figure(f"{name}: {large:,} images", f"{large / seconds:,.0f} images/s, {peaks[large]:.0f} MB")
            )
            growth = peaks[large] - peaks[SMALL]
            figures.append(
                at_most(f"{name}: more than {SMALL:,} take", growth, REPORT_MB if report else GROWTH_MB, " MB")
            )
    report_and_exit(figures)


def make_run(folder: Path, count: int) -> Path:
    """Create a finished run whose images are links to a few."""
    images = [_image(number) for number in range(DIFFERENT)]
    (folder / "images").mkdir(parents=True)
    for number, data in enumerate(images):
        (folder / f"image-{number}.jpg").write_bytes(data)
    user = {"chapter": ColumnType("int")}
    with TableWriter(Folder(folder), user_columns=user, columns=("prompt", *user), provider="simulator") as tables:
        for entry in _entries(images, count):
            tables.add(entry)
            os.link(folder / f"image-{entry.row.row % DIFFERENT}.jpg", folder / str(entry.sample.file))
    return folder


def measure(run: Path, to: str, out: Path, report: str) -> tuple[float, float]:
    """Return seconds and peak MB of one export. It reads its own peak: `ru_maxrss` begins with that of the parent."""
    started = time.monotonic()
    command = [sys.executable, "-c", _EXPORT, run, to, out, report]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=900)
    seconds = time.monotonic() - started
    shutil.rmtree(out)
    return seconds, int(done.stdout) / 1024


def _entries(images: list[bytes], count: int) -> Iterator[ManifestRow]:
    hashes = [hashlib.sha256(data).hexdigest() for data in images]
    for row in range(1, count + 1):
        data, chapter = images[row % DIFFERENT], str(row % 40)
        prompt = f"scene {row}: " + "a fox walks through deep snow at dusk, ink and watercolor, " * 4
        yield ManifestRow(
            row=PromptRow(row=row, line=row + 1, prompt=prompt, cells={}, user={"chapter": chapter}),
            sample=SampleResult(
                number=1,
                status="ok",
                file=f"images/{row:06}_01_{row:08x}.jpg",
                mime_type="image/jpeg",
                width=256,
                height=256,
                bytes=len(data),
                sha256=hashes[row % DIFFERENT],
                c2pa=False,
            ),
            trace=RequestTrace(key=hashlib.sha256(str(row).encode()).hexdigest(), attempts=1, http_status=200),
            model="gemini-3.1-flash-image",
            provider="simulator",
            dialect="generate_content",
            prompt=prompt,
            options=Options(),
        )


def _image(number: int) -> bytes:
    noise = Image.frombytes("RGB", (64, 64), random.Random(number).randbytes(64 * 64 * 3))
    file = io.BytesIO()
    noise.resize((256, 256), Image.Resampling.BICUBIC).save(file, "JPEG", quality=80)
    return file.getvalue()


if __name__ == "__main__":
    main()
