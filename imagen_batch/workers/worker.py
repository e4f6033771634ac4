"""Works on shards in a process that did not plan the run.

A process keeps one `Worker` for each run: its connections, the pace found so far, and a thread that follows the run's
heartbeat. Each shard has a ledger folder of its own. A worker that takes over the shard of a dead one reads its
records, recovers the images that it received, and generates the rest.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from imagen_batch.errors import SettingsInvalid, StopRun
from imagen_batch.images.reserve_disk_space import DiskSpace
from imagen_batch.images.store import ImageStore
from imagen_batch.ledger.files import time_after
from imagen_batch.ledger.history import History, read_history
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.planning.requests_and_shards import single_sample
from imagen_batch.providers.endpoint_and_credential import make_provider
from imagen_batch.providers.transport import Transport
from imagen_batch.records import ImageRequest, SampleResult
from imagen_batch.runs.heartbeat_to_workers import EVERY_S, Heartbeat, HeartbeatReader, read_heartbeat
from imagen_batch.runs.keep_freed_memory import keep_large_blocks
from imagen_batch.runs.recovery.staged_images import recover_staged_images
from imagen_batch.sending.budget import Budget
from imagen_batch.sending.context import Governors, SendingContext, request_threads
from imagen_batch.sending.generate import generate_shard
from imagen_batch.sending.stop import Stop
from imagen_batch.storage import LEDGER, Storage, open_storage
from imagen_batch.workers.allocation import Spent
from imagen_batch.workers.messages import JobSpec, ShardReport, ShardTask, facts_of

NOTICED_AFTER_S = 2 * EVERY_S + 1.0  # an earlier worker of the shard has stopped by then
_ABORT_EVERY_S = 0.2
_STOP_REASON = 15  # SIGTERM, as the reason of the Stop

_workers: dict[str, Worker] = {}
_workers_lock = threading.Lock()


def run_shard(
    task: ShardTask, *, env: Mapping[str, str] = os.environ, sleep: Callable[[float], None] = time.sleep
) -> ShardReport:
    """Generate the images of a shard. The report says if that is impossible here; any exception is a bug."""
    try:
        with _shared_worker(task.job, env) as worker, worker.claim(task, sleep) as claim:
            return _generate(task, claim, worker)
    except SettingsInvalid as error:
        return ShardReport(fatal=facts_of(_worker_error(error, exit_code=2)))
    except OSError as error:  # the storage failed, and may work again later
        return ShardReport(fatal=facts_of(_worker_error(error, exit_code=75)))


def shard_folder(job: str, shard: int) -> str:
    """Return the folder of a shard's ledgers."""
    return f"{LEDGER}/{job}/{shard:06}"


def recorded_results(requests: Sequence[ImageRequest], history: History) -> Iterator[SampleResult]:
    """Yield the results that earlier workers of a shard recorded, but could not report."""
    for request in requests:
        for number in request.numbers:
            details = history.details(request.base, number)
            if details is not None and (details[0].status == "ok" or not history.is_unresolved(request.base, number)):
                yield details[0]


def _worker_error(error: Exception, *, exit_code: int) -> StopRun:
    return StopRun(f"a worker can't generate images: {error}", cause="worker", exit_code=exit_code)


@dataclass(slots=True)
class Claim:
    """A shard that this process works on. `history` is what earlier workers recorded of it."""

    folder: str
    ledger: LedgerWriter
    ledgers: set[str]  # of the shard; a further one means that another worker has taken over
    history: History = field(default_factory=History)


class Worker:
    """The state that a process keeps for a run. Raises SettingsInvalid where it can't work for that run."""

    def __init__(self, job: JobSpec, env: Mapping[str, str]) -> None:
        settings = job.settings
        self.job = job
        self.storage: Storage = open_storage(settings.folder)
        heartbeat = read_heartbeat(self.storage) or Heartbeat("")
        if heartbeat.run == job.id and heartbeat.over:
            raise SettingsInvalid("the run is over")
        if heartbeat.run != job.id:
            raise SettingsInvalid(
                f"{settings.folder} is not the folder in which the run was started: workers have to share it"
            )
        self.provider = make_provider(settings, base_url=job.base_url, env=env)
        self.stop = Stop()
        self.governors = Governors(settings, self.stop)
        keep_large_blocks()
        self.transport = Transport(self.provider.credential, timeout=settings.timeout)
        self.threads = request_threads(settings)
        self.store = ImageStore(self.storage, DiskSpace(self.storage, in_flight=settings.concurrency))
        self.users = 0  # shards that use this worker; guarded by _workers_lock
        self._claims: dict[str, Claim] = {}  # by ledger: the same process may get a shard twice
        self._share = 1.0
        self._lock = threading.Lock()
        threading.Thread(target=self._follow_heartbeat, name="heartbeat", daemon=True).start()

    @contextmanager
    def claim(self, task: ShardTask, sleep: Callable[[float], None]) -> Iterator[Claim]:
        """Take over a shard, with the results and images of earlier workers."""
        claim = self._claim(task)
        try:
            if len(claim.ledgers) > 1:
                sleep(NOTICED_AFTER_S)
                claim.history = read_history(self.storage.logs(claim.folder))
                recover_staged_images(self.store, claim.history, claim.ledger)
                claim.history = read_history(self.storage.logs(claim.folder))
            with self._registered(task, claim):
                yield claim
        finally:
            claim.ledger.close()

    def _claim(self, task: ShardTask) -> Claim:
        folder = shard_folder(self.job.id, task.shard)
        earlier = set(_ledgers(self.storage, folder))
        ledger = LedgerWriter(self.storage, now=time_after(earlier, time.time()), below=folder)
        ledger.claim(self.job.id, task.shard)
        return Claim(folder, ledger, earlier | {ledger.name})

    @contextmanager
    def _registered(self, task: ShardTask, claim: Claim) -> Iterator[None]:
        with self._lock:
            self._share = task.share
            self._claims[claim.ledger.name] = claim
            self.governors.resize(self._share * len(self._claims))
        try:
            yield
        finally:
            with self._lock:
                del self._claims[claim.ledger.name]
                self.governors.resize(self._share * len(self._claims))

    def _follow_heartbeat(self) -> None:
        """Follow the run's heartbeat until the run is over or a claim is lost."""
        reader = HeartbeatReader(self.storage, self.job.id)
        heartbeat = reader.poll()
        while not heartbeat.cut:
            self._apply(heartbeat)
            time.sleep(EVERY_S)
            heartbeat = reader.poll() if not self._lost_claim() else Heartbeat(self.job.id, stop=True, cut=True)
        self._end()

    def _apply(self, heartbeat: Heartbeat) -> None:
        if heartbeat.stop:
            self.stop.interrupt(_STOP_REASON)
        with self._lock:
            self._share = heartbeat.share
            self.governors.resize(self._share * len(self._claims))

    def _lost_claim(self) -> bool:
        """Whether the scheduler took this process for dead and gave one of its shards to another."""
        with self._lock:
            claims = list(self._claims.values())
        try:
            return any(not claim.ledgers.issuperset(_ledgers(self.storage, claim.folder)) for claim in claims)
        except OSError:  # checked again soon; a silent run is noticed independently
            return False

    def _end(self) -> None:
        with _workers_lock:
            _workers.pop(self.job.id, None)
        self.stop.interrupt(_STOP_REASON)
        while self.users:
            self.transport.abort_all()
            time.sleep(_ABORT_EVERY_S)
        self.threads.shutdown(wait=True)
        self.transport.close()


@contextmanager
def _shared_worker(job: JobSpec, env: Mapping[str, str]) -> Iterator[Worker]:
    """Yield the process's worker for a run, opened by the first shard. It stays open until the last shard ends."""
    with _workers_lock:
        if job.id not in _workers:
            _workers[job.id] = Worker(job, env)
        worker = _workers[job.id]
        worker.users += 1
    try:
        yield worker
    finally:
        with _workers_lock:
            worker.users -= 1


def _generate(task: ShardTask, claim: Claim, worker: Worker) -> ShardReport:
    samples = [*recorded_results(task.requests, claim.history)]
    context = _sending_context(task, claim, worker, on_results=samples.extend)
    generate_shard(_pending_requests(task, claim.history), context, threads=worker.threads)
    return ShardReport(
        samples=tuple(samples),
        used=Spent(*context.budget.used),
        budget_exhausted=context.budget.is_exhausted,
        stopped=worker.stop.is_set,
        fatal=facts_of(worker.stop.fatal),
    )


def _sending_context(
    task: ShardTask, claim: Claim, worker: Worker, *, on_results: Callable[[tuple[SampleResult, ...]], None]
) -> SendingContext:
    history = claim.history
    return SendingContext(
        settings=task.job.settings,
        models=task.job.models,
        provider=worker.provider,
        transport=worker.transport,
        ledger=claim.ledger,
        store=worker.store,
        budget=Budget(
            max_cost=task.limits.usd,
            max_images=task.limits.images,
            spent=history.cost_bounds().upper_bound,
            images=history.max_images_made(),
        ),
        stop=worker.stop,
        governors=worker.governors,
        previous_attempts=lambda request: (
            history.previous_attempts(request) or task.previous_attempts.get(request.key, 0)
        ),
        on_results=on_results,
        run_id=task.job.id,
    )


def _pending_requests(task: ShardTask, history: History) -> list[ImageRequest]:
    """Return requests for the samples of the shard that have no result yet."""
    resend = task.job.settings.on_unknown == "resend"
    pending: list[ImageRequest] = []
    for request in task.requests:
        numbers = [
            number
            for number in request.numbers
            if history.status(request.base, number) is None
            or (resend and history.is_unresolved(request.base, number))
        ]
        is_whole = len(numbers) == request.samples
        pending += [request] if is_whole else [single_sample(request, number) for number in numbers]
    return pending


def _ledgers(storage: Storage, folder: str) -> Iterator[str]:
    """Yield the names of a shard's ledgers. In a bucket, each is stored in parts."""
    for name, _ in storage.sizes(folder):
        yield f"{folder}/{name[len(folder) + 1 :].partition('/')[0]}"
