"""What happens to paid pictures when the disk is full in the middle of a run?

    python -m benchmarks.reliability.full_disk [REQUESTS=300]

On small file systems in memory, mounted where nobody else sees them (needs `unshare` and the right to mount): one
that is too small, one that somebody else fills at once, one where they also take whatever is given up, and one
without room for names. The run must stop with exit code 75, soon, with each paid picture on disk or told as
unknown; with space the next run goes on and pays for nothing that is on disk.
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

from benchmarks.support.jobs import close, job, ledgers, prompt_file, strays, wrong_pictures
from imagen_batch.simulator import Simulator

CONCURRENCY = 16
LATENCY_S = 0.05
CHUNK = 2**20
INSIDE = "FULL_DISK_INSIDE"  # set once this process has mounts of its own


@dataclass(frozen=True)
class Disk:
    """A file system in memory, and what somebody else does with it once a third of the pictures is made."""

    size: str = "64m"
    names: str = "10000"
    filled: bool = False
    greedy: bool = False


DISKS = {
    "too small": Disk(size="8m"),
    "filled at once": Disk(filled=True),
    "filled for good": Disk(filled=True, greedy=True),
    "no more names": Disk(names="180"),
}


def main() -> None:
    """Fill each disk, make room, go on."""
    _enter_own_mounts()
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    laws: dict[str, bool] = {}
    print(f"{'':<17}{'paid':>6}{'late':>6}{'on disk':>9}{'unknown':>9}{'records':>9}{'exit':>6}", end="")
    print(f"{'then: paid':>14}{'right':>7}{'twice':>7}{'exit':>6}")
    for name, disk in DISKS.items():
        with tempfile.TemporaryDirectory() as folder, Simulator(latency=LATENCY_S) as sim:
            source, place = prompt_file(Path(folder), requests), Path(folder) / "disk"
            with _mounted(disk, place):
                laws |= _proof(name, disk, place, source, sim)
    close(laws)


def _enter_own_mounts() -> None:
    """Go on in a mount namespace of one's own: whatever is mounted there ends with this process."""
    if INSIDE in os.environ:
        return
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    if subprocess.run([*unshare, "true"], check=False).returncode:
        sys.exit("nothing can be mounted here")
    os.execvpe(unshare[0], [*unshare, sys.executable, *sys.argv], {**os.environ, INSIDE: "1"})


@contextmanager
def _mounted(disk: Disk, place: Path) -> Iterator[None]:
    place.mkdir()
    options = f"size={disk.size},nr_inodes={disk.names}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def _proof(name: str, disk: Disk, place: Path, source: Path, sim: Simulator) -> dict[str, bool]:
    chosen, requests = {"out": str(place / "out"), "concurrency": CONCURRENCY}, source.read_text().count("picture")
    with _filled(disk, place, sim, after=requests // 3) as full_at:
        stopped = job(source, sim.url, **chosen)
    paid, counts, code = sim.bill.total, stopped.summary.counts, stopped.summary.exit_code
    records = sum(len(one) for one in ledgers(stopped.folder))
    _grow(place)
    ended = job(source, sim.url, **chosen)
    right, twice = ended.summary.counts["ok"] - len(wrong_pictures(ended, sim)), sim.bill.total - requests
    late = paid - full_at[0] if full_at else 0
    print(
        f"{name:<17}{paid:>6}{late:>6}{counts['ok']:>9}{counts['unknown']:>9}{records:>9}{code:>6}"
        f"{sim.bill.total:>14}{right:>7}{twice:>7}{ended.summary.exit_code:>6}"
    )
    return {
        f"{name}: the run stops with 75": code == 75,
        f"{name}: in the middle": 0 < counts["ok"] < requests,
        f"{name}: what is paid once the disk is full was under way": late <= CONCURRENCY,
        f"{name}: each paid picture is on disk or unknown": paid <= counts["ok"] + counts["unknown"],
        f"{name}: no more is unknown than was under way": counts["unknown"] <= CONCURRENCY,
        f"{name}: with space the run is completed": right == requests and ended.summary.exit_code == 0,
        f"{name}: only what was unknown is paid for twice": twice <= counts["unknown"],
        f"{name}: no file is there without a row": not strays(ended),
    }


def _grow(place: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=256m,nr_inodes=10000", place], check=True)


@contextmanager
def _filled(disk: Disk, place: Path, sim: Simulator, after: int) -> Iterator[list[int]]:
    """Somebody else takes all room once so many pictures are made; a greedy one also takes what comes free.

    Yields a list that will hold how many were made when the disk was full.
    """
    full_at: list[int] = []
    if not disk.filled:
        yield full_at
        return
    over, theirs = threading.Event(), place / "somebody-else"

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
    """Write until the disk is full. What is given up from then on is not taken."""
    with suppress(OSError), path.open("ab", buffering=0) as file:
        while file.write(bytes(CHUNK)) == CHUNK:
            pass


if __name__ == "__main__":
    main()
