"""Defines what a check reports, and bounds the time that a check may take."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final, Literal

Level = Literal["ok", "warning", "problem"]

LEVELS: Final[tuple[Level, ...]] = ("ok", "warning", "problem")
LIMIT_S = 15.0
"""The longest time of one check."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `advice` is what the user can do; empty where nothing is to do."""

    name: str
    level: Level
    text: str
    advice: str = ""


Check = Callable[[], Iterable[Finding]]


def ok(name: str, text: str) -> Finding:
    """Report that something is as a run needs it."""
    return Finding(name, "ok", text)


def warning(name: str, text: str, advice: str) -> Finding:
    """Report something that a run can live with."""
    return Finding(name, "warning", text, advice)


def problem(name: str, text: str, advice: str) -> Finding:
    """Report something that keeps a run from starting."""
    return Finding(name, "problem", text, advice)


def run_checks(checks: dict[str, Check], *, limit: float = LIMIT_S) -> list[Finding]:
    """Run all checks at once, each for `limit` seconds at most; return their findings in the order of the checks.

    A check that takes longer is left alone in its thread, which ends with the process.
    """
    running = [(name, _start(check)) for name, check in checks.items()]
    findings: list[Finding] = []
    for name, results in running:
        try:
            result = results.get(timeout=limit)
        except Empty:
            findings.append(problem(name, f"no result within {limit:g} s", "check the network, then try again"))
            continue
        if isinstance(result, BaseException):
            fault = f"the check failed: {type(result).__name__}"
            findings.append(problem(name, fault, "this is a bug of imagen-batch; the other lines are still valid"))
        else:
            findings += result
    return findings


def _start(check: Check) -> SimpleQueue[list[Finding] | BaseException]:
    results: SimpleQueue[list[Finding] | BaseException] = SimpleQueue()

    def work() -> None:
        try:
            results.put(list(check()))
        except BaseException as error:  # noqa: BLE001 - reported as a finding, without its text: it may hold a key
            results.put(error)

    threading.Thread(target=work, name="check", daemon=True).start()
    return results
