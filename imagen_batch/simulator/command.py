"""Run a simulated image service on this machine, which speaks both dialects and can inject faults."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from imagen_batch.simulator.embedded import Simulator
from imagen_batch.simulator.faults.all_faults import FAULTS
from imagen_batch.simulator.faults.choose_fault import RuleInvalid
from imagen_batch.system.is_loopback import is_loopback
from imagen_batch.system.streams import print_result


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until a signal, or with `--exit-with-stdin` until standard input ends; returns the exit code."""
    parser = make_parser()
    chosen = parser.parse_args(argv)
    if chosen.list_faults:
        lines = (f"{fault.name:32} {fault.section:8} {fault.description}\n" for fault in FAULTS.values())
        print_result("".join(lines))
        return 0
    try:
        simulator = _simulator(chosen)
    except json.JSONDecodeError as exc:
        parser.error(f"{chosen.faults} is not JSON: {exc}")
    except (RuleInvalid, OSError) as exc:
        parser.error(str(exc))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    _serve(simulator, until=_stdin_end() if chosen.exit_with_stdin else threading.Event())
    return 0


def _end(_number: int, _frame: FrameType | None) -> None:
    # Ends the waiting thread. Setting the event would need a lock that this thread may hold.
    raise SystemExit(0)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="imagen-batch simulate", description=__doc__)
    parser.add_argument("--host", type=_loopback, default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=_port, default=0, help="0 chooses a free port")
    parser.add_argument("--faults", type=Path, metavar="FILE", help="JSON list of rules")
    parser.add_argument("--list-faults", action="store_true", help="list the faults and exit")
    parser.add_argument("--latency", type=float, default=0.0, metavar="S", help="seconds that each image takes")
    parser.add_argument("--requests-per-minute", type=_count, metavar="N")
    parser.add_argument("--burst", type=_count, metavar="N", help="requests allowed at once; default: one minute's")
    parser.add_argument("--requests-per-day", type=_count, metavar="N")
    parser.add_argument("--model", action="append", default=[], metavar="ID", help="serve this model, too")
    parser.add_argument("--record", type=Path, metavar="DIR", help="record every exchange in this folder")
    parser.add_argument("--exit-with-stdin", action="store_true", help="exit when standard input closes")
    return parser


def _loopback(host: str) -> str:
    if is_loopback(host):
        return host
    raise argparse.ArgumentTypeError(f"{host} is not a loopback address")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text} is not a port")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number above 0")
    return int(text)


def _simulator(chosen: argparse.Namespace) -> Simulator:
    return Simulator(
        faults=chosen.faults or (),
        latency=chosen.latency,
        requests_per_minute=chosen.requests_per_minute,
        burst=chosen.burst,
        requests_per_day=chosen.requests_per_day,
        models=chosen.model,
        host=chosen.host,
        port=chosen.port,
        record=chosen.record,
    )


def _stdin_end() -> threading.Event:
    """Return an event that is set when standard input closes."""
    ended = threading.Event()
    threading.Thread(target=_watch_stdin, args=(ended,), daemon=True).start()
    return ended


def _watch_stdin(ended: threading.Event) -> None:
    """Read the descriptor directly: a thread blocked in `sys.stdin` would prevent the exit."""
    while os.read(0, 4096):
        pass
    ended.set()


def _serve(simulator: Simulator, *, until: threading.Event) -> None:
    with simulator:
        sys.stdout.write(f"simulator listening on {simulator.url}\n")
        sys.stdout.flush()
        until.wait()
