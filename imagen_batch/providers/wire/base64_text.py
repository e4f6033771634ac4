"""Parses replies of several megabytes without copying the base64 text of their images.

A JSON parser checks and copies every text. So the base64 of an image is cut out first: the parser sees a mark in its
place, and the image is decoded from the original bytes. In any doubt the text is left to the parser.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import orjson

_LONG_BYTES = 4096
_MAX_QUOTES = 10_000  # to search; replies have a few hundred
_LARGE_BYTES = 2**20
_MAX_VALUES = 1_000_000
_NAME_BYTES = 48  # a name, a colon, blanks

# What precedes the base64 text. No JSON text contains this, because quotes inside one are escaped.
_NAME = re.compile(rb'(?<!\\)"(?:data|bytesBase64Encoded)"\s*:\s*"\Z')
_MARK = secrets.token_hex(16)


def loads(body: bytes) -> Any:
    """Parse JSON; the long text of an image becomes an unchecked view of `body`.

    Raises orjson.JSONDecodeError.
    """
    view = memoryview(body)
    texts = {f"{_MARK}{start}": view[start:end] for start, end in _long_texts(body)}
    if not texts:
        return _parse(body)
    marks = [mark.encode() for mark in texts] + [b""]
    value = _parse(b"".join(chain.from_iterable(zip(without_images(body), marks, strict=True))))
    _restore(value, texts)
    return value


def has_too_many_values(text: bytes) -> bool:
    """Return whether parsing `text` would take more memory and time than any reply needs.

    A parsed value takes some 60 bytes of memory, but as little as two bytes in the text.
    """
    return len(text) > _LARGE_BYTES and sum(text.count(mark) for mark in (b",", b"[", b"{")) > _MAX_VALUES


def _parse(text: bytes) -> Any:
    if has_too_many_values(text):
        raise orjson.JSONDecodeError("too many values", "", 0)
    return orjson.loads(text)


def without_images(body: bytes) -> list[bytes]:
    """Return `body` without the long texts of images: one part more than there are such texts."""
    cuts = [0, *chain.from_iterable(_long_texts(body)), len(body)]
    return [body[start:end] for start, end in zip(cuts[::2], cuts[1::2], strict=True)]


def _long_texts(body: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of each long text of an image."""
    quote = body.find(b'"')
    for _ in range(_MAX_QUOTES):
        start, quote = quote + 1, body.find(b'"', quote + 1)
        if quote < 0:
            return
        if quote - start >= _LONG_BYTES and _is_image(body, start) and body.find(b"\\", start, quote) < 0:
            yield start, quote


def _is_image(body: bytes, start: int) -> bool:
    return _NAME.search(body, max(0, start - _NAME_BYTES), start) is not None


def _restore(value: object, texts: Mapping[str, memoryview]) -> None:
    containers = [value]
    while containers:  # without recursion, because a reply may be nested deeper than the stack allows
        container = containers.pop()
        members: Any = ()
        if isinstance(container, dict):
            members = container.items()
        elif isinstance(container, list):
            members = enumerate(container)
        for place, member in members:
            if isinstance(member, dict | list):
                containers.append(member)
            elif isinstance(member, str) and member in texts:
                container[place] = texts[member]  # type: ignore[index]
