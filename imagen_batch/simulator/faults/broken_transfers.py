"""How can a reply break on its way? Each transfer ends with the connection closed."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Protocol

from imagen_batch.simulator.api.replies import Reply

Options = Mapping[str, Any]

_MEGABYTE = 2**20


class Wire(Protocol):
    """The client's end, as far as a transfer may touch it."""

    def send(self, data: bytes) -> None:
        """Sends all of it, or raises OSError."""

    def wait(self, seconds: float) -> bool:
        """Waits; True, and at once, when the simulator is closing."""

    def reset(self) -> None:
        """Breaks the connection off: the client sees a reset."""


Carry = Callable[[Wire, Reply, Options], None]


def reset(wire: Wire, reply: Reply, options: Options) -> None:  # noqa: ARG001 - nothing is said
    """A reset before the first byte."""
    wire.reset()


def reset_midway(wire: Wire, reply: Reply, options: Options) -> None:  # noqa: ARG001
    """A reset after half of the body."""
    wire.send(reply.head(close=True) + _half(reply))
    wire.reset()


def wrong_length(wire: Wire, reply: Reply, options: Options) -> None:  # noqa: ARG001
    """An orderly end after half of the body: the length was a lie."""
    wire.send(reply.head(close=True) + _half(reply))


def cut_json(wire: Wire, reply: Reply, options: Options) -> None:  # noqa: ARG001
    """Half of the body, with a length that agrees."""
    half = _half(reply)
    wire.send(reply.head(length=len(half), close=True) + half)


def rewritten(change: Callable[[bytes], bytes]) -> Carry:
    """The whole reply, its body in another form."""

    def carry(wire: Wire, reply: Reply, options: Options) -> None:  # noqa: ARG001
        body = change(reply.body)
        wire.send(reply.head(length=len(body), close=True) + body)

    return carry


def trickle(wire: Wire, reply: Reply, options: Options) -> None:
    """`bytes` at a time with `seconds` between; with `headers` from the very first byte on."""
    head, body = reply.head(close=True), reply.body
    slow = head + body if options["headers"] else body
    if not options["headers"]:
        wire.send(head)
    step = max(1, int(options["bytes"]))
    for start in range(0, len(slow), step):
        wire.send(slow[start : start + step])
        if wire.wait(float(options["seconds"])):
            return


def stall(wire: Wire, reply: Reply, options: Options) -> None:  # noqa: ARG001
    """Silence for `seconds`, then an end without a word."""
    wire.wait(float(options["seconds"]))


def gzip_bomb(wire: Wire, reply: Reply, options: Options) -> None:
    """Blanks that take a thousand times the room once unpacked."""
    blanks = _packed_blanks()
    count = max(1, int(options["megabytes"]) // 16)
    packed = Reply(200, b"", reply.content_type, {"Content-Encoding": "gzip"})
    wire.send(packed.head(length=len(blanks) * count, close=True))
    for _ in range(count):
        wire.send(blanks)


def endless(wire: Wire, reply: Reply, options: Options) -> None:
    """Blanks without end, until someone hangs up."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {reply.content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
    size = int(options["bytes"])
    chunk = f"{size:x}\r\n".encode() + b" " * size + b"\r\n"
    wire.send(head.encode())
    while not wire.wait(float(options["seconds"])):
        wire.send(chunk)


def _half(reply: Reply) -> bytes:
    return reply.body[: len(reply.body) // 2]


@lru_cache(maxsize=1)
def _packed_blanks() -> bytes:
    """16 MB of blanks as one gzip member; members may follow each other."""
    return gzip.compress(b" " * (16 * _MEGABYTE), compresslevel=9, mtime=0)
