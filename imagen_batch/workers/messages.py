"""What goes to a worker elsewhere, and what comes back?

Plain values, packed into bytes: whoever carries them need not look inside. No key and no picture is among them.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from imagen_batch.errors import Fatal
from imagen_batch.providers.catalogue import Model
from imagen_batch.records import ImageRequest, SampleResult
from imagen_batch.settings import Settings
from imagen_batch.workers.allocation import Limits, Spent

_Kind = TypeVar("_Kind")
_FATAL_FACTS = ("kind", "outcome", "exit_code", "http_status", "resets_at")


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What is the same for every shard of a run. `id` is the run's own, `base_url` where it sends."""

    id: str
    settings: Settings
    base_url: str | None
    models: Mapping[str, Model]


@dataclass(frozen=True, slots=True)
class ShardTask:
    """One shard to be made.

    `share` is its part of the account's rate; `tries` are the attempts that earlier runs made, by key.
    """

    job: JobSpec
    shard: int
    requests: tuple[ImageRequest, ...]
    wall: Limits
    share: float
    tries: Mapping[str, int] = field(default_factory=dict)

    def packed(self) -> bytes:
        """As bytes."""
        return zlib.compress(pickle.dumps(self), level=1)

    @classmethod
    def unpacked(cls, data: bytes) -> ShardTask:
        """From bytes that a run of ours packed."""
        return _unpacked(data, cls)


@dataclass(frozen=True, slots=True)
class ShardReport:
    """What became of a shard.

    `walled`: its own wall left requests out; `stopped`: its worker was told to stop, or lost its run; `fatal`: facts
    of what stops the run.
    """

    samples: tuple[SampleResult, ...] = ()
    used: Spent = field(default_factory=Spent)
    budget_exhausted: bool = False
    stopped: bool = False
    fatal: Mapping[str, Any] | None = None

    def packed(self) -> bytes:
        """As bytes."""
        return zlib.compress(pickle.dumps(self), level=1)

    @classmethod
    def unpacked(cls, data: bytes) -> ShardReport:
        """From bytes that a worker of ours packed."""
        return _unpacked(data, cls)

    @property
    def error(self) -> Fatal | None:
        """What stops the run."""
        return None if self.fatal is None else Fatal(**self.fatal)


def facts_of(fatal: Fatal | None) -> Mapping[str, Any] | None:
    """An error as values that travel."""
    if fatal is None:
        return None
    return {"message": str(fatal), **{name: getattr(fatal, name) for name in _FATAL_FACTS}}


def _unpacked(data: bytes, kind: type[_Kind]) -> _Kind:
    value = pickle.loads(zlib.decompress(data))  # noqa: S301 - made by ourselves, and carried by the user's own cluster
    assert isinstance(value, kind)
    return value
