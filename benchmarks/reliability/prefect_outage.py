"""Checks that a run survives the loss of Prefect's server at any moment.

    python -m benchmarks.reliability.prefect_outage [MOMENTS=20] [SIGNAL=KILL]

Starts the real command with its own server process against a simulator, and sends SIGKILL (or SIGSTOP, given as STOP)
to that server: in a quarter of the runs while it boots, in the others between the first reply and the exit, where
Prefect records the end. Each run must end within 10 s of its last reply, with its own exit code and its summary on
standard output, with every image made and nothing paid for twice.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.support.processes import run_command, write_prompts
from imagen_batch.simulator import Simulator

PROMPTS = 24
LATENCY_S = 1.0
LIMIT_S = 10.0
CONCURRENCY = 4
_BOOT_S = 4.0
_WHOLE_S = 8.5  # from the first reply: 6 s of requests, then Prefect's shutdown


@dataclass(frozen=True)
class Outcome:
    """The result of a run whose server was lost at that moment."""

    moment: str
    was_running: bool  # the run was still going
    code: int
    ok: int  # from the summary; -1 without one
    after_reply: float  # seconds from the last reply to the end of the process
    lines: list[str]

    @property
    def good(self) -> bool:
        """Return whether the run met all requirements."""
        return self.code == 0 and self.ok == PROMPTS and self.after_reply < LIMIT_S


def main() -> None:
    """Try all moments, and print a line for each."""
    moments = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    number = signal.Signals[f"SIG{sys.argv[2]}"] if len(sys.argv) > 2 else signal.SIGKILL
    outcomes = []
    for index in range(moments):
        booting = moments // 4
        if index < booting:
            outcome = _try_moment(_BOOT_S * index / booting, number, from_first_reply=False)
        else:
            outcome = _try_moment(_WHOLE_S * (index - booting) / (moments - booting), number, from_first_reply=True)
        outcomes.append(outcome)
        message = next((line for line in outcome.lines if "Prefect" in line and "starting" not in line), "")
        print(
            f"{outcome.moment}  exit {outcome.code}  {outcome.ok} ok  "
            f"{outcome.after_reply:4.1f} s after the last reply  "
            f"{len(outcome.lines)} lines  {'' if outcome.was_running else '(had ended) '}{message[:150]}",
            flush=True,
        )
    worst = max(outcome.after_reply for outcome in outcomes)
    bad = [outcome for outcome in outcomes if not outcome.good]
    print(f"{len(outcomes)} moments, {number.name}: worst {worst:.1f} s after the last reply, {len(bad)} bad")
    if bad:
        print("\n".join(bad[0].lines), file=sys.stderr)
        sys.exit("a run did not survive the loss of Prefect's server")


def _try_moment(at: float, number: signal.Signals, *, from_first_reply: bool) -> Outcome:
    last: list[float] = []
    with tempfile.TemporaryDirectory() as name, Simulator(latency=LATENCY_S) as sim:
        threading.Thread(target=_note_replies, args=(sim, last), daemon=True).start()
        source = write_prompts(Path(name) / "job", PROMPTS)
        command = [word for word in run_command(source, sim.url) if word != "-q"]
        command += ["--json", "--concurrency", str(CONCURRENCY)]
        env = {key: value for key, value in os.environ.items() if key != "PREFECT_API_URL"}
        child = subprocess.Popen(
            command, cwd=source.parent, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        while from_first_reply and not last:
            time.sleep(0.02)
        time.sleep(at)
        was_running = _signal_server(child.pid, number)
        out, err = child.communicate(timeout=300)
        ended = time.monotonic()
        ok = json.loads(out)["samples"]["ok"] if out.strip() else -1
        assert sim.bill.total <= PROMPTS, "an image was paid twice"
        moment = f"{at:4.1f} s from the {'first reply' if from_first_reply else 'start':<11}"
        return Outcome(moment, was_running, child.returncode, ok, ended - last[-1], err.splitlines())


def _note_replies(sim: Simulator, last: list[float]) -> None:
    seen = 0
    while True:
        if sim.bill.total != seen:
            seen = sim.bill.total
            last.append(time.monotonic())
        time.sleep(0.02)


def _signal_server(parent: int, number: signal.Signals) -> bool:
    """Signal the server process of `parent` as soon as it exists; returns False if the run ends before."""
    while command_line(parent):
        for pid in children(parent):
            if "imagen_batch.orchestration.server.own_server" in command_line(pid):
                os.kill(pid, number)
                return True
        time.sleep(0.02)
    return False


def children(parent: int) -> list[int]:
    """Return the running child processes of `parent`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def command_line(pid: int) -> str:
    """Return the command line of a process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


if __name__ == "__main__":
    main()
