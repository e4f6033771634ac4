"""Validates JPEG files.

A JPEG has no checksum, and decoders try to show something in any case: a full decode accepts half an image
that ends in an end marker, and blocks of zeros in the middle. Four checks detect these and cost less than a
full decode:

    every segment has its stated length, and an end marker comes last           detects any truncation
    restart markers inside a scan count 0..7 in order                           detects missing data
    no run of zeros occurs where the code table has no such run                 detects a zeroed block
    the decoder needs the last bytes of the scan, and nothing beyond them       detects missing or extra pixels

No check detects changed bits that decode to the same number of pixels or, in a JPEG of several scans
(progressive), changes that leave all markers in place. Bytes after the end marker are tolerated.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from imagen_batch.errors import InvalidImage
from imagen_batch.images.formats.shape_limits import Shape, require_size

_DHT, _EOI, _SOS, _APP11, _COMMENT = 0xC4, 0xD9, 0xDA, 0xEB, 0xFE
_APPS = range(0xE0, 0xF0)
_SEQUENTIAL = (0xC0, 0xC1)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {_DHT, 0xC8, 0xCC}

_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7]")  # begins with one fixed byte: 15 times faster than \xff+
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")

# Some encoders leave a stray byte or two at the end of a scan; a complete scan needs at least these bytes.
_HELD_BACK_BYTES = 16
# Decoders read 8 bytes ahead. All ones is a code that no table has, so it can't replace missing pixels.
_READ_AHEAD = b"\xff\x00" * 16
# Longer than one block can be with any sensible code table.
_ZEROS = bytes(256)


@dataclass(frozen=True, slots=True)
class _Segment:
    marker: int
    start: int  # offset of its marker
    body: memoryview
    scan: memoryview  # the coded pixels that follow; empty but for a scan header

    @property
    def end(self) -> int:
        return self.start + 4 + len(self.body) + len(self.scan)


def read_jpeg(data: bytes) -> Shape:
    """Walk all segments and decode a small gray version; raises InvalidImage where either fails."""
    segments = tuple(_segments(data))
    frame = next((segment for segment in segments if segment.marker in _FRAMES), None)
    scans = [segment for segment in segments if segment.marker == _SOS]
    if frame is None or len(frame.body) < 6 or not scans:
        raise InvalidImage("the JPEG holds no pixels")
    height, width = int.from_bytes(frame.body[1:3], "big"), int.from_bytes(frame.body[3:5], "big")
    require_size(width, height)
    _check_restarts(scans)
    _check_zeros(segments)
    _check_pixels(data, segments, one_scan=frame.marker in _SEQUENTIAL and scans[0] is segments[-1])
    return Shape(width, height, c2pa=any(_is_c2pa(segment) for segment in segments))


def _segments(data: bytes) -> Iterator[_Segment]:
    view, at = memoryview(data), 2
    while True:
        match = _MARKER.match(data, at)
        if match is None:
            raise InvalidImage(f"the JPEG breaks off or is damaged at byte {at} of {len(data)}")
        marker, at = match[1][0], match.end()
        if marker == _EOI:
            return
        end = at + int.from_bytes(view[at : at + 2], "big")
        if end < at + 2 or end > len(view):
            raise InvalidImage(f"the JPEG breaks off after {len(data)} bytes")
        after = _end_of_scan(data, end) if marker == _SOS else end
        yield _Segment(marker, at - 2, view[at + 2 : end], view[end:after])
        at = after


def _end_of_scan(data: bytes, start: int) -> int:
    match = _AFTER_SCAN.search(data, start)
    if match is None:
        raise InvalidImage(f"the JPEG breaks off within its pixels after {len(data)} bytes")
    return match.start()


def _check_restarts(scans: Sequence[_Segment]) -> None:
    for scan in scans:
        numbers = b"".join(_RESTART.findall(scan.scan))
        if any(number != 0xD0 + index % 8 for index, number in enumerate(numbers)):
            raise InvalidImage("a stretch of the JPEG's pixels is missing or out of order")


def _check_zeros(segments: Sequence[_Segment]) -> None:
    """Reject long runs of zeros, except where the code for "no more detail" consists of zeros (flat areas)."""
    zero_codes: dict[int, int] = {}
    for segment in segments:
        if segment.marker == _DHT:
            zero_codes |= _zero_codes(segment.body)
        elif segment.marker == _SOS and _has_detail(segment.body, zero_codes) and _ZEROS in bytes(segment.scan):
            raise InvalidImage("a stretch of the JPEG's pixels is zeroed")


def _zero_codes(body: memoryview) -> Iterator[tuple[int, int]]:
    """Yield for each code table its class and number, and the symbol whose code is all zeros."""
    at = 0
    while at + 17 < len(body):
        yield body[at], body[at + 17]
        at += 17 + sum(body[at + 1 : at + 17])


def _has_detail(header: memoryview, zero_codes: dict[int, int]) -> bool:
    """Whether zeros mean coefficients for some component (low digit: their size) instead of their end."""
    count = header[0] if header else 0
    if len(header) != 4 + 2 * count or not header[-2] or header[-1] >> 4:
        return False  # no detail in this scan, or single bits that refine an earlier one
    return any(zero_codes.get(0x10 | header[2 + 2 * index] & 15, 0) & 15 for index in range(count))


def _check_pixels(data: bytes, segments: Sequence[_Segment], *, one_scan: bool) -> None:
    """Decode at an eighth of the size. That still reads every code word and saves only the arithmetic.

    The end of a single scan is held back. A decoder that finishes without it has skipped some pixels; one
    that asks for more than there is has missed some. Metadata is omitted because Pillow would reject it, too.
    """
    from PIL.JpegImagePlugin import JpegImageFile  # noqa: PLC0415 - not needed before the first image

    without_metadata = [segment for segment in segments if segment.marker not in _APPS and segment.marker != _COMMENT]
    parts = b"".join([b"\xff\xd8", *(data[segment.start : segment.end] for segment in without_metadata)])
    held_back = min(_HELD_BACK_BYTES, len(segments[-1].scan)) if one_scan else 0
    file = _TwoPartFile(parts + (_READ_AHEAD if one_scan else b"\xff\xd9"), first=len(parts) - held_back)
    try:
        image = JpegImageFile(file)
        image.draft("L", (max(1, image.width // 8), max(1, image.height // 8)))
        image.load()
    except (OSError, SyntaxError, ValueError) as exc:
        raise InvalidImage(f"the JPEG can't be decoded: {exc}") from exc
    if one_scan and file.tell() <= file.first:
        raise InvalidImage("the JPEG holds more coded pixels than its size has room for")


class _TwoPartFile(io.BytesIO):
    """A file whose bytes after `first` are returned only by a second read."""

    def __init__(self, data: bytes, *, first: int) -> None:
        super().__init__(data)
        self.first = first

    def read(self, size: int | None = -1, /) -> bytes:
        remaining = self.first - self.tell()
        return super().read(min(size, remaining) if size is not None and remaining > 0 else size)


def _is_c2pa(segment: _Segment) -> bool:
    """Whether this is a JUMBF box whose description names C2PA. A long box continues in further segments."""
    body = bytes(segment.body[:80]) if segment.marker == _APP11 else b""
    return body[:2] == b"JP" and body[12:16] == b"jumb" and b"c2pa" in body[16:]
