"""Reads the content of a path that the user typed.

Files are read in place. Pipes (`-`, `<(...)`, `/dev/stdin`, a named pipe) can be read only once, so their content is
copied to a temporary file. Devices have no end and sockets no content: both are refused with a message.
"""

from __future__ import annotations

import os
import re
import secrets
import select
import stat
import sys
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO

STDIN = "-"
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/([0-9]{1,6})")
_BLOCK = 1 << 16
_WRITER_WITHIN_S = 5.0


class Unreadable(OSError):
    """The path exists but can't be read as a file; the message says what it is."""


class Spool:
    """A temporary file that only the user can read, and that is deleted at the latest at the end of the process."""

    def __init__(self) -> None:
        """Create the file. Its removal is registered before, so that a signal at any moment leaves no file."""
        self.path = Path(tempfile.gettempdir()) / f"imagen-batch-input-{secrets.token_hex(16)}"
        self.remove = weakref.finalize(self, self.path.unlink, missing_ok=True)
        os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))

    def fill(self, blocks: Iterator[bytes]) -> None:
        """Write all blocks; an exception deletes the file."""
        try:
            with self.path.open("wb") as file:
                for block in blocks:
                    file.write(block)
        except BaseException:
            self.remove()
            raise


def is_stream(name: str) -> bool:
    """Return whether `name` can be read only once."""
    if name == STDIN:
        return True
    try:
        mode = Path(name).stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or (
        _parse_descriptor(name) is not None and stat.S_ISCHR(mode) and os.isatty(_descriptor_of(name))
    )


def is_unnamed_stream(name: str) -> bool:
    """Return whether `name` is a stream without a name of its own, such as `-` or `/dev/fd/63`."""
    return name == STDIN or _parse_descriptor(name) is not None


def stream_blocks(
    name: str, *, stdin: IO[bytes] | None = None, patience: float = _WRITER_WITHIN_S
) -> Iterator[bytes]:
    """Yield the content of a stream. Raises Unreadable if nothing writes to it, or if it has no end."""
    if name == STDIN and (stdin is not None or not _has_descriptor(sys.stdin)):
        yield from iter(lambda: (stdin or sys.stdin.buffer).read(_BLOCK), b"")
        return
    descriptor = (
        os.dup(_descriptor_of(name)) if is_unnamed_stream(name) else os.open(name, os.O_RDONLY | os.O_NONBLOCK)
    )
    try:
        _refuse_devices(descriptor, "standard input" if name == STDIN else name)
        if not is_unnamed_stream(name):
            yield from _first_block(descriptor, patience)
        yield from _blocks(descriptor)
    finally:
        os.close(descriptor)


def check_readable(path: Path) -> None:
    """Raise Unreadable for devices and sockets; other problems show when the path is opened."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise Unreadable("it is a device, not a file")
    if stat.S_ISSOCK(mode):
        raise Unreadable("it is a socket, not a file")


def read_small(path: Path, *, limit: int = 1 << 20) -> bytes:
    """Return the content of a short file or pipe. Raises OSError; Unreadable if it is longer than `limit` bytes."""
    check_readable(path)
    blocks = stream_blocks(str(path)) if is_stream(str(path)) else _file_blocks(path)
    content = bytearray()
    for block in blocks:
        content += block
        if len(content) > limit:
            raise Unreadable(f"it is longer than {limit:,} bytes")
    return bytes(content)


def _file_blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(lambda: file.read(_BLOCK), b"")


def _parse_descriptor(name: str) -> int | None:
    if name == "/dev/stdin":
        return 0
    match = _DESCRIPTOR.fullmatch(name)
    return int(match[1]) if match else None


def _descriptor_of(name: str) -> int:
    return 0 if name == STDIN else _parse_descriptor(name) or 0


def _has_descriptor(stream: IO[str] | None) -> bool:
    try:
        return stream is None or stream.fileno() == 0
    except (OSError, ValueError):  # replaced by a test or an embedding program
        return False


def _refuse_devices(descriptor: int, name: str) -> None:
    status = os.fstat(descriptor)
    null = stat.S_ISCHR(status.st_mode) and status.st_rdev == Path(os.devnull).stat().st_rdev
    if stat.S_ISBLK(status.st_mode) or (stat.S_ISCHR(status.st_mode) and not null and not os.isatty(descriptor)):
        raise Unreadable(f"{name} is a device, not a file")


def _first_block(descriptor: int, patience: float) -> Iterator[bytes]:
    """Wait until a named pipe has a writer, and yield the data that has arrived by then."""
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    ready = poller.poll(patience * 1000)
    try:
        block = os.read(descriptor, _BLOCK)
    except BlockingIOError:  # the writer has not begun
        block = b""
    else:
        if not block and not ready:
            raise Unreadable(f"it is a named pipe, and nothing wrote to it for {patience:.0f} s")
    os.set_blocking(descriptor, True)
    if block:
        yield block


def _blocks(descriptor: int) -> Iterator[bytes]:
    while True:
        try:
            block = os.read(descriptor, _BLOCK)
        except BlockingIOError:  # another program made the pipe non-blocking
            select.select([descriptor], [], [])
            continue
        if not block:
            return
        yield block
