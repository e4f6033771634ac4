"""Standard output and standard error, written so that neither can end a run.

A stream that is closed, full or has no reader costs the text on it and nothing else. Results that standard output
does not take go to standard error.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Any, TextIO

from imagen_batch.text import printable_lines

_printed = 0


def say(text: str) -> None:
    """Write lines to standard error, if it can be written."""
    with suppress(OSError, ValueError, AttributeError):  # full, closed, or not there
        sys.stderr.write(printable_lines(text) + "\n")
        sys.stderr.flush()


def print_result(text: str) -> None:
    """Write a result to standard output; to standard error where that fails and somebody may still read it."""
    global _printed  # noqa: PLW0603 - as many as standard output has seen
    text = text if text.endswith("\n") else text + "\n"
    _printed += 1
    try:
        _write(sys.stdout, text)
    except BrokenPipeError:  # the reader has seen enough
        _discard_stdout()
    except (OSError, ValueError, AttributeError) as error:
        _discard_stdout()
        reason = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
        say(f"standard output can't be written{reason}; the result was:\n{text}".rstrip("\n"))


def results_printed() -> int:
    """How many results this process has printed."""
    return _printed


def flush_stdout() -> None:
    """Write what other code left in the buffer of standard output: the interpreter's end has nothing to do then."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        _discard_stdout()


def secure_streams() -> None:
    """Let no descriptor of a standard stream be free, and no write to standard error fail.

    The next file that is opened would get a free number: what other code writes to standard error would then land
    in the ledger. Streams that were replaced by a test or an embedding program stay as they are.
    """
    for descriptor in (0, 1, 2):
        _occupy(descriptor)
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123 - lives as long as the process
    if sys.stderr is None or sys.stderr is sys.__stderr__:
        sys.stderr = _forgiving(sys.stderr)


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
    except UnicodeEncodeError:  # a file name that is not UTF-8, or a terminal that knows few letters
        stream.write(text.encode(stream.encoding, "backslashreplace").decode(stream.encoding))
    stream.flush()


def _discard_stdout() -> None:
    """Let what is still in the buffer go nowhere: the interpreter flushes it at its end."""
    with suppress(OSError, ValueError, AttributeError):
        number = sys.stdout.fileno()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, number)
        os.close(null)


def _occupy(descriptor: int) -> None:
    try:
        os.fstat(descriptor)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
        os.set_inheritable(null, True)  # noqa: FBT003 - a child needs its standard streams, too


class _ForgivingBytes(io.RawIOBase):
    """Standard error without errors."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        with suppress(OSError):
            left = view
            while left:
                left = left[os.write(self._descriptor, left) :]
        return len(view)


def _forgiving(stream: TextIO | None) -> TextIO:
    encoding = stream.encoding if stream is not None else "utf-8"
    errors = "backslashreplace"
    return io.TextIOWrapper(
        io.BufferedWriter(_ForgivingBytes(2)),
        encoding=encoding,
        errors=errors,
        line_buffering=True,
        write_through=True,
    )
