"""Reads the ledger's records in the order in which they were written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, fields
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_type_hints

import msgspec

from imagen_batch.errors import LedgerDamaged, SettingsInvalid
from imagen_batch.records import SampleResult

if TYPE_CHECKING:
    SampleRecord = SampleResult
else:  # generated, so that it has every field of SampleResult; a Struct decodes four times as fast
    _HINTS = get_type_hints(SampleResult)
    SampleRecord = msgspec.defstruct(
        "SampleRecord",
        [
            (field.name, _HINTS[field.name], *(() if field.default is MISSING else (field.default,)))
            for field in fields(SampleResult)
        ],
        module=__name__,
        gc=False,
    )
_SKIP_MARK: Final = b'"t":"skip"'
_KEY_BYTES: Final = 32
_NO_START: Final = ("", "/")
_MAX_SAMPLE_NUMBER: Final = 2**32 - 1
_TIME_IN_NAME: Final = re.compile(r"[0-9]+\.[0-9]{3}")


class SentRecord(msgspec.Struct, tag="sent", tag_field="t", gc=False):
    """An attempt is about to start. `usd` is its worst-case price."""

    key: str
    base: str
    first: int
    names: tuple[str, ...]
    attempt: int
    at: float
    usd: float | None
    provider: str | None = None


class BackRecord(msgspec.Struct, tag="back", tag_field="t", gc=False):
    """An attempt ended without a result. `usd` is what it cost nevertheless."""

    key: str
    attempt: int
    charged: Literal["no", "maybe", "yes"]
    status: int | None = None
    usd: float | None = None
    at: float = 0.0
    kind: str = ""
    error: str | None = None


class DoneRecord(msgspec.Struct, tag="done", tag_field="t", gc=False):
    """The result of a request."""

    key: str
    base: str
    attempt: int
    status: int | None
    latency: float | None
    sent_at: float | None
    at: float | None
    samples: tuple[SampleRecord, ...]
    maybe_usd: float = 0.0
    model_version: str | None = None
    response_id: str | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    run_id: str | None = None


class KeptMove(msgspec.Struct, rename={"source": "from"}):
    """Samples whose images hold for samples of another base key, and what they were made from where that differs."""

    base: str
    source: str
    numbers: tuple[int, ...]
    prompt: str | None = None
    model: str | None = None
    dialect: str | None = None
    options: dict[str, Any] | None = None

    @property
    def facts(self) -> dict[str, Any] | None:
        """What the images were made from; None where that is what the row says."""
        if self.prompt is None:
            return None
        return {"prompt": self.prompt, "model": self.model, "dialect": self.dialect, "options": self.options or {}}


class KeptRecord(msgspec.Struct, tag="kept", tag_field="t"):
    """Images that stand for samples of rows whose text was edited since."""

    moves: tuple[KeptMove, ...]
    at: float = 0.0


class OtherRecord(msgspec.Struct):
    """A record that is not about an attempt: `claim`, `skip`, or of a type that a later version writes."""

    t: str
    file: str | None = None  # of a `skip`: the ledger file, and the line that is passed over
    offset: int | None = None
    sha256: str | None = None


Known = SentRecord | BackRecord | DoneRecord | KeptRecord
Record = Known | OtherRecord

_KNOWN_TYPES: Final = frozenset({"sent", "back", "done", "kept"})
_decode = msgspec.json.Decoder(Known).decode
_decode_other = msgspec.json.Decoder(OtherRecord).decode


def as_sample(record: SampleRecord) -> SampleResult:
    """The sample that a `done` record holds."""
    return SampleResult(*msgspec.structs.astuple(record))  # type: ignore[arg-type]


def ledger_files(folder: Path) -> list[Path]:
    """All files of a ledger, in the order in which they are read.

    Raises SettingsInvalid for one that is not a regular file: reading it might never end, and ignoring it would mean
    paying again for what it records.
    """
    files = sorted(folder.rglob("*.jsonl"), key=lambda path: path.name)
    for path in files:
        if not path.is_file():
            raise SettingsInvalid(f"{path} is not a regular file: the ledger can't be read before that is restored")
    return files


def read_records(folder: Path) -> Iterator[Record]:
    """All records of a ledger. Raises LedgerDamaged for a line that is not a record."""
    for path in ledger_files(folder):
        for _, _, record in records_in(path):
            yield record


def records_in(path: Path, start: int = 0) -> Iterator[tuple[int, int, Record]]:
    """The records of a file from a byte offset on, as (begin, end, record).

    A last line without a line end was cut off by a kill and does not count. Raises LedgerDamaged.
    """
    offset = start
    with path.open("rb") as file:
        file.seek(start)
        for line in file:
            if not line.endswith(b"\n"):
                return
            end = offset + len(line)
            record = _parse(line)
            if isinstance(record, str):
                if not _is_skipped(path, offset, line):
                    raise _damaged(path, offset, record)
            else:
                yield offset, end, record
            offset = end


def done_at(path: Path, offset: int, line: bytes) -> DoneRecord:
    """The result in `line`, which was read from `path` at `offset`. Raises LedgerDamaged."""
    record = _parse(line)
    if not isinstance(record, DoneRecord):
        raise _damaged(path, offset, record if isinstance(record, str) else "it changed while it was read")
    return record


def kept_at(path: Path, offset: int, line: bytes) -> KeptRecord:
    """The record of moves in `line`, which was read from `path` at `offset`. Raises LedgerDamaged."""
    record = _parse(line)
    if not isinstance(record, KeptRecord):
        raise _damaged(path, offset, record if isinstance(record, str) else "it changed while it was read")
    return record


def kept_record(moves: Iterable[Mapping[str, object]]) -> KeptRecord:
    """A record of moves that are not in the ledger yet."""
    return msgspec.convert({"t": "kept", "moves": list(moves)}, KeptRecord)


def damaged_lines(folder: Path) -> Iterator[tuple[LedgerDamaged, bytes]]:
    """Every line of a ledger that is neither a record nor named by a `skip` record, with its bytes."""
    for path in ledger_files(folder):
        offset = 0
        with path.open("rb") as file:
            for line in file:
                reason: Record | str | None = _parse(line) if line.endswith(b"\n") else None
                if isinstance(reason, str) and not _is_skipped(path, offset, line):
                    yield _damaged(path, offset, reason), line
                offset += len(line)


def skip_record(damage: LedgerDamaged, line: bytes) -> dict[str, Any]:
    """The record that makes every later reader ignore a damaged line."""
    facts = {"file": damage.path.name, "offset": damage.offset, "sha256": sha256(line).hexdigest()}
    return {"t": "skip", **facts, "reason": damage.reason}


def _parse(line: bytes) -> Record | str:
    """The record in a line, or what is wrong with the line."""
    try:
        record: Known = _decode(line)
    except msgspec.ValidationError as error:
        return _parse_other(line) or f"it is not a record of a known form: {error}"
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
    return isinstance(record, BackRecord) or _is_kept(record)


def _parse_other(line: bytes) -> OtherRecord | None:
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
    return True


def _is_path(path: str) -> bool:
    """Whether this is a path below the run's folder; others must never be read, written or removed."""
    return path[:1] not in _NO_START and (".." not in path or ".." not in path.split("/"))


def _damaged(path: Path, offset: int, reason: str) -> LedgerDamaged:
    with path.open("rb") as file:
        line, remaining = 1, offset
        while remaining and (block := file.read(min(remaining, 1 << 20))):
            line += block.count(b"\n")
            remaining -= len(block)
    return LedgerDamaged(path, line, offset, reason)


def _is_skipped(path: Path, offset: int, line: bytes) -> bool:
    """Whether a `skip` record names this line. Searches only when there is a damaged line."""
    digest = sha256(line).hexdigest()
    for other in _siblings(path):
        with other.open("rb") as file:
            for text in file:
                if _SKIP_MARK not in text[:20]:
                    continue
                skip = _parse_other(text)
                if skip and (skip.file, skip.offset, skip.sha256) == (path.name, offset, digest):
                    return True
    return False


def _siblings(path: Path) -> list[Path]:
    """The files of the ledger that `path` belongs to, workers' files in its subfolders included."""
    root = next((parent for parent in path.parents if parent.name == "ledger"), path.parent)
    return ledger_files(root)


def moment_after(ledgers: Iterable[str], now: float) -> float:
    """The time for a new ledger's name: now, but later than any existing one, whichever machine's clock made that."""
    times = (name.rpartition("/")[2].partition("-")[0] for name in ledgers)
    return max([now, *(float(time) + 0.001 for time in times if _TIME_IN_NAME.fullmatch(time))])
