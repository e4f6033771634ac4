"""Reads one reply from a connection strictly: its interim replies, its head, and its body to the exact end.

http.client takes an interim reply such as 103 for the final one, and loses what has arrived when a length is missing
or wrong. Here the data that has arrived when a connection breaks is kept: it may be complete.
"""

from __future__ import annotations

import io
import ssl
from collections.abc import Callable
from typing import Any, Literal

from imagen_batch.providers.http.framing import BadReply, End, Head, find_end, parse_chunk_size, parse_head

_MAX_INTERIM = 1000  # a gateway may send one each second while it waits
_MAX_HEADERS = 100
_MAX_HEAD_BYTES = 2**16
_MAX_CHUNK_LINE = 4096
_TINY_CHUNK_BYTES = 1024
_MAX_TINY_CHUNKS = 100_000
_READ_BYTES = 2**18  # at once, for a body without a length
_BUFFER_BYTES = 2**17  # holds many small chunks, which would take several system calls each
_QUIET_S = 2.0  # a body without a length is checked for completeness when nothing came for so long
_MAX_CHECKS = 20
_IDLE_GOODBYES = (b"HTTP/1.1 408", b"HTTP/1.0 408")  # sent by some gateways before they close an idle connection


class Incomplete(Exception):
    """The connection ended, or broke, before the reply did. `partial` is the body so far."""

    def __init__(self, partial: bytes, error: Exception | None) -> None:
        super().__init__("the connection ended before the reply did")
        self.partial = partial
        self.error = error


class Source(io.RawIOBase):
    """The bytes of a connection, for a BufferedReader.

    An error ends them as the end of the connection does, and is kept, so that earlier bytes are not lost.
    """

    def __init__(self, sock: Any) -> None:
        super().__init__()
        self.sock = sock
        self.error: Exception | None = None
        self.ended = False
        self.patient = False  # whether a timeout of the socket is not the end
        self._timeouts = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        """Read once. None means that nothing is there yet, on a non-blocking socket or while `patient`."""
        while not self.ended:
            try:
                count = self.sock.recv_into(buffer)
            except (BlockingIOError, ssl.SSLWantReadError):
                return None
            except TimeoutError as error:
                if self.patient:
                    return None
                # After the process was suspended, the time is over but the reply may be there: read once more.
                self._timeouts += 1
                if self._timeouts > 1:
                    self._end(error)
            except OSError as error:
                self._end(error)
            except ValueError:  # closed by another thread
                self._end(ConnectionResetError("the connection was closed"))
            else:
                self._timeouts = 0
                self.ended = not count
                return int(count)
        return 0

    def _end(self, error: Exception) -> None:
        self.ended, self.error = True, error


class Channel:
    """Reads from one connection as long as it is open: bytes left over by one reply are seen by the next."""

    def __init__(self, sock: Any) -> None:
        self.source = Source(sock)
        self.reader = io.BufferedReader(self.source, _BUFFER_BYTES)

    def peek(self) -> Literal["nothing", "bytes", "end"]:
        """Return what can be read without waiting: "end" is the end of the connection."""
        sock = self.source.sock
        try:
            before = sock.gettimeout()
            sock.settimeout(0)
            try:
                data = self.reader.peek(1)
            finally:
                sock.settimeout(before)
        except (OSError, ValueError):
            return "end"
        if data:
            return "end" if data.startswith(_IDLE_GOODBYES) else "bytes"
        return "end" if self.source.ended else "nothing"


class Reply:
    """A reply: `begin` reads its head, `read` its body, `close` ends its connection."""

    def __init__(self, channel: Channel, *, close: Callable[[], None] = lambda: None) -> None:
        self._channel, self._source, self._fp = channel, channel.source, channel.reader
        self.close = close
        self.too_large = False
        self.head: Head
        self.end: End

    def begin(self) -> None:
        """Read the head, and the interim replies before it. Raises BadReply, or the connection's own error."""
        for _ in range(_MAX_INTERIM):
            head = parse_head(self._read_head())
            if head.status >= 200:
                self.head, self.end = head, find_end(head)
                return
            if head.status == 101:
                raise BadReply("the service changed to another protocol")
        raise BadReply("interim replies came without an end")

    def read(self, limit: int, *, is_complete: Callable[[bytes], bool]) -> bytes:
        """Return the body. If it is longer than `limit`, set `too_large` and return only a part.

        `is_complete` says of a body without a length whether it is complete. Raises Incomplete.
        """
        if self.end.by == "length":
            return self._read_length(limit)
        if self.end.by == "chunks":
            return self._read_chunks(limit)
        return self._read_until_close(limit, is_complete)

    @property
    def has_surplus(self) -> bool:
        """Whether more bytes than the stated length have arrived."""
        return self._channel.peek() == "bytes"

    def _read_head(self) -> list[bytes]:
        lines: list[bytes] = []
        size = 0
        while (line := self._fp.readline(_MAX_HEAD_BYTES)) not in (b"\r\n", b"\n"):
            size += len(line)
            if not line.endswith(b"\n") and size < _MAX_HEAD_BYTES:
                raise self._source.error or ConnectionResetError("the connection ended without a whole reply")
            if size >= _MAX_HEAD_BYTES or len(lines) > _MAX_HEADERS:
                raise BadReply("the headers of the reply are too many or too long")
            lines.append(line)
        if not lines:
            raise BadReply("the reply begins with an empty line")
        return lines

    def _read_length(self, limit: int) -> bytes:
        length = self.end.length
        if length > limit:
            self.too_large = True
            return self._fp.read(limit) if self.head.status != 200 else b""
        body = self._fp.read(length) if length else b""
        if len(body) < length:
            raise Incomplete(body, self._source.error)
        return body

    def _read_chunks(self, limit: int) -> bytes:
        pieces: list[bytes] = []
        size = 0
        try:
            while length := parse_chunk_size(self._fp.readline(_MAX_CHUNK_LINE)):
                size += length
                self.too_large = size > limit
                if self.too_large:
                    return b"".join(pieces)
                _refuse_tiny(len(pieces), size)
                pieces.append(self._fp.read(length))
                self._end_chunk(missing=length - len(pieces[-1]))
            self._read_trailer()
        except BadReply as error:
            raise Incomplete(b"".join(pieces), self._source.error or error) from None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _end_chunk(self, *, missing: int) -> None:
        if missing or self._fp.readline(3) != b"\r\n":
            raise BadReply("a chunk is longer or shorter than its stated size")

    def _read_trailer(self) -> None:
        for _ in range(_MAX_HEADERS):
            line = self._fp.readline(_MAX_CHUNK_LINE)
            if line in (b"\r\n", b"\n"):
                return
            if not line.endswith(b"\n"):
                break
        raise BadReply("the reply has no end")

    def _read_until_close(self, limit: int, is_complete: Callable[[bytes], bool]) -> bytes:
        body = self._read_on([], limit, is_complete, checks=_MAX_CHECKS)
        if self._source.error is not None:
            raise Incomplete(body, self._source.error)
        return body

    def read_on(self, body: bytes, limit: int, *, is_complete: Callable[[bytes], bool]) -> bytes:
        """Return `body`, whose stated length was too short, and what follows until no more data arrives."""
        return self._read_on([body], limit, is_complete, checks=1)

    def _read_on(
        self, pieces: list[bytes], limit: int, is_complete: Callable[[bytes], bool], *, checks: int
    ) -> bytes:
        size, checked_size, patient = sum(map(len, pieces)), 0, checks > 1
        self._source.sock.settimeout(_QUIET_S)
        self._source.patient = True
        while not self._source.ended and not self.too_large:
            if piece := self._fp.read1(_READ_BYTES):
                pieces.append(piece)
                size += len(piece)
                self.too_large = size > limit
            elif not patient:
                break
            elif size > checked_size and checks:
                checked_size, checks = size, checks - 1
                if is_complete(b"".join(pieces)):
                    break
        return b"".join(pieces)


def _refuse_tiny(chunks: int, size: int) -> None:
    if chunks > _MAX_TINY_CHUNKS and size < chunks * _TINY_CHUNK_BYTES:
        raise BadReply("the reply comes in too many small chunks")
