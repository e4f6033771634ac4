"""Checks that a full disk loses no paid image.

    python -m benchmarks.reliability.full_disk [REQUESTS=300]

Uses small file systems in memory in a private mount namespace (needs `unshare` and the right to mount): one that is
too small, one that another program fills at once, one where that program also takes all space that is released, and
one without free inodes. The run must soon stop with exit code 75, with each paid image on disk or reported as
unknown. Once there is space, the next run continues and pays for no image that is on disk.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.support.jobs import close, job, ledgers, prompt_file, strays, wrong_images
from imagen_batch.simulator import Simulator

CONCURRENCY = 16
LATENCY_S = 0.05
CHUNK = 2**20
INSIDE = "FULL_DISK_INSIDE"  # set once this process has its own mounts


@dataclass(frozen=True)
class Disk:
    """A file system in memory, and what another program does to it after a third of the images."""

    size: str = "64m"
    names: str = "10000"
    filled: bool = False
    greedy: bool = False


DISKS = {
    "too small": Disk(size="8m"),
    "filled at once": Disk(filled=True),
    "filled for good": Disk(filled=True, greedy=True),
    "no free inodes": Disk(names="180"),
}


def main() -> None:
    """Fill each disk, free space, and continue."""
    _enter_own_mounts()
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    checks: dict[str, bool] = {}
    print(f"{'':<17}{'paid':>6}{'late':>6}{'on disk':>9}{'unknown':>9}{'records':>9}{'exit':>6}", end="")
    print(f"{'then: paid':>14}{'right':>7}{'twice':>7}{'exit':>6}")
    for name, disk in DISKS.items():
        with tempfile.TemporaryDirectory() as folder, Simulator(latency=LATENCY_S) as sim:
            source, place = prompt_file(Path(folder), requests), Path(folder) / "disk"
            with _mounted(disk, place):
                checks |= _check(name, disk, place, source, sim)
    close(checks)


def _enter_own_mounts() -> None:
    """Restart in a private mount namespace, whose mounts end with this process."""
    if INSIDE in os.environ:
        return
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    if subprocess.run([*unshare, "true"], check=False).returncode:
        sys.exit("this machine does not allow mounting")
    os.execvpe(
        unshare[0],
        [*unshare, sys.executable, "-m", "benchmarks.reliability.full_disk", *sys.argv[1:]],
        {**os.environ, INSIDE: "1"},
    )


@contextmanager
def _mounted(disk: Disk, place: Path) -> Iterator[None]:
    place.mkdir()
    options = f"size={disk.size},nr_inodes={disk.names}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def _check(name: str, disk: Disk, place: Path, source: Path, sim: Simulator) -> dict[str, bool]:
    chosen, requests = {"out": str(place / "out"), "concurrency": CONCURRENCY}, source.read_text().count("picture")
    with _filling(disk, place, sim, after=requests // 3) as full_at:
        stopped = job(source, sim.url, **chosen)
    paid, counts, code = sim.bill.total, stopped.summary.counts, stopped.summary.exit_code
    records = sum(len(ledger) for ledger in ledgers(stopped.folder))
    _grow(place)
    ended = job(source, sim.url, **chosen)
    right, twice = ended.summary.counts["ok"] - len(wrong_images(ended, sim)), sim.bill.total - requests
    late = paid - full_at[0] if full_at else 0
    print(
        f"{name:<17}{paid:>6}{late:>6}{counts['ok']:>9}{counts['unknown']:>9}{records:>9}{code:>6}"
        f"{sim.bill.total:>14}{right:>7}{twice:>7}{ended.summary.exit_code:>6}"
    )
    return {
        f"{name}: the run stops with 75": code == 75,
        f"{name}: in the middle": 0 < counts["ok"] < requests,
        f"{name}: images paid for after the disk was full were in flight": late <= CONCURRENCY,
        f"{name}: each paid image is on disk or unknown": paid <= counts["ok"] + counts["unknown"],
        f"{name}: no more is unknown than was in flight": counts["unknown"] <= CONCURRENCY,
        f"{name}: with space the run is completed": right == requests and ended.summary.exit_code == 0,
        f"{name}: only what was unknown is paid for twice": twice <= counts["unknown"],
        f"{name}: no file is there without a row": not strays(ended),
    }


def _grow(place: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=256m,nr_inodes=10000", place], check=True)


@contextmanager
def _filling(disk: Disk, place: Path, sim: Simulator, after: int) -> Iterator[list[int]]:
    """Fill the disk from another thread once `after` images are made; a greedy one also takes released space.

    Yields a list that receives the number of images made when the disk was full.
    """
    full_at: list[int] = []
    if not disk.filled:
        yield full_at
        return
    over, theirs = threading.Event(), place / "other-program"

    def fill() -> None:
        while sim.bill.total < after and not over.wait(0.002):
            pass
        _take_all(theirs)
        full_at.append(sim.bill.total)
        while disk.greedy and not over.wait(0.002):
            _take_all(theirs)

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        yield full_at
    finally:
        over.set()
        thread.join()
        theirs.unlink()


def _take_all(path: Path) -> None:
    """Write until the disk is full. Space that is released later stays free."""
    with suppress(OSError), path.open("ab", buffering=0) as file:
        while file.write(bytes(CHUNK)) == CHUNK:
            pass


if __name__ == "__main__":
    main()
