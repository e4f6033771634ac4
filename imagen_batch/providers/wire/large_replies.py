"""Parses replies of several megabytes without copying the long base64 texts in them.

A JSON parser checks and copies every text. So long base64 is cut out first, in one scan of the body. The parser sees
a mark in place of an image, which is decoded from the original bytes. A thought signature, which nothing here needs
and which may be twice as long as the image, becomes an empty text. In any doubt the text is left to the parser.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

_LONG_BYTES = 4096
_MAX_QUOTES = 10_000  # to search; replies have a few hundred
_LARGE_BYTES = 2**20
_MAX_VALUES = 1_000_000
_NAME_BYTES = 48  # a name, a colon, blanks

# What precedes the base64 text. No JSON text contains this, because quotes inside one are escaped.
_NAME = re.compile(rb'(?<!\\)"(?:(?P<image>data|bytesBase64Encoded)|thoughtSignature|thought_signature)"\s*:\s*"\Z')
_MARK = secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class _Span:
    """The position of a long text, without its quotes."""

    start: int
    end: int
    is_image: bool


def loads(body: bytes) -> Any:
    """Parse JSON; the long text of an image becomes an unchecked view of `body`, a long signature an empty text.

    Raises orjson.JSONDecodeError.
    """
    spans = list(_long_texts(body))
    if not spans:
        return _parse(body)
    value = _parse(_without(body, spans))
    view = memoryview(body)
    _restore(value, {_mark(span): view[span.start : span.end] for span in spans if span.is_image})
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


def _without(body: bytes, spans: list[_Span]) -> bytes:
    """Return `body` with a mark in place of each image and nothing in place of other long texts."""
    pieces, end = [], 0
    for span in spans:
        pieces += [body[end : span.start], _mark(span).encode() if span.is_image else b""]
        end = span.end
    return b"".join([*pieces, body[end:]])


def _mark(span: _Span) -> str:
    return f"{_MARK}{span.start}"


def _long_texts(body: bytes) -> Iterator[_Span]:
    """Find each long text of an image or a signature."""
    quote = body.find(b'"')
    for _ in range(_MAX_QUOTES):
        start, quote = quote + 1, body.find(b'"', quote + 1)
        if quote < 0:
            return
        if quote - start < _LONG_BYTES:
            continue
        name = _NAME.search(body, max(0, start - _NAME_BYTES), start)
        if name is not None and body.find(b"\\", start, quote) < 0:
            yield _Span(start, quote, is_image=name["image"] is not None)


def _restore(value: object, texts: Mapping[str, memoryview]) -> None:
    containers = [value]
    while containers:  # without recursion, because a reply may be nested deeper than the stack allows
        container = containers.pop()
        members: Any = ()
        if isinstance(container, dict):
            members = container.items()
        elif isinstance(container, list):
            members = enumerate(container)
        for index, member in members:
            if isinstance(member, dict | list):
                containers.append(member)
            elif isinstance(member, str) and member in texts:
                container[index] = texts[member]  # type: ignore[index]
