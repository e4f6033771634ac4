"""Decides from the head of an HTTP reply where its body ends, and whether that end is certain.

Pure functions over bytes (RFC 9112, sections 2 to 7). A head that departs from the standard is still read if its
meaning can be guessed, but its end is not `certain`: its connection must not be reused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Literal

_STATUS_LINE = re.compile(rb"HTTP/([0-9])\.([0-9]) ([1-9][0-9]{2})(?: ([^\r\n]*))?\r?\n")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_LENGTH = re.compile(r"[0-9]{1,15}")
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,12})(?:[ \t]*(;)[^\r\n]*)?(\r?\n)")
_FRAMING_HEADERS = ("content-length", "transfer-encoding")
_BODILESS = (204, 304)


class BadReply(HTTPException):
    """The received data is not an HTTP reply to the request."""


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and headers of a reply. `clean`: they conform to the standard exactly."""

    version: tuple[int, int]
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    clean: bool

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
    """The end of a body. `certain`: every parser finds the same end, and the connection stays open after it."""

    by: Literal["length", "chunks", "close"]
    certain: bool
    length: int = 0


def parse_head(lines: Sequence[bytes]) -> Head:
    """Parse the lines of a head, with their line ends, without the empty line. Raises BadReply."""
    match = _STATUS_LINE.fullmatch(lines[0])
    if match is None:
        raise BadReply("the reply has no status line")
    major, minor, status, reason = match.groups()
    headers, clean = _parse_headers(lines[1:])
    return Head(
        version=(int(major), int(minor)),
        status=int(status),
        reason=(reason or b"").decode("latin-1"),
        headers=headers,
        clean=clean and lines[0].endswith(b"\r\n"),
    )


def find_end(head: Head) -> End:
    """Find the end of the body behind `head`, for a reply to a POST."""
    lengths, codings = head.values("content-length"), head.listed("transfer-encoding")
    certain = head.clean and head.version == (1, 1) and "close" not in head.listed("connection")
    if head.status in _BODILESS:
        return End("length", certain and not codings and lengths in ([], ["0"]))
    if codings:  # overrides a length, but the two together are used to smuggle replies
        chunked = codings[-1] == "chunked"
        return End("chunks" if chunked else "close", certain and codings == ["chunked"] and not lengths)
    distinct = set(head.listed("content-length"))
    if len(distinct) == 1 and _LENGTH.fullmatch(length := distinct.pop()):
        return End("length", certain and lengths == [length], int(length))
    return End("close", certain=False)


def parse_chunk_size(line: bytes) -> tuple[int, bool]:
    """Return the size in the first line of a chunk, and whether the line contains nothing else. Raises BadReply."""
    match = _CHUNK_SIZE.fullmatch(line)
    if match is None:
        raise BadReply("the size of a chunk can't be read")
    digits, extension, line_end = match.groups()
    return int(digits, 16), extension is None and line_end == b"\r\n"


def _parse_headers(lines: Iterable[bytes]) -> tuple[tuple[tuple[str, str], ...], bool]:
    headers: list[tuple[str, str]] = []
    clean = True
    for line in lines:
        text = line.decode("latin-1")
        clean = clean and text.endswith("\r\n")
        text = text.rstrip("\r\n")
        name, colon, value = text.partition(":")
        if text[:1] in (" ", "\t") or not colon or not _NAME.fullmatch(name) or _CONTROL.search(value):
            clean = False
        headers.append((name.strip(), value.strip(" \t")))
    return tuple(headers), clean
