"""Defines the typed records of a ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, Literal, get_type_hints

import msgspec

from imagen_batch.records import RequestTrace, SampleResult

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


class SentRecord(msgspec.Struct, tag="sent", tag_field="t", frozen=True, gc=False):
    """An attempt is about to start. `usd` is its worst-case price."""

    key: str
    base: str
    first: int
    names: tuple[str, ...]
    attempt: int
    at: float
    usd: float | None
    provider: str | None = None

    @property
    def share(self) -> float | None:
        """The worst-case price of one of its samples."""
        return None if self.usd is None else self.usd / len(self.names)

    @property
    def numbers(self) -> range:
        """The sample numbers that it requests."""
        return range(self.first, self.first + len(self.names))

    def lost_usd(self, *, saved: int) -> float:
        """Return what the samples beyond `saved` ones may have cost; 0 where no price is known."""
        return (self.share or 0.0) * (len(self.names) - saved)


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

    @property
    def trace(self) -> RequestTrace:
        """The trace of the request."""
        return RequestTrace(
            key=self.key,
            attempts=self.attempt,
            http_status=self.status,
            latency_s=self.latency,
            sent_at=self.sent_at,
            finished_at=self.at,
            model_version=self.model_version,
            response_id=self.response_id,
            prompt_tokens=self.prompt_tokens,
            output_tokens=self.output_tokens,
            run_id=self.run_id,
        )


class KeptMove(msgspec.Struct, rename={"source": "from"}):
    """Samples whose images are assigned to another row key, and what they were made from where that differs."""

    base: str
    source: str
    numbers: tuple[int, ...]
    prompt: str | None = None
    model: str | None = None
    dialect: str | None = None
    options: dict[str, Any] | None = None
    references: tuple[dict[str, Any], ...] | None = None  # reference images, as `Reference` without empty fields

    @property
    def facts(self) -> dict[str, Any] | None:
        """What the images were made from; None where the row states it."""
        if self.prompt is None:
            return None
        facts = {"prompt": self.prompt, "model": self.model, "dialect": self.dialect, "options": self.options or {}}
        return facts | ({"references": self.references} if self.references else {})


class KeptRecord(msgspec.Struct, tag="kept", tag_field="t"):
    """Images that stand for samples of rows whose text was edited since."""

    moves: tuple[KeptMove, ...]
    at: float = 0.0


class ReviewedVersion(msgspec.Struct, frozen=True):
    """A person's decision about one version of a sample. A decision of None withdraws an earlier one."""

    base: str
    number: int
    version: int
    decision: Literal["approve", "reject", "redo"] | None = None
    prompt: str | None = None  # for a redo: the edited prompt
    seed: int | None = None  # for a redo
    note: str | None = None


class ReviewRecord(msgspec.Struct, tag="review", tag_field="t"):
    """Decisions of a review, which count together or not at all."""

    decisions: tuple[ReviewedVersion, ...]
    at: float = 0.0


class OrderedVersion(msgspec.Struct, frozen=True):
    """A further version of a sample, with everything that its request needs. `key` is its own row key."""

    base: str
    number: int
    version: int
    key: str
    name: str  # of its image, below the run's folder, without extension
    prompt: str
    model: str
    dialect: str
    options: dict[str, Any]
    usd: float | None = None  # worst-case price of an attempt
    references: tuple[dict[str, Any], ...] | None = None  # reference images, as `Reference` without empty fields

    @property
    def facts(self) -> dict[str, Any]:
        """What its image is made from."""
        facts = {"prompt": self.prompt, "model": self.model, "dialect": self.dialect, "options": self.options}
        return facts | ({"references": self.references} if self.references else {})


class VersionsRecord(msgspec.Struct, tag="versions", tag_field="t"):
    """Further versions that a run is going to make."""

    versions: tuple[OrderedVersion, ...]
    at: float = 0.0


class OtherRecord(msgspec.Struct):
    """A record that is not about an attempt: `claim`, `skip`, or of a type that a later version writes."""

    t: str
    file: str | None = None  # of a `skip`: the ledger file, and the line that is skipped
    offset: int | None = None
    sha256: str | None = None


Known = SentRecord | BackRecord | DoneRecord | KeptRecord | ReviewRecord | VersionsRecord
Record = Known | OtherRecord


def as_sample(record: SampleRecord) -> SampleResult:
    """Return the sample that a `done` record holds."""
    return SampleResult(*msgspec.structs.astuple(record))  # type: ignore[arg-type]


def kept_record(moves: Iterable[Mapping[str, object]]) -> KeptRecord:
    """Return a record of moves that are not in the ledger yet."""
    return msgspec.convert({"t": "kept", "moves": list(moves)}, KeptRecord)


def versions_record(versions: Iterable[OrderedVersion]) -> VersionsRecord:
    """Return a record of versions that are not in the ledger yet."""
    return VersionsRecord(tuple(versions))


def review_record(decisions: Iterable[ReviewedVersion]) -> ReviewRecord:
    """Return a record of decisions that are not in the ledger yet."""
    return ReviewRecord(tuple(decisions))
