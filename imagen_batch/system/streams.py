"""Writes to standard output and standard error so that neither can end a run.

A stream that is closed, full or without a reader loses the text and nothing else. Results that can't be written to
standard output go to standard error.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

from imagen_batch.text import printable_lines

_printed = 0
_format_message: Callable[[str], str] = printable_lines


def print_message(text: str) -> None:
    """Write lines to standard error. An error of the stream is ignored."""
    write_line(_format_message(text))


def format_messages(by: Callable[[str], str] | None) -> None:
    """Let `print_message` write what `by` makes of a message; None for plain lines."""
    global _format_message  # noqa: PLW0603 - like standard error itself, there is one for the process
    _format_message = by or printable_lines


def write_line(text: str) -> None:
    """Write text that is safe to print, and a line end, to standard error at once."""
    with suppress(OSError, ValueError, AttributeError):  # full, closed or missing
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def print_result(text: str) -> None:
    """Write a result to standard output, or to standard error if that fails. A closed pipe is ignored."""
    global _printed  # noqa: PLW0603 - a counter of this process, like standard output itself
    text = text if text.endswith("\n") else text + "\n"
    _printed += 1
    try:
        _write(sys.stdout, text)
    except BrokenPipeError:  # the reader has seen enough
        _discard_stdout()
    except (OSError, ValueError, AttributeError) as error:
        _discard_stdout()
        reason = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
        print_message(f"can't write to standard output{reason}; the result was:\n{text}".rstrip("\n"))


def results_printed() -> int:
    """Return how many results this process has printed."""
    return _printed


def flush_stdout() -> None:
    """Flush what other code left in the buffer of standard output, so that nothing fails at interpreter exit."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        _discard_stdout()


def secure_streams() -> None:
    """Occupy the descriptors of all standard streams, and make writes to standard error never fail.

    The next file that is opened would get a free descriptor 2, and what other code writes to standard error would
    end up in that file, which may be the ledger. Streams that a test or an embedding program replaced stay.
    """
    for descriptor in (0, 1, 2):
        _occupy(descriptor)
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123 - lives as long as the process
    if sys.stderr is None or sys.stderr is sys.__stderr__:
        sys.stderr = _without_errors(sys.stderr)


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
    except UnicodeEncodeError:  # a file name that is not UTF-8, or a terminal with a small character set
        stream.write(text.encode(stream.encoding, "backslashreplace").decode(stream.encoding))
    stream.flush()


def _discard_stdout() -> None:
    """Send what is still in the buffer to the null device: the interpreter flushes it at exit."""
    with suppress(OSError, ValueError, AttributeError):
        descriptor = sys.stdout.fileno()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, descriptor)
        os.close(null)


def _occupy(descriptor: int) -> None:
    try:
        os.fstat(descriptor)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)  # gets the lowest free descriptor: this one
        os.set_inheritable(null, True)  # noqa: FBT003 - a child needs its standard streams too


class _ErrorFreeStderr(io.RawIOBase):
    """A descriptor of standard error whose write errors are ignored."""

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
            rest = view
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        return len(view)


def _without_errors(stream: TextIO | None) -> TextIO:
    return io.TextIOWrapper(
        io.BufferedWriter(_ErrorFreeStderr(2)),
        encoding=stream.encoding if stream is not None else "utf-8",
        errors="backslashreplace",
        line_buffering=True,
        write_through=True,
    )
