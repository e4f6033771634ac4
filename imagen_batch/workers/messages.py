"""The messages between a run and its workers: a task for a shard goes out, a report comes back.

They are plain values, sent as bytes that a cluster does not need to understand. They contain no key and no image.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from imagen_batch.errors import StopRun
from imagen_batch.providers.catalogue import Model
from imagen_batch.records import ImageRequest, SampleResult
from imagen_batch.settings import Settings
from imagen_batch.workers.allocation import Limits, Spent

_Kind = TypeVar("_Kind")
_FATAL_FACTS = ("cause", "exit_code", "resets_at")


@dataclass(frozen=True, slots=True)
class JobSpec:
    """The values that all shards of a run share. `id` identifies the run, `base_url` is where it sends."""

    id: str
    settings: Settings
    base_url: str | None
    models: Mapping[str, Model]


@dataclass(frozen=True, slots=True)
class ShardTask:
    """One shard to work on.

    `share` is its part of the account's rate. `previous_attempts` are those that earlier runs made, by key.
    """

    job: JobSpec
    shard: int
    requests: tuple[ImageRequest, ...]
    limits: Limits
    share: float
    previous_attempts: Mapping[str, int] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return the message as bytes."""
        return zlib.compress(pickle.dumps(self), level=1)

    @classmethod
    def from_bytes(cls, data: bytes) -> ShardTask:
        """Return the task in the bytes that a coordinator sent."""
        return _load(data, cls)


@dataclass(frozen=True, slots=True)
class ShardReport:
    """The result of a shard.

    `budget_exhausted`: the shard's limits left requests out. `stopped`: the worker had to stop, or lost contact with
    its run. `fatal`: the fields of an error that stops the run.
    """

    samples: tuple[SampleResult, ...] = ()
    used: Spent = field(default_factory=Spent)
    budget_exhausted: bool = False
    stopped: bool = False
    fatal: Mapping[str, Any] | None = None

    def to_bytes(self) -> bytes:
        """Return the message as bytes."""
        return zlib.compress(pickle.dumps(self), level=1)

    @classmethod
    def from_bytes(cls, data: bytes) -> ShardReport:
        """Return the report in the bytes that a worker sent."""
        return _load(data, cls)

    @property
    def error(self) -> StopRun | None:
        """The error that stops the run."""
        return None if self.fatal is None else StopRun(**self.fatal)


def facts_of(fatal: StopRun | None) -> Mapping[str, Any] | None:
    """Return the fields of an error, as plain values."""
    if fatal is None:
        return None
    return {"message": str(fatal), **{name: getattr(fatal, name) for name in _FATAL_FACTS}}


def _load(data: bytes, kind: type[_Kind]) -> _Kind:
    value = pickle.loads(zlib.decompress(data))  # noqa: S301 - written by this package, and carried by the user's own cluster
    assert isinstance(value, kind)
    return value
