"""Runs checks at the same time, each with a time limit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue

from imagen_batch.checks.finding import Finding, problem

LIMIT_S = 15.0
"""The longest time of one check."""

Check = Callable[[], Iterable[Finding]]


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
