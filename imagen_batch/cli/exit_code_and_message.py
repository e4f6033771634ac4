"""Turns the end of a command into an exit code, a message and, with --json, one JSON object.

Only a bug prints a traceback.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import NamedTuple

from imagen_batch.cli.strict_parser import UsageInvalid
from imagen_batch.errors import FolderBusy, InputInvalid, SettingsInvalid
from imagen_batch.monitoring.json_log import JsonLog
from imagen_batch.system.signal_handlers import signal_handlers
from imagen_batch.system.streams import print_message, print_result, results_printed

BUG, USAGE, FINDINGS, INVALID, TRY_LATER, INTERRUPTED = 1, 2, 3, 5, 75, 130

_TEMPORARY_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENFILE, errno.EMFILE, errno.ENOMEM, errno.EAGAIN}
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_SAME_SIGNAL_WITHIN_S = 1.0


class Signaled(SystemExit):
    """A signal that asks the process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.exit_code = 128 + number


class Failure(NamedTuple):
    """The exit code and the texts of a command that failed."""

    code: int
    message: str  # for standard error
    json: str  # for standard output


def exit_code_of(command: Callable[[], int], *, as_json: bool, log: JsonLog | None = None) -> int:
    """Run `command` and return its exit code; print the reason if it fails.

    The SystemExit that argparse raises after --help passes through.
    """
    printed_before = results_printed()
    # Signals that would end the process raise instead, so that temporary files and locks are cleaned up.
    # A run installs handlers of its own.
    with signal_handlers((signal.SIGINT, *_SIGNALS), _RaisingHandler()):
        try:
            return command()
        except (Exception, KeyboardInterrupt, Signaled) as error:  # noqa: BLE001 - the outermost handler
            failure = _describe(error)
            problems = error.problems if isinstance(error, InputInvalid) else ()
        if log is not None and log.active and problems:
            log.problems(problems)
        else:
            print_message(failure.message)
        if as_json and results_printed() == printed_before:
            print_result(failure.json)
        return failure.code


def end_at_signal_with(code: int) -> None:
    """Let any signal end the process with `code` at once: the work is done and its result is printed.

    Only Prefect's own cleanup still runs.
    """
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, *_SIGNALS):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda *_: os._exit(code))


def _describe(error: BaseException) -> Failure:
    if isinstance(error, InputInvalid):
        from imagen_batch.reports.input_problems import problems_json, problems_text  # noqa: PLC0415 - not needed for --help

        return Failure(INVALID, problems_text(error.problems), problems_json(error.problems))
    if isinstance(error, UsageInvalid):
        return Failure(USAGE, f"error: {error}\nsee {error.help_command}", _json("refused", str(error)))
    if isinstance(error, SettingsInvalid | FolderBusy):
        return Failure(USAGE, f"error: {error}", _json("refused", str(error)))
    if isinstance(error, KeyboardInterrupt | Signaled):
        code = error.exit_code if isinstance(error, Signaled) else INTERRUPTED
        return Failure(code, "interrupted", _json("interrupted", "interrupted: run again to continue"))
    if isinstance(error, OSError):
        code, state = (TRY_LATER, "stopped") if error.errno in _TEMPORARY_ERRORS else (USAGE, "refused")
        return Failure(code, f"error: {_describe_os_error(error)}", _json(state, _describe_os_error(error)))
    import traceback  # noqa: PLC0415 - only for a bug

    message = f"a bug: {error!r}"
    trace = "".join(traceback.format_exception(error))
    return Failure(BUG, f"{trace}error: {message}", _json("bug", message))


def _json(state: str, message: str) -> str:
    return json.dumps({"schema_version": 1, "state": state, "message": message})


def _describe_os_error(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename is not None else reason


class _RaisingHandler:
    """Raises for a signal. A second one right after it (sent to the process and to its group) is ignored."""

    def __init__(self) -> None:
        self._last: float | None = None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        repeated = self._last is not None and now - self._last < _SAME_SIGNAL_WITHIN_S
        self._last = now
        if not repeated:
            raise KeyboardInterrupt if number == signal.SIGINT else Signaled(number)
