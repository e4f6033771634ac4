"""How does a command end that did not do its work?

With a sentence, an exit code and, where it was asked for, one JSON object. Only a bug shows a traceback.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple

from imagen_batch.errors import FolderBusy, InputInvalid, SettingsInvalid
from imagen_batch.system.streams import print_result, results_printed, say

BUG, USAGE, INVALID, LATER, INTERRUPTED = 1, 2, 5, 75, 130

_FOR_NOW = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENFILE, errno.EMFILE, errno.ENOMEM, errno.EAGAIN}
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_TWICE_WITHIN_S = 1.0


class Signaled(SystemExit):
    """A signal that asks the process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.exit_code = 128 + number


class Ending(NamedTuple):
    """What is printed and returned."""

    code: int
    said: str  # on standard error
    object: str  # on standard output, where JSON was asked for


def ended(command: Callable[[], int], *, as_json: bool) -> int:
    """The exit code of `command`, whatever becomes of it; says why it did not do its work.

    Argparse's own SystemExit after --help goes through.
    """
    before = results_printed()
    with _raising_on_signals():
        try:
            return command()
        except (Exception, KeyboardInterrupt, Signaled) as error:  # noqa: BLE001 - the last door: whatever comes is told
            ending = _of(error)
        say(ending.said)
        if as_json and results_printed() == before:
            print_result(ending.object)
        return ending.code


def end_as(code: int) -> None:
    """From now on a signal ends the process at once, with `code`: the work is done and its result is printed.

    What is left is to say goodbye to Prefect.
    """
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, *_SIGNALS):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda *_: os._exit(code))


def _of(error: BaseException) -> Ending:
    if isinstance(error, InputInvalid):
        from imagen_batch.reports.problems import problems_json, problems_text  # noqa: PLC0415 - not needed for --help

        return Ending(INVALID, problems_text(error.problems), problems_json(error.problems))
    if isinstance(error, SettingsInvalid | FolderBusy):
        said = getattr(error, "said", f"error: {error}")
        return Ending(USAGE, said, _object("refused", str(error)))
    if isinstance(error, KeyboardInterrupt | Signaled):
        code = error.exit_code if isinstance(error, Signaled) else INTERRUPTED
        return Ending(code, "interrupted", _object("interrupted", "interrupted: run again to continue"))
    if isinstance(error, OSError):
        code, state = (LATER, "stopped") if error.errno in _FOR_NOW else (USAGE, "refused")
        return Ending(code, f"error: {_sentence(error)}", _object(state, _sentence(error)))
    message = f"a bug: {error!r}"
    trace = "".join(traceback.format_exception(error))
    return Ending(BUG, f"{trace}error: {message}", _object("bug", message))


def _object(state: str, message: str) -> str:
    return json.dumps({"schema_version": 1, "state": state, "message": message})


def _sentence(error: OSError) -> str:
    said = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {said}" if error.filename is not None else said


@contextmanager
def _raising_on_signals() -> Iterator[None]:
    """Let signals that end a process raise instead, so that what was begun is tidied up.

    A run sets handlers of its own. A signal that whoever started us has switched off (nohup) stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    raising = _Raising()
    ours = [number for number in (signal.SIGINT, *_SIGNALS) if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, raising) for number in ours}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Raising:
    """Raises for a signal; one that is delivered twice (to the process and to its group) counts once."""

    def __init__(self) -> None:
        self._last: float | None = None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        again, self._last = self._last is not None and now - self._last < _TWICE_WITHIN_S, now
        if not again:
            raise KeyboardInterrupt if number == signal.SIGINT else Signaled(number)
