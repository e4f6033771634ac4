"""What does a picture cost in CPU, and how many come a second, when the service takes no time at all?

    python -m benchmarks.speed.cpu_per_image [ROUNDS=3]

`imagen-batch run` with everything on (Prefect, ledger, checks, checksum, manifest) at its default concurrency against
those of peers.py that check nothing. Pictures are PNGs of 1.4 MB. All run in turn, round after round, and what counts
is the median of a round's ratios. CPU of a picture is the slope between 50 and 550, so that starting falls out; the
pace is that of 1,000. The Prefect server's own CPU is told apart. Google's client is run by GENAI_PYTHON, else by
.venv-bench/bin/python.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.support.figures import Figure, at_least, at_most, tell
from benchmarks.support.processes import cost_of, cpu_of, empty_pictures, prefect_server, run_command, write_prompts
from benchmarks.support.replay_server import Replay, replay
from imagen_batch.orchestration.prefect_server import OwnServer

FEW, MANY, PACED = 50, 550, 1000
PEERS = str(Path(__file__).with_name("peers.py"))
OTHER_PYTHON = os.environ.get("GENAI_PYTHON") or str(Path(__file__).parent.parent / ".venv-bench" / "bin" / "python")
CPU_LIMITS = {"sdk": 0.50, "loop": 0.36}  # ours over theirs
PACE_LIMITS = {"sdk": 2.0, "loop": 3.0}


@dataclass(frozen=True)
class Took:
    """CPU of one picture in ms, pictures a second, and CPU of a picture in Prefect's server in ms."""

    cpu_ms: float
    a_second: float
    server_ms: float

    def __str__(self) -> str:
        return f"{self.cpu_ms:6.2f} ms {self.a_second:5.0f}/s {self.server_ms:6.2f} ms in Prefect's server"


def main() -> None:
    """Run the rounds and tell medians."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    names = ["ours", "loop", "sdk", "floor"] if _has_sdk() else ["ours", "loop", "floor"]
    took: dict[str, list[Took]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as place, prefect_server() as server, replay() as service:
        bench = Bench(Path(place), service, server)
        bench.cpu("ours", FEW)  # whatever is slow only once
        for _ in range(rounds):
            for name in names:
                took[name].append(bench.took(name))
                print(f"{name:<6} {took[name][-1]}", flush=True)
    tell([*_absolute(took), *_ratios(took)])


class Bench:
    """Runs whoever is asked for, each time into a new folder."""

    def __init__(self, place: Path, service: Replay, server: OwnServer) -> None:
        self._place = place
        self._service = service
        self._server = server
        self._runs = 0

    def took(self, name: str) -> Took:
        """Three runs of `name`."""
        before = cpu_of(self._server)
        few, many = self.cpu(name, FEW), self.cpu(name, MANY)
        self._service.tally()
        self.cpu(name, PACED)
        tally = self._service.tally()
        served = (cpu_of(self._server) - before) / (FEW + MANY + PACED)
        return Took((many - few) / (MANY - FEW) * 1e3, tally.replies / tally.seconds, served * 1e3)

    def cpu(self, name: str, count: int) -> float:
        """Seconds of CPU for so many pictures."""
        self._runs += 1
        folder = self._place / f"{self._runs}"
        source = write_prompts(folder, count)
        cost = cost_of(self._command(name, source, count))
        empty_pictures(folder)
        return cost.cpu

    def _command(self, name: str, source: Path, count: int) -> list[str]:
        if name == "ours":
            return run_command(source, self._service.url)
        python = OTHER_PYTHON if name == "sdk" else sys.executable
        return [python, "-I", PEERS, name, self._service.url, str(count), str(source.parent)]


def _has_sdk() -> bool:
    asked = [OTHER_PYTHON, "-I", "-c", "from google import genai; print(genai.__version__)"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        print(f"google-genai is left out: {OTHER_PYTHON} has none (make bench installs it)")
        return False
    print(f"google-genai {said.strip()}")
    return True


def _absolute(took: dict[str, list[Took]]) -> list[Figure]:
    figures = []
    for name, all_took in took.items():
        cpu, pace = _middle(all_took, lambda one: one.cpu_ms), _middle(all_took, lambda one: one.a_second)
        figures.append(Figure(f"CPU and pace of a picture, {name}", f"{cpu:.2f} ms, {pace:.0f}/s"))
    figures.append(Figure("CPU in Prefect's server", f"{_middle(took['ours'], lambda one: one.server_ms):.2f} ms"))
    return figures


def _ratios(took: dict[str, list[Took]]) -> list[Figure]:
    figures = []
    for name, limit in CPU_LIMITS.items():
        pairs = list(zip(took["ours"], took.get(name, []), strict=False))
        if pairs:
            cpu = statistics.median(ours.cpu_ms / theirs.cpu_ms for ours, theirs in pairs)
            pace = statistics.median(ours.a_second / theirs.a_second for ours, theirs in pairs)
            figures.append(at_most(f"CPU of a picture, over {name}'s", cpu, limit))
            figures.append(at_least(f"pictures a second, over {name}'s", pace, PACE_LIMITS[name]))
    return figures


def _middle(took: Sequence[Took], what: Callable[[Took], float]) -> float:
    return statistics.median(map(what, took))


if __name__ == "__main__":
    main()
