"""Compares the CPU time of an image with what C needs for the least that any client has to do.

    python -m benchmarks.speed.c_limit [ROUNDS=5]

c_limit.c receives each reply, decodes its base64 with SIMD, hashes, writes and renames, and checks nothing.
It is compiled with `cc`, or left out where there is none. Both run in turn, round after round. The CPU time of an
image is the slope between 50 and 550 images, which excludes start-up; the result is the median of the ratios.
"""

from __future__ import annotations

import hashlib
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.support.figures import Figure, at_most, report_and_exit
from benchmarks.support.processes import cost_of, empty_images, prefect_server, run_command, write_prompts
from benchmarks.support.replay_server import Replay, image, replay

FEW, MANY = 50, 550
MAX_RATIO = 2.2  # ours over the limit's
SOURCE = Path(__file__).with_suffix(".c")
_SIDE = 1024


def main() -> None:
    """Run the rounds and report the medians."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as place, prefect_server(), replay() as service:
        limit = _compile(Path(place))
        if limit is None:
            report_and_exit([Figure("CPU of an image, over C's", "not measured: there is no C compiler")])
        _check(limit, service, Path(place))
        pairs = []
        for number in range(rounds):
            ours = _slope(Path(place) / f"ours{number}", service, None)
            theirs = _slope(Path(place) / f"c{number}", service, limit)
            pairs.append((ours, theirs))
            print(f"ours {ours:.2f} ms, C {theirs:.2f} ms", flush=True)
    ours, theirs = (statistics.median(each) for each in zip(*pairs, strict=True))
    report_and_exit(
        [
            Figure("CPU of an image in C", f"{theirs:.2f} ms, ours {ours:.2f} ms"),
            at_most("CPU of an image, over C's", statistics.median(one / other for one, other in pairs), MAX_RATIO),
        ]
    )


def _compile(place: Path) -> str | None:
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    program = str(place / "c_limit")
    subprocess.run([compiler, "-O3", "-o", program, str(SOURCE), "-ldl"], check=True)
    return program


def _check(limit: str, service: Replay, place: Path) -> None:
    """Make sure that C writes the image that the service sends."""
    folder = place / "check"
    folder.mkdir()
    cost_of([limit, service.url.rpartition(":")[2], "1", str(folder)])
    written = hashlib.sha256((folder / "0.png").read_bytes()).hexdigest()
    assert written == hashlib.sha256(image(_SIDE)).hexdigest()


def _slope(place: Path, service: Replay, limit: str | None) -> float:
    """Return the CPU of an image in ms."""
    seconds = []
    for count in (FEW, MANY):
        folder = place / str(count)
        source = write_prompts(folder, count)
        port = service.url.rpartition(":")[2]
        command = [limit, port, str(count), str(folder)] if limit else run_command(source, service.url)
        seconds.append(cost_of(command).cpu)
        empty_images(folder)
    return (seconds[1] - seconds[0]) / (MANY - FEW) * 1e3


if __name__ == "__main__":
    main()
