"""Marks images as made by the simulator, in a form that programs can read.

The mark is JSON inside the file: a PNG's tEXt chunk right after its header, or a JPEG's comment segments (a long
prompt needs several) right after its first segment. It is pure ASCII, so that any reader can show it.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_HEADER_END = 33  # signature and IHDR
_KEYWORD = b"simulator\0"
_JPEG_FIRST_END = 20  # start of image and the JFIF segment
_COMMENT = b"\xff\xfe"
_COMMENT_ROOM = 65533


def write_stamp(data: bytes, facts: Mapping[str, Any]) -> bytes:
    """Return the encoded image with `facts` inside; its pixels do not change."""
    text = json.dumps(facts, separators=(",", ":")).encode("ascii")
    if data.startswith(_PNG):
        return data[:_PNG_HEADER_END] + _chunk(b"tEXt", _KEYWORD + text) + data[_PNG_HEADER_END:]
    pieces = (text[start : start + _COMMENT_ROOM] for start in range(0, len(text), _COMMENT_ROOM))
    comments = b"".join(_COMMENT + (len(piece) + 2).to_bytes(2, "big") + piece for piece in pieces)
    return data[:_JPEG_FIRST_END] + comments + data[_JPEG_FIRST_END:]


def read_stamp(data: bytes) -> dict[str, Any]:
    """Return the facts inside an encoded image. Raises ValueError if there are none."""
    text = _png_text(data) if data.startswith(_PNG) else b"".join(_jpeg_comments(data))
    if not text:
        raise ValueError("the image has no stamp of the simulator")
    facts: dict[str, Any] = json.loads(text)
    return facts


def _chunk(kind: bytes, payload: bytes) -> bytes:
    check = zlib.crc32(kind + payload).to_bytes(4, "big")
    return len(payload).to_bytes(4, "big") + kind + payload + check


def _png_text(data: bytes) -> bytes:
    at = len(_PNG)
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        payload = data[at + 8 : at + 8 + length]
        if kind == b"tEXt" and payload.startswith(_KEYWORD):
            return payload[len(_KEYWORD) :]
        at += 12 + length
    return b""


def _jpeg_comments(data: bytes) -> Iterator[bytes]:
    at = 2
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\xda":
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at : at + 2] == _COMMENT:
            yield data[at + 4 : at + 2 + length]
        at += 2 + length
