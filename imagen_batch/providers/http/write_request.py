"""Writes the bytes of a POST request."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http.client import HTTPException
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_LINE_BREAK = re.compile(r"[\r\n\0]")
_TARGET = re.compile(r"[!-~]+")


def first_lines(url: str, target: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return the request line and the headers that are the same in every request to `url`."""
    if not _TARGET.fullmatch(target):
        raise HTTPException("the address contains characters that a request can't contain")
    parts = urlsplit(url)
    host = parts.netloc.removesuffix(_DEFAULT_PORTS.get(parts.scheme, ""))
    return f"POST {target} HTTP/1.1\r\n".encode("ascii") + _header_lines([("Host", host), *headers])


def whole_request(first: bytes, headers: Iterable[tuple[str, str]], payload: bytes) -> bytes:
    """Return a request with a body. Raises HTTPException for a header that would change the message."""
    length = str(len(payload))
    return b"".join((first, _header_lines([*headers, ("Content-Length", length)]), b"\r\n", payload))


def _header_lines(headers: Iterable[tuple[str, str]]) -> bytes:
    text = ""
    for name, value in headers:
        if _LINE_BREAK.search(value):
            raise HTTPException(f"the header {name} contains a line break")
        text += f"{name}: {value}\r\n"
    return text.encode("latin-1")
