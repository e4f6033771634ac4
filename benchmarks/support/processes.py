"""Measures the cost of a command, including its child processes.

A child's reported peak memory is at least its parent's at the start of the child, so import little beside this
module.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from imagen_batch.orchestration.server.own_server import OwnServer

COMMAND = str(Path(sys.executable).with_name("imagen-batch"))
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """Seconds of wall time and of CPU (user and system), and the peak of memory in MB."""

    seconds: float
    cpu: float
    peak_mb: float


def cost_of(command: Sequence[str], *, env: Mapping[str, str] | None = None) -> Cost:
    """Run `command`. If it fails, print its standard error and raise CalledProcessError."""
    began = time.monotonic()
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
        assert child.stderr
        errors = child.stderr.read()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.stderr.buffer.write(errors)
        raise subprocess.CalledProcessError(child.returncode, command)
    return Cost(time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def run_command(source: Path, url: str, *options: str) -> list[str]:
    """Return the command `imagen-batch run` of `source`, into `out` beside it, with the service at `url`."""
    folder = str(source.parent / "out")
    return [
        COMMAND,
        "run",
        str(source),
        "--out",
        folder,
        "--provider",
        "simulator",
        "--base-url",
        url,
        "-q",
        *options,
    ]


def write_prompts(folder: Path, count: int) -> Path:
    """Create `folder` with a prompt file of `count` rows."""
    folder.mkdir(parents=True)
    path = folder / "prompts.csv"
    path.write_text("prompt\n" + "".join(f"picture {number}\n" for number in range(count)), encoding="utf-8")
    return path


def empty_images(folder: Path) -> None:
    """Free the space of all images. Their names stay, because deleting many files may slow the file system down."""
    for path in folder.rglob("*.png"):
        os.truncate(path, 0)


@contextmanager
def prefect_server() -> Iterator[OwnServer]:
    """Run a Prefect server and set PREFECT_API_URL for the commands of the block."""
    server = OwnServer()
    try:
        server.wait()
        yield server
    finally:
        server.stop()
        del os.environ["PREFECT_API_URL"]


def cpu_of(server: OwnServer) -> float:
    """Return the seconds of CPU that a server has used."""
    fields = Path(f"/proc/{server._child.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND
