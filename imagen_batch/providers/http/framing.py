"""Decides from the head of an HTTP reply where its body ends.

Pure functions over bytes (RFC 9112, sections 2 to 7). A head that departs from the standard is still read if its
meaning can be guessed: the image has been paid for, and no connection carries a second reply.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Literal

_STATUS_LINE = re.compile(rb"HTTP/[0-9]\.[0-9] ([1-9][0-9]{2})(?: [^\r\n]*)?\r?\n")
_LENGTH = re.compile(r"[0-9]{1,15}")
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,12})(?:[ \t]*;[^\r\n]*)?\r?\n")
_FRAMING_HEADERS = ("content-length", "transfer-encoding")
_BODILESS = (204, 304)


class BadReply(HTTPException):
    """The received data is not an HTTP reply to the request."""


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers of a reply."""

    status: int
    headers: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        """Return the values of all headers of this name (lower case), in order."""
        return [value for known, value in self.headers if known.lower() == name]

    def listed(self, name: str) -> list[str]:
        """Return the members of a comma-separated header, in lower case."""
        return [member.strip().lower() for value in self.values(name) for member in value.split(",")]

    @property
    def without_framing(self) -> list[tuple[str, str]]:
        """The headers that describe the content, not the framing."""
        return [(name, value) for name, value in self.headers if name.lower() not in _FRAMING_HEADERS]


@dataclass(frozen=True, slots=True)
class End:
    """The end of a body: after `length` bytes, after the last chunk, or where the connection closes."""

    by: Literal["length", "chunks", "close"]
    length: int = 0


def parse_head(lines: Sequence[bytes]) -> Head:
    """Parse the lines of a head, with their line ends, without the empty line. Raises BadReply."""
    match = _STATUS_LINE.fullmatch(lines[0])
    if match is None:
        raise BadReply("the reply has no status line")
    return Head(int(match[1]), tuple(map(_parse_header, lines[1:])))


def find_end(head: Head) -> End:
    """Find the end of the body behind `head`, for a reply to a POST."""
    if head.status in _BODILESS:
        return End("length")
    if codings := head.listed("transfer-encoding"):  # overrides a length
        return End("chunks" if codings[-1] == "chunked" else "close")
    lengths = set(head.listed("content-length"))
    if len(lengths) == 1 and _LENGTH.fullmatch(length := lengths.pop()):
        return End("length", int(length))
    return End("close")


def parse_chunk_size(line: bytes) -> int:
    """Return the size in the first line of a chunk. Raises BadReply."""
    match = _CHUNK_SIZE.fullmatch(line)
    if match is None:
        raise BadReply("the size of a chunk can't be read")
    return int(match[1], 16)


def _parse_header(line: bytes) -> tuple[str, str]:
    name, _, value = line.decode("latin-1").rstrip("\r\n").partition(":")
    return name.strip(), value.strip(" \t")
