"""How is a shard made in a process that did not plan the run?

A process keeps one `Worker` for each run it works for: connections, the pace that was found, the ear for what the
run says. A shard has a ledger of its own. When its worker died and it comes to another one, that reads what the first
had recorded, saves what it had received, and makes the rest.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from imagen_batch.errors import Fatal, SettingsInvalid
from imagen_batch.images.disk_space import DiskSpace
from imagen_batch.images.store import ImageStore
from imagen_batch.ledger.history import History, read_history
from imagen_batch.ledger.reader import moment_after
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.planning.requests import single_sample
from imagen_batch.providers.endpoints import make_provider
from imagen_batch.providers.transport import Transport
from imagen_batch.records import ImageRequest, SampleResult
from imagen_batch.runs.heartbeat import EVERY_S, Heartbeat, HeartbeatReader, read_heartbeat
from imagen_batch.runs.malloc import keep_large_blocks
from imagen_batch.runs.staged_images import recover_staged
from imagen_batch.sending.budget import Budget
from imagen_batch.sending.context import Governors, SendingContext, request_threads
from imagen_batch.sending.generate import generate_shard
from imagen_batch.sending.stop import Stop
from imagen_batch.storage import LEDGER, Storage, open_storage
from imagen_batch.workers.allocation import Spent
from imagen_batch.workers.messages import JobSpec, ShardReport, ShardTask, facts_of

NOTICED_AFTER_S = 2 * EVERY_S + 1.0  # whoever had the shard before has stopped by then
_CUT_EVERY_S = 0.2
_ASKED_TO_STOP = 15  # SIGTERM: for the stop's reason

_workshops: dict[str, Worker] = {}
_opening = threading.Lock()


def run_shard(
    ticket: ShardTask, *, env: Mapping[str, str] = os.environ, sleep: Callable[[float], None] = time.sleep
) -> ShardReport:
    """Make the pictures of a shard. What can't be done here at all is in the report; what is raised is a bug."""
    try:
        with _entered(ticket.job, env) as workshop, workshop.claim(ticket, sleep) as claim:
            return _made(ticket, claim, workshop)
    except SettingsInvalid as error:
        return ShardReport(fatal=facts_of(_unable(error, exit_code=2)))
    except OSError as error:  # the storage is in trouble, and may be out of it later
        return ShardReport(fatal=facts_of(_unable(error, exit_code=75)))


def shard_folder(job: str, shard: int) -> str:
    """Where the ledgers of a shard are."""
    return f"{LEDGER}/{job}/{shard:06}"


def settled(requests: Sequence[ImageRequest], past: History) -> Iterator[SampleResult]:
    """What earlier workers recorded, and could tell nobody any more."""
    for request in requests:
        for number in request.numbers:
            found = past.details(request.base, number)
            if found is not None and (found[0].status == "ok" or not past.is_open(request.base, number)):
                yield found[0]


def _unable(error: Exception, *, exit_code: int) -> Fatal:
    return Fatal(f"a worker can't make pictures: {error}", kind="worker", outcome="worker", exit_code=exit_code)


@dataclass(slots=True)
class Claim:
    """A shard at work. `past` is what earlier workers recorded of it."""

    folder: str
    ledger: LedgerWriter
    known: set[str]  # ledgers of the shard; another one means that somebody else makes it now
    past: History = field(default_factory=History)


class Worker:
    """What a process keeps for a run. Raises SettingsInvalid where it can't work for it."""

    def __init__(self, job: JobSpec, env: Mapping[str, str]) -> None:
        settings = job.settings
        self.job = job
        self.storage: Storage = open_storage(settings.place)
        word = read_heartbeat(self.storage) or Heartbeat("")
        if word.run == job.id and word.over:
            raise SettingsInvalid("the run is over")
        if word.run != job.id:
            raise SettingsInvalid(
                f"{settings.place} is another folder here than where the run was started: workers have to share it"
            )
        self.provider = make_provider(settings, base_url=job.base_url, env=env)
        self.stop = Stop()
        self.governors = Governors(settings, self.stop)
        keep_large_blocks()
        self.transport = Transport(
            self.provider.credential, connections=settings.concurrency, timeout=settings.timeout
        )
        self.threads = request_threads(settings)
        self.store = ImageStore(self.storage, DiskSpace(self.storage, in_flight=settings.concurrency))
        self.users = 0  # shards that are made here, counted under _opening
        self._claims: dict[str, Claim] = {}  # by ledger: a shard may come to the same process twice
        self._share = 1.0
        self._lock = threading.Lock()
        threading.Thread(target=self._listen, name="ear", daemon=True).start()

    @contextmanager
    def claim(self, ticket: ShardTask, sleep: Callable[[float], None]) -> Iterator[Claim]:
        """Take a shard over, with what is left of earlier workers' work on it."""
        claim = self._claim(ticket)
        try:
            if len(claim.known) > 1:
                sleep(NOTICED_AFTER_S)
                claim.past = read_history(self.storage.logs(claim.folder))
                recover_staged(self.store, claim.past, claim.ledger)
                claim.past = read_history(self.storage.logs(claim.folder))
            with self._sharing(ticket, claim):
                yield claim
        finally:
            claim.ledger.close()

    def _claim(self, ticket: ShardTask) -> Claim:
        folder = shard_folder(self.job.id, ticket.shard)
        earlier = set(_ledgers(self.storage, folder))
        ledger = LedgerWriter(self.storage, now=moment_after(earlier, time.time()), below=folder)
        ledger.claim(self.job.id, ticket.shard)
        return Claim(folder, ledger, earlier | {ledger.name})

    @contextmanager
    def _sharing(self, ticket: ShardTask, claim: Claim) -> Iterator[None]:
        with self._lock:
            self._share = ticket.share
            self._claims[claim.ledger.name] = claim
            self.governors.resize(self._share * len(self._claims))
        try:
            yield
        finally:
            with self._lock:
                del self._claims[claim.ledger.name]
                self.governors.resize(self._share * len(self._claims))

    def _listen(self) -> None:
        """Follow what the run says, until it is over."""
        ear = HeartbeatReader(self.storage, self.job.id)
        word = ear.listen()
        while not word.cut:
            self._follow(word)
            time.sleep(EVERY_S)
            word = ear.listen() if not self._lost_claim() else Heartbeat(self.job.id, stop=True, cut=True)
        self._end()

    def _follow(self, word: Heartbeat) -> None:
        if word.stop:
            self.stop.interrupt(_ASKED_TO_STOP)
        with self._lock:
            self._share = word.share
            self.governors.resize(self._share * len(self._claims))

    def _lost_claim(self) -> bool:
        """Whether the scheduler took us for dead and gave a shard of ours to somebody else."""
        with self._lock:
            claims = list(self._claims.values())
        try:
            return any(not claim.known.issuperset(_ledgers(self.storage, claim.folder)) for claim in claims)
        except OSError:  # not now; the run's own silence is noticed all the same
            return False

    def _end(self) -> None:
        with _opening:
            _workshops.pop(self.job.id, None)
        self.stop.interrupt(_ASKED_TO_STOP)
        while self.users:
            self.transport.abort_all()
            time.sleep(_CUT_EVERY_S)
        self.threads.shutdown(wait=True)
        self.transport.close()


@contextmanager
def _entered(job: JobSpec, env: Mapping[str, str]) -> Iterator[Worker]:
    """The workshop for a run, opened by whoever comes first; it does not close before all have left."""
    with _opening:
        if job.id not in _workshops:
            _workshops[job.id] = Worker(job, env)
        workshop = _workshops[job.id]
        workshop.users += 1
    try:
        yield workshop
    finally:
        with _opening:
            workshop.users -= 1


def _made(ticket: ShardTask, claim: Claim, workshop: Worker) -> ShardReport:
    samples = [*settled(ticket.requests, claim.past)]
    context = _studio(ticket, claim, workshop, seen=samples.extend)
    generate_shard(_left(ticket, claim.past), context, threads=workshop.threads)
    return ShardReport(
        samples=tuple(samples),
        used=Spent(*context.budget.used),
        budget_exhausted=context.budget.hit,
        stopped=workshop.stop.is_set,
        fatal=facts_of(workshop.stop.fatal),
    )


def _studio(
    ticket: ShardTask, claim: Claim, workshop: Worker, *, seen: Callable[[tuple[SampleResult, ...]], None]
) -> SendingContext:
    past = claim.past
    return SendingContext(
        settings=ticket.job.settings,
        models=ticket.job.models,
        provider=workshop.provider,
        transport=workshop.transport,
        ledger=claim.ledger,
        store=workshop.store,
        budget=Budget(
            max_cost=ticket.wall.usd,
            max_images=ticket.wall.pictures,
            spent=past.cost_bounds().high,
            pictures=past.max_images_made(),
        ),
        stop=workshop.stop,
        governors=workshop.governors,
        tries=lambda request: past.tries(request) or ticket.tries.get(request.key, 0),
        seen=seen,
    )


def _left(ticket: ShardTask, past: History) -> list[ImageRequest]:
    """What of the shard has no result yet."""
    resend = ticket.job.settings.on_unknown == "resend"
    left: list[ImageRequest] = []
    for request in ticket.requests:
        numbers = [
            number
            for number in request.numbers
            if past.status(request.base, number) is None or (resend and past.is_open(request.base, number))
        ]
        whole = len(numbers) == request.samples
        left += [request] if whole else [single_sample(request, number) for number in numbers]
    return left


def _ledgers(storage: Storage, folder: str) -> Iterator[str]:
    """Names of a shard's ledgers; in a bucket each is in parts."""
    for name, _ in storage.sizes(folder):
        yield f"{folder}/{name[len(folder) + 1 :].partition('/')[0]}"
