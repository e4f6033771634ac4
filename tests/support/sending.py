"""A sending context without a server: scripted replies replace the transport."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from imagen_batch.errors import AttemptError
from imagen_batch.images.reserve_disk_space import DiskSpace
from imagen_batch.images.store import ImageStore
from imagen_batch.ledger.history import History, read_history
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.providers.catalogue import Model
from imagen_batch.providers.credentials import Credential
from imagen_batch.providers.transport import RawReply
from imagen_batch.records import ImageRequest, SampleResult
from imagen_batch.sending.budget import Budget
from imagen_batch.sending.context import Governors, SendingContext
from imagen_batch.sending.stop import Stop
from imagen_batch.settings import make_settings
from imagen_batch.storage import LEDGER, Folder
from tests.support.factories import REQUEST
from tests.support.images import sound
from tests.support.scripted_service import imagen_reply

PRICE = 0.04
MODEL = Model(id="imagen", dialect="predict", samples_per_request=4, prices={"any": PRICE})
IMAGE = sound()["png rgb"]
OTHER_IMAGE = sound()["png gray"]
HALF_IMAGE = IMAGE[: len(IMAGE) // 2]

Reply = RawReply | AttemptError | OSError | Callable[[], RawReply]


@dataclass
class FakeTransport:
    """Returns the scripted replies in order, then the last one again and again. It raises those that are errors."""

    replies: list[Reply]
    payloads: list[dict[str, Any]] = field(default_factory=list)
    closed: bool = False

    def post(self, url: str, payload: bytes, *, headers: Mapping[str, str] | None = None) -> RawReply:
        reply = self.replies[min(len(self.payloads), len(self.replies) - 1)]
        self.payloads.append({"url": url, "headers": headers, **orjson.loads(payload)})
        if isinstance(reply, Exception):
            raise reply
        return reply if isinstance(reply, RawReply) else reply()

    def close(self) -> None:
        self.closed = True

    @property
    def sample_counts(self) -> list[int]:
        """Return how many images each request was for."""
        return [payload["parameters"]["sampleCount"] for payload in self.payloads]


@dataclass
class FakeProvider:
    """A provider that no request reaches."""

    name: str = "gemini"
    vertex: bool = False
    base_url: str = "http://service.test"
    credential: Credential = field(default_factory=lambda: Credential("a-secret-key"))

    def url(self, model: str, verb: str) -> str:
        return f"{self.base_url}/{model}:{verb}"


@dataclass
class Sending:
    """A sending context, and what a test checks afterwards."""

    context: SendingContext
    transport: FakeTransport
    folder: Path
    results: list[SampleResult]
    slept: list[float]

    @property
    def history(self) -> History:
        """Return the state of the ledger, with everything flushed."""
        self.context.ledger.flush()
        return read_history(self.folder / LEDGER)

    @property
    def records(self) -> list[dict[str, Any]]:
        """Return all records of the ledger."""
        self.context.ledger.flush()
        files = sorted((self.folder / LEDGER).rglob("*.jsonl"))
        return [orjson.loads(line) for file in files for line in file.read_bytes().splitlines()]


class WakefulStop(Stop):
    """A stop whose sleep returns at once and records its seconds."""

    def __init__(self, slept: list[float]) -> None:
        super().__init__()
        self._slept = slept

    def sleep(self, seconds: float) -> None:
        self.check()
        self._slept.append(seconds)


def sending(folder: Path, *replies: Reply, budget: Mapping[str, Any] | None = None, **settings: Any) -> Sending:
    """Return a context whose service replies with `replies`."""
    storage, results, slept = Folder(folder), [], []
    transport, stop = FakeTransport(list(replies)), WakefulStop(slept)
    options = {"prompts": "book.csv", "out": str(folder), "wait_initial": 1.0, "concurrency": 4, **settings}
    chosen = make_settings(options)
    ticks = iter(range(1_000_000))
    context = SendingContext(
        settings=chosen,
        models={MODEL.id: MODEL},
        provider=FakeProvider(),
        transport=transport,  # type: ignore[arg-type]
        ledger=LedgerWriter(storage, now=1.0),
        store=ImageStore(storage, DiskSpace(storage, in_flight=4, free=lambda: None)),
        budget=Budget(**{"max_cost": None, "max_images": None, **(budget or {})}),
        stop=stop,
        governors=Governors(chosen, stop),
        on_results=results.extend,
        clock=lambda: float(next(ticks)),
        rng=lambda: 0.5,
    )
    return Sending(context, transport, folder, results, slept)


def predict_request(samples: int = 1, **changes: Any) -> ImageRequest:
    """Return a request to MODEL for some samples."""
    names = tuple(f"images/000001_{number:02}_abababab" for number in range(1, samples + 1))
    own = {"model": MODEL.id, "dialect": "predict", "samples": samples, "names": names, "price": PRICE * samples}
    return replace(REQUEST, **{**own, **changes})


def images(*data: bytes) -> RawReply:
    """Return a reply with these images."""
    return RawReply(200, {}, imagen_reply(*data))


def error(status: int, **headers: str) -> RawReply:
    """Return an error reply of the service."""
    body = {"error": {"code": status, "message": f"status {status}", "status": "UNAVAILABLE"}}
    return RawReply(status, headers, orjson.dumps(body))
