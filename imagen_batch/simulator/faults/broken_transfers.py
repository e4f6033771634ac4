"""Sends replies that break in transit. Each transfer ends with a closed connection."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Protocol

from imagen_batch.simulator.api.http_reply_and_error_json import Reply

Options = Mapping[str, Any]

_MEGABYTE = 2**20


class Wire(Protocol):
    """The connection to the client, as far as a transfer may use it."""

    def send(self, data: bytes) -> None:
        """Send all of it, or raise OSError."""

    def wait(self, seconds: float) -> bool:
        """Wait; return True at once when the simulator is closing."""

    def reset(self) -> None:
        """Reset the connection."""


Carry = Callable[[Wire, Reply, Options], None]


def reset(wire: Wire, reply: Reply, options: Options) -> None:  # noqa: ARG001 - sends nothing
    """Reset the connection before the first byte."""
    wire.reset()


def reset_midway(wire: Wire, reply: Reply, options: Options) -> None:  # noqa: ARG001
    """Reset the connection after half of the body."""
    wire.send(reply.head(close=True) + _half(reply))
    wire.reset()


def wrong_length(wire: Wire, reply: Reply, options: Options) -> None:  # noqa: ARG001
    """Close the connection after half of the stated length."""
    wire.send(reply.head(close=True) + _half(reply))


def cut_json(wire: Wire, reply: Reply, options: Options) -> None:  # noqa: ARG001
    """Send half of the body, with that half's length."""
    half = _half(reply)
    wire.send(reply.head(length=len(half), close=True) + half)


def rewrite_body(change: Callable[[bytes], bytes]) -> Carry:
    """Return a transfer that sends the whole reply with a changed body."""

    def carry(wire: Wire, reply: Reply, options: Options) -> None:  # noqa: ARG001
        body = change(reply.body)
        wire.send(reply.head(length=len(body), close=True) + body)

    return carry


def trickle(wire: Wire, reply: Reply, options: Options) -> None:
    """Send `bytes` at a time with `seconds` in between; with `headers`, from the first header byte on."""
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
    """Send nothing for `seconds`, then close the connection."""
    wire.wait(float(options["seconds"]))


def gzip_bomb(wire: Wire, reply: Reply, options: Options) -> None:
    """Send compressed blanks that are a thousand times larger once unpacked."""
    blanks = _packed_blanks()
    count = max(1, int(options["megabytes"]) // 16)
    packed = Reply(200, b"", reply.content_type, {"Content-Encoding": "gzip"})
    wire.send(packed.head(length=len(blanks) * count, close=True))
    for _ in range(count):
        wire.send(blanks)


def endless(wire: Wire, reply: Reply, options: Options) -> None:
    """Send blanks until the client hangs up."""
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
    """Return 16 MB of blanks as one gzip member; a reply may have several members."""
    return gzip.compress(b" " * (16 * _MEGABYTE), compresslevel=9, mtime=0)
