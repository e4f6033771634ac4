"""Parses a line of the ledger into a record, and checks the values that types can't describe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from imagen_batch.ledger.records import (
    BackRecord,
    DoneRecord,
    KeptRecord,
    Known,
    OrderedVersion,
    OtherRecord,
    Record,
    ReviewedVersion,
    ReviewRecord,
    SentRecord,
    VersionsRecord,
)
from imagen_batch.records import Reference

_KEY_BYTES: Final = 32
_NO_START: Final = ("", "/")
_MAX_SAMPLE_NUMBER: Final = 2**32 - 1
_KNOWN_TYPES: Final = frozenset({"sent", "back", "done", "kept", "review", "versions"})
_decode = msgspec.json.Decoder(Known).decode
_decode_other = msgspec.json.Decoder(OtherRecord).decode


def parse(line: bytes) -> Record | str:
    """Return the record in a line, or the reason why it is none."""
    try:
        record: Known = _decode(line)
    except msgspec.ValidationError as error:
        return parse_other(line) or f"it is not a record of a known form: {error}"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "it is not JSON"
    try:
        sound = _is_sound(record)
    except ValueError:
        sound = False
    return record if sound else "it holds a value that no record can have"


def _is_sound(record: Known) -> bool:
    if isinstance(record, SentRecord):
        return _is_sent(record)
    if isinstance(record, DoneRecord):
        return _is_done(record)
    if isinstance(record, ReviewRecord):
        return all(_is_version(version) for version in record.decisions)
    if isinstance(record, VersionsRecord):
        return all(_is_version(version) and _is_ordered(version) for version in record.versions)
    return isinstance(record, BackRecord) or _is_kept(record)


def parse_other(line: bytes) -> OtherRecord | None:
    """Return the record in a line that is not about an attempt; None for any other line."""
    try:
        record = _decode_other(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if record.t in _KNOWN_TYPES else record


def _is_sent(record: SentRecord) -> bool:
    for name in record.names:
        if not _is_path(name):
            return False
    return (
        len(bytes.fromhex(record.base)) == _KEY_BYTES
        and 0 < record.first <= record.first + len(record.names) - 1 <= _MAX_SAMPLE_NUMBER
        and (record.usd or 0.0) >= 0
    )


def _is_done(record: DoneRecord) -> bool:
    for sample in record.samples:
        if not 0 < sample.number <= _MAX_SAMPLE_NUMBER or (sample.cost_usd or 0.0) < 0:
            return False
        if sample.status == "ok" and not (_is_path(sample.file or "") and bytes.fromhex(sample.sha256 or "")):
            return False
    return len(bytes.fromhex(record.base)) == _KEY_BYTES


def _is_kept(record: KeptRecord) -> bool:
    for move in record.moves:
        if not all(0 < number <= _MAX_SAMPLE_NUMBER for number in move.numbers):
            return False
        if {len(bytes.fromhex(move.base)), len(bytes.fromhex(move.source))} != {_KEY_BYTES}:
            return False
        if move.prompt is not None and (move.model is None or move.dialect is None):
            return False
        if not _are_references(move.references):
            return False
    return True


def _is_version(record: ReviewedVersion | OrderedVersion) -> bool:
    known = len(bytes.fromhex(record.base)) == _KEY_BYTES
    return known and 0 < record.number <= _MAX_SAMPLE_NUMBER and 0 < record.version <= _MAX_SAMPLE_NUMBER


def _is_ordered(record: OrderedVersion) -> bool:
    known = len(bytes.fromhex(record.key)) == _KEY_BYTES
    sound = _is_path(record.name) and _are_references(record.references)
    return known and sound and record.version > 1 and (record.usd or 0.0) >= 0


def _are_references(records: Iterable[Mapping[str, object]] | None) -> bool:
    try:
        references = [msgspec.convert(record, Reference) for record in records or ()]
    except msgspec.ValidationError:
        return False
    return all(each.file is None or _is_path(each.file) for each in references)


def _is_path(path: str) -> bool:
    """Whether this is a path below the run's folder; others must never be read, written or removed."""
    return path[:1] not in _NO_START and (".." not in path or ".." not in path.split("/"))
