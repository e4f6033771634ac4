"""Decodes the text of an image in a reply.

The standard form is base64. Other forms are read as well if they contain every byte: the image has been paid for, and
would come in the same form again.
"""

from __future__ import annotations

import binascii
import re
from urllib.parse import unquote_to_bytes

import pybase64

_DATA_URL = re.compile(rb"data:[^,]{0,200},", re.IGNORECASE)
_PADDING = re.compile(rb"=+")
_URL_ALPHABET = bytes.maketrans(b"-_", b"+/")
_BREAKS = b" \t\r\n\f\v\0"


def image_bytes(text: object) -> bytes | None:
    """Return the bytes of an image from the value of its field; None if they are damaged or missing."""
    if isinstance(text, list) and text and all(isinstance(piece, str) for piece in text):
        text = "".join(text)
    if not isinstance(text, str | memoryview):
        return _byte_values(text)
    try:
        return pybase64.b64decode(text, validate=True) or None
    except ValueError:  # also where the text is not ASCII
        return _decode_leniently(text.encode("utf-8", "replace") if isinstance(text, str) else bytes(text))


def _decode_leniently(text: bytes) -> bytes | None:
    """Decode base64 with line breaks, in the URL alphabet, unpadded, in several padded pieces, or as a data URL."""
    text = text.strip(_BREAKS)
    if match := _DATA_URL.match(text):
        text = text[match.end() :]
        text = unquote_to_bytes(text) if b"%" in text else text
    plain = text.translate(_URL_ALPHABET, _BREAKS)
    try:
        padded = (piece + b"=" * (-len(piece) % 4) for piece in _PADDING.split(plain))
        pieces = [pybase64.b64decode(piece, validate=True) for piece in padded]
    except binascii.Error:
        return None
    return b"".join(pieces) or None


def _byte_values(value: object) -> bytes | None:
    """Return bytes that are listed as numbers, as some servers write a buffer."""
    listed = value.get("data") if isinstance(value, dict) and value.get("type") == "Buffer" else value
    if not isinstance(listed, list) or not listed:
        return None
    if not all(type(item) is int and 0 <= item <= 255 for item in listed):
        return None
    return bytes(listed)
