"""How is a reply of megabytes read whose weight is the text of a picture?

A JSON parser checks and copies every text. The base64 of a picture is better cut out before: the parser sees a
mark in its place, and the picture is decoded from where it lies. In any doubt the text stays for the parser.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import orjson

_LONG_BYTES = 4096
_MOST_QUOTES = 10_000  # looked at: answers have a few hundred
_MUCH_BYTES = 2**20
_MOST_VALUES = 1_000_000
_REACH_BYTES = 48  # a name, a colon, blanks

# What stands before the text. No text of JSON can hold this: quotes inside one are escaped.
_NAME = re.compile(rb'(?<!\\)"(?:data|bytesBase64Encoded)"\s*:\s*"\Z')
_MARK = secrets.token_hex(16)


def loads(body: bytes) -> Any:
    """What JSON says; a picture's long text comes as a view of `body` that nobody checked.

    Raises orjson.JSONDecodeError.
    """
    view = memoryview(body)
    texts = {f"{_MARK}{start}": view[start:end] for start, end in _long_texts(body)}
    if not texts:
        return _parse(body)
    marks = [mark.encode() for mark in texts] + [b""]
    value = _parse(b"".join(chain.from_iterable(zip(without_images(body), marks, strict=True))))
    _put_back(value, texts)
    return value


def has_too_many_values(text: bytes) -> bool:
    """Whether parsing `text` would take more memory and time than any reply needs.

    Each value takes some 60 bytes of memory once parsed, and as little as two in the text.
    """
    return len(text) > _MUCH_BYTES and sum(text.count(mark) for mark in (b",", b"[", b"{")) > _MOST_VALUES


def _parse(text: bytes) -> Any:
    if has_too_many_values(text):
        raise orjson.JSONDecodeError("too many values", "", 0)
    return orjson.loads(text)


def without_images(body: bytes) -> list[bytes]:
    """What is left of `body` without the long texts of pictures: one part more than there are such texts."""
    cuts = [0, *chain.from_iterable(_long_texts(body)), len(body)]
    return [body[start:end] for start, end in zip(cuts[::2], cuts[1::2], strict=True)]


def _long_texts(body: bytes) -> Iterator[tuple[int, int]]:
    """Where they begin and end."""
    quote = body.find(b'"')
    for _ in range(_MOST_QUOTES):
        start, quote = quote + 1, body.find(b'"', quote + 1)
        if quote < 0:
            return
        if quote - start >= _LONG_BYTES and _is_picture(body, start) and body.find(b"\\", start, quote) < 0:
            yield start, quote


def _is_picture(body: bytes, start: int) -> bool:
    return _NAME.search(body, max(0, start - _REACH_BYTES), start) is not None


def _put_back(value: object, texts: Mapping[str, memoryview]) -> None:
    boxes = [value]
    while boxes:  # not by recursion: a reply may nest deeper than that can go
        box = boxes.pop()
        slots: Any = box.items() if isinstance(box, dict) else enumerate(box) if isinstance(box, list) else ()
        for slot, inner in slots:
            if isinstance(inner, dict | list):
                boxes.append(inner)
            elif isinstance(inner, str) and inner in texts:
                box[slot] = texts[inner]  # type: ignore[index]
