"""No sequence of replies, kills and edits loses a row, pays twice for an image, or hides a cost."""

import base64
import io
import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import imagen_batch.runs.run.lock_and_open
from imagen_batch.errors import Transient
from imagen_batch.images.store import STAGING, ImageStore
from imagen_batch.ledger.history import read_history
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.providers.transport import RawReply
from imagen_batch.runs.run import open_run
from imagen_batch.settings import make_settings
from imagen_batch.storage import LEDGER, STATE, Storage, open_storage
from tests.support.runs import TODAY, prompts

LOCK = f"{STATE}/lock"
MODEL, PRICE = "imagen-4.0-generate-001", 0.04
ANSWERS = ("ok", "ok", "ok", "refused", "error", "lost")


class KilledNow(BaseException):
    """The process is killed: only what is on disk at this moment remains."""


@dataclass
class Service:
    """A fake service: gives generated answers, keeps a bill, and kills the process at a generated moment."""

    answers: list[str]
    kill_at: int | None
    storage: Storage
    left: dict[str, bytes] = field(default_factory=dict)  # every file at the moment of the kill
    billed: int = 0
    events: int = 0
    made: list[str] = field(default_factory=list)  # the prompt of each image that was sent
    known: set[str] = field(default_factory=set)  # prompts that some run reported as ok

    def moment(self):
        """Count a moment at which a kill may happen, and kill at the chosen one."""
        self.events += 1
        if self.kill_at is None or self.events < self.kill_at:
            return
        if self.events == self.kill_at:
            self.left = {name: self.storage.read(name) for name, _ in self.storage.sizes("") if name != LOCK}
        raise KilledNow

    def restore(self):
        """Undo every change that was made after the kill."""
        for name, _ in list(self.storage.sizes("")):
            self.storage.remove(name)
        for name, data in self.left.items():
            self.storage.put(name, data)

    def post(self, _url, payload, *, headers):
        """Answer a request, in place of HTTP."""
        self.moment()
        prompt = json.loads(payload)["instances"][0]["prompt"]
        assert prompt not in self.known, "an existing image was requested again"
        answer = self.answers.pop() if self.answers else "ok"
        if answer in ("ok", "lost"):
            self.billed += 1
        self.moment()
        if answer == "lost":
            raise Transient("broken", kind="connection_broken", lost=True, maybe_charged=True)
        if answer == "error":
            return RawReply(503, {}, b"{}")
        if answer == "refused":
            return RawReply(200, {}, b"{}")
        self.made.append(prompt)
        image = base64.b64encode(_png(len(self.made))).decode()
        return RawReply(200, {}, json.dumps({"predictions": [{"bytesBase64Encoded": image}]}).encode())


def _png(number):
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (number % 256, number // 256, 7)).save(file, "PNG")
    return file.getvalue()


class Loopback:
    """Replaces the transport."""

    service: Service

    def __init__(self, *_args, **_named):
        pass

    def post(self, url, payload, *, headers=None):
        """Pass the request to the service."""
        return self.service.post(url, payload, headers=headers)

    def abort_all(self):
        """Do nothing: no request is in flight."""

    def close(self):
        """Do nothing: no connection is open."""


def _one_run(source, service, **chosen):
    """Run the process once; None when it was killed."""
    Loopback.service = service
    save, record_result = ImageStore.save, LedgerWriter.record_result

    def watched_save(self, *args, **named):
        result = save(self, *args, **named)
        service.moment()
        return result

    def watched_done(self, *args, **named):
        record_result(self, *args, **named)
        service.moment()

    options = {
        "prompts": str(source),
        "out": service.storage.location,
        "provider": "simulator",
        "base_url": "http://127.0.0.1:9",
        "model": MODEL,
        "concurrency": 1,
        "wait_initial": 0.0,
        "max_attempts": 3,
        **chosen,
    }
    with (
        patch.object(imagen_batch.runs.run.lock_and_open, "Transport", Loopback),
        patch.object(ImageStore, "save", watched_save),
        patch.object(LedgerWriter, "record_result", watched_done),
    ):
        try:
            with open_run(make_plan(make_settings(options), today=TODAY), env={}) as opened:
                for shard in opened.shards():
                    opened.generate_shard(shard)
                return opened.finish()
        except KilledNow:
            service.restore()
            return None


@pytest.mark.parametrize(
    ("scheme", "chosen"),
    [("", {}), ("memory:/", {}), ("memory:/", {"name_template": "{slug}"})],
    ids=["folder", "bucket", "names of one's own in a bucket"],
)
@settings(max_examples=60, deadline=None)
@given(
    lives=st.lists(
        st.tuples(
            st.lists(st.sampled_from("abcdef"), min_size=1, max_size=5, unique=True),  # the file, edited each time
            st.lists(st.sampled_from(ANSWERS), max_size=10),
            st.none() | st.integers(1, 16),  # index of the moment of the kill
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_interleaving_keeps_the_invariants(scheme, chosen, lives):
    """The process runs several times, each time with its own file, replies and end."""
    with tempfile.TemporaryDirectory() as name:
        service = Service([], None, open_storage(f"{scheme}{name}/out"))
        for texts, answers, kill_at in [*lives, (lives[-1][0], [], None)]:
            service.answers, service.kill_at, service.events = list(answers), kill_at, 0
            summary = _one_run(prompts(Path(name), *texts), service, **chosen)
            if summary is None:
                continue
            rows = pq.read_table(service.storage.local("manifest.parquet")).to_pylist()
            _check(summary, rows, texts, service)
            service.known |= {row["prompt"] for row in rows if row["status"] == "ok"}


def _check(summary, rows, texts, service):
    assert [row["prompt"] for row in rows] == texts, "one row for each sample, in input order"
    history = read_history(service.storage.logs(LEDGER))
    assert summary.cost_low_usd == pytest.approx(history.cost_bounds().spent), "the reported cost is the ledger's"
    assert summary.cost_low_usd - 1e-6 <= service.billed * PRICE <= summary.cost_high_usd + 1e-6, "bounds hold"
    files = {name for name, _ in service.storage.sizes("images")}
    named = {row["file"] for row in rows if row["file"]}
    assert named <= files
    assert len(files) == history.images_recorded, "a file for each image ever recorded, and no other"
    assert not list(service.storage.sizes(STAGING))
