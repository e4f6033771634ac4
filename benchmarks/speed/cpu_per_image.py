"""Measures the CPU time of an image and the images a second, with a service that takes no time.

    python -m benchmarks.speed.cpu_per_image [ROUNDS=3]

Compares `imagen-batch run` with everything on (Prefect, ledger, checks, checksum, manifest) at its default
concurrency with the clients of baselines.py, which check nothing. Images are PNGs of 1.4 MB. All run in turn, round
after round; the result is the median of the ratios. The CPU time of an image is the slope between 50 and 550
images, which excludes start-up; the images a second are those of 1,000. The CPU of the Prefect server is reported
separately. Google's client is run by GENAI_PYTHON, or else by .venv-bench/bin/python.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.support.figures import Figure, at_least, at_most, report_and_exit
from benchmarks.support.processes import cost_of, cpu_of, empty_images, prefect_server, run_command, write_prompts
from benchmarks.support.replay_server import Manner, Replay, replay
from imagen_batch.orchestration.server.own_server import OwnServer

FEW, MANY, PACED = 50, 550, 1000
ROOT = Path(__file__).parents[2]
BASELINES = str(ROOT / "benchmarks" / "support" / "baselines.py")
OTHER_PYTHON = os.environ.get("GENAI_PYTHON") or str(ROOT / ".venv-bench" / "bin" / "python")
CPU_LIMITS = {"sdk": 0.35, "loop": 0.36}  # ours over theirs
PACE_LIMITS = {"sdk": 4.0, "loop": 3.0}
SIGNATURE_BYTES = 2_900_000
SIGNED_LIMIT = 1.25  # CPU with the signature over CPU without


@dataclass(frozen=True)
class Measurement:
    """CPU of one image in ms, images a second, and CPU of an image in Prefect's server in ms."""

    cpu_ms: float
    a_second: float
    server_ms: float

    def __str__(self) -> str:
        return f"{self.cpu_ms:6.2f} ms {self.a_second:5.0f}/s {self.server_ms:6.2f} ms in Prefect's server"


def main() -> None:
    """Run the rounds and report the medians."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    names = ["ours", "signed", "loop", "sdk", "floor"] if has_sdk() else ["ours", "signed", "loop", "floor"]
    measured: dict[str, list[Measurement]] = {name: [] for name in names}
    with (
        tempfile.TemporaryDirectory() as place,
        prefect_server() as server,
        replay() as service,
        replay(Manner(signature_bytes=SIGNATURE_BYTES)) as signing,
    ):
        bench = Bench(Path(place), {"signed": signing}, service, server)
        bench.cpu("ours", FEW)  # warm-up
        for _ in range(rounds):
            for name in names:
                measured[name].append(bench.measure(name))
                print(f"{name:<6} {measured[name][-1]}", flush=True)
    report_and_exit([*_absolute(measured), *_ratios(measured)])


class Bench:
    """Runs the named client, each time into a new folder."""

    def __init__(self, place: Path, services: Mapping[str, Replay], service: Replay, server: OwnServer) -> None:
        self._place = place
        self._services = services  # by client, where it is not `service`
        self._service = service
        self._server = server
        self._runs = 0

    def measure(self, name: str) -> Measurement:
        """Run the client `name` three times."""
        before = cpu_of(self._server)
        few, many = self.cpu(name, FEW), self.cpu(name, MANY)
        service = self._services.get(name, self._service)
        service.tally()
        self.cpu(name, PACED)
        tally = service.tally()
        served = (cpu_of(self._server) - before) / (FEW + MANY + PACED)
        return Measurement((many - few) / (MANY - FEW) * 1e3, tally.replies / tally.seconds, served * 1e3)

    def cpu(self, name: str, count: int) -> float:
        """Return the seconds of CPU for `count` images."""
        self._runs += 1
        folder = self._place / f"{self._runs}"
        source = write_prompts(folder, count)
        cost = cost_of(self._command(name, source, count))
        empty_images(folder)
        return cost.cpu

    def _command(self, name: str, source: Path, count: int) -> list[str]:
        if name in ("ours", "signed"):
            return run_command(source, self._services.get(name, self._service).url)
        python = OTHER_PYTHON if name == "sdk" else sys.executable
        return [python, "-I", BASELINES, name, self._service.url, str(count), str(source.parent)]


def has_sdk() -> bool:
    """Return whether Google's client is installed, and print its version."""
    command = [OTHER_PYTHON, "-I", "-c", "from google import genai; print(genai.__version__)"]
    try:
        version = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        print(f"google-genai is skipped: {OTHER_PYTHON} does not have it (make bench installs it)")
        return False
    print(f"google-genai {version.strip()}")
    return True


def _absolute(measured: dict[str, list[Measurement]]) -> list[Figure]:
    figures = []
    for name, measurements in measured.items():
        cpu, pace = (
            _median(measurements, lambda run: run.cpu_ms),
            _median(measurements, lambda run: run.a_second),
        )
        figures.append(Figure(f"CPU and images a second, {name}", f"{cpu:.2f} ms, {pace:.0f}/s"))
    figures.append(
        Figure("CPU in Prefect's server", f"{_median(measured['ours'], lambda run: run.server_ms):.2f} ms")
    )
    return figures


def _ratios(measured: dict[str, list[Measurement]]) -> list[Figure]:
    figures = []
    for name, limit in CPU_LIMITS.items():
        pairs = list(zip(measured["ours"], measured.get(name, []), strict=False))
        if pairs:
            cpu = statistics.median(ours.cpu_ms / theirs.cpu_ms for ours, theirs in pairs)
            pace = statistics.median(ours.a_second / theirs.a_second for ours, theirs in pairs)
            figures.append(at_most(f"CPU of an image, over {name}'s", cpu, limit))
            figures.append(at_least(f"images a second, over {name}'s", pace, PACE_LIMITS[name]))
    signed = [
        with_it.cpu_ms / without.cpu_ms for with_it, without in zip(measured["signed"], measured["ours"], strict=True)
    ]
    figures.append(
        at_most(
            "CPU of an image with a signature of 2.9 MB, over one without", statistics.median(signed), SIGNED_LIMIT
        )
    )
    return figures


def _median(values: Sequence[Measurement], what: Callable[[Measurement], float]) -> float:
    return statistics.median(map(what, values))


if __name__ == "__main__":
    main()
