"""One run, from opening its folder to its summary.

    with open_run(examined, env=os.environ) as run:
        for shard in run.shards():
            run.make(shard)
        summary = run.finish()

Nothing here knows of Prefect: take it away and this still runs.
"""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from imagen_batch.errors import SettingsInvalid
from imagen_batch.images.disk_space import DiskSpace
from imagen_batch.images.store import ImageStore
from imagen_batch.inputs.snapshot import SETTINGS, check_unchanged, save_snapshot
from imagen_batch.ledger.costs import Charges
from imagen_batch.ledger.history import History
from imagen_batch.ledger.reader import ledger_files, moment_after
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.planning.pending import remaining_requests
from imagen_batch.planning.plan import RunPlan
from imagen_batch.planning.requests import shard_size, shards
from imagen_batch.providers.endpoints import Provider, Vertex, make_provider
from imagen_batch.providers.transport import Transport
from imagen_batch.records import ImageRequest, SampleResult
from imagen_batch.reports.edited_failures import protect_edits
from imagen_batch.reports.summary import Summary
from imagen_batch.reports.tables import TABLE_FILES
from imagen_batch.runs.finalize import finalize
from imagen_batch.runs.heartbeat import wait_for_orphaned_workers
from imagen_batch.runs.local_simulator import simulator_process
from imagen_batch.runs.malloc import keep_large_blocks
from imagen_batch.runs.recovery import recover
from imagen_batch.runs.staged_images import recover_staged
from imagen_batch.sending.budget import Budget
from imagen_batch.sending.context import Governors, SendingContext, request_threads
from imagen_batch.sending.generate import generate_shard
from imagen_batch.sending.stop import Stop
from imagen_batch.settings import Settings
from imagen_batch.storage import LEDGER, Storage, check_place, in_reach, open_storage

OnResults = Callable[[tuple[SampleResult, ...]], None]


@dataclass
class Run:
    """A run that holds its folder's lock."""

    plan: RunPlan
    context: SendingContext
    past: History
    threads: ThreadPoolExecutor
    started: datetime
    recovered: int
    command: str
    count: ResultCounter
    summary: Summary | None = None
    began: tuple[int, Charges] | None = None  # attempts and charges of the folder when the run was opened

    @property
    def stop(self) -> Stop:
        """What ends the run early."""
        return self.context.stop

    @property
    def settled(self) -> int:
        """Samples that got an outcome since the run was opened."""
        return self.count.settled

    @property
    def in_flight(self) -> int:
        """Images that are being requested at the moment by this process."""
        return self.context.in_flight.images

    def cut(self) -> None:
        """End all attempts that are under way."""
        self.context.transport.abort_all()

    def shards(self, *, further: bool = False) -> Iterator[list[ImageRequest]]:
        """What is still to be sent, in input order and in slices for the scheduler; stops early when the run does.

        `further`: what this run has asked for already is left out, whatever the answer was.
        """
        since = self.started.timestamp() if further else None
        left = remaining_requests(self.plan, self.past, answered_since=since)
        for shard in shards(left, shard_size(self.plan.requests)):
            if self.context.stop.is_set:
                return
            yield shard

    def make(self, shard: Sequence[ImageRequest]) -> None:
        """Make the pictures of a shard."""
        generate_shard(shard, self.context, threads=self.threads)

    def finish(self) -> Summary:
        """Close the ledger, write all tables and the summary. May be called again."""
        if self.summary is None:
            self.context.store.room.release_ballast()  # ledger and tables may need it
            self.context.close()
            self.summary = finalize(
                self.plan,
                self.context,
                self.past,
                started=self.started,
                command=self.command,
                began=self.began,
            )
        return self.summary


class ResultCounter:
    """Counts samples that have an outcome, and passes them on to `watcher`."""

    def __init__(self) -> None:
        self.settled = 0
        self.watcher: OnResults = lambda _samples: None
        self._lock = threading.Lock()

    def __call__(self, samples: tuple[SampleResult, ...]) -> None:
        """Count these, from any thread."""
        with self._lock:
            self.settled += len(samples)
        try:
            self.watcher(samples)
        except OSError:  # whoever watched has gone away; the run goes on
            self.watcher = lambda _samples: None


@contextmanager
def open_run(
    plan: RunPlan,
    *,
    env: Mapping[str, str],
    command: str = "imagen-batch run",
    ahead: Future[History] | None = None,
    say: Callable[[str], None] = lambda _text: None,
) -> Iterator[Run]:
    """Take the run's folder and get everything ready to send. `say` hears why that takes long.

    Raises FolderBusy, or SettingsInvalid for a missing credential or a folder that can't be written.
    """
    settings = plan.settings
    started = datetime.now(UTC)
    keep_large_blocks()
    with ExitStack() as stack:
        stack.callback(plan.delete_spool)
        provider = _provider(plan, env, stack)
        check_place(settings.place)
        with in_reach(settings.place, to="be written"):
            storage = _held(settings, stack)
            wait_for_orphaned_workers(storage, say=say)
            check_unchanged(plan, storage)
            protect_edits(storage, taken=plan.taken, say=say)
            keep = partial(save_snapshot, plan, storage, argv=shlex.split(command), pinned=_pinned(provider))
            if plan.lost is None and not plan.moves:
                keep()  # a repair reads the stored input and leaves the stored settings alone
            store = _shelf(settings, storage, stack)
            ledger = LedgerWriter(storage, now=moment_after(_ledgers(storage), time.time()))
            past, recovered = _past(store, ledger, ahead)
            if plan.moves:  # recorded before the input changes: a kill in between buys nothing twice
                _record_moves(plan, past, ledger, storage)
                keep()
            plan.keep_earlier_texts(past)
            _recover(plan, store, ledger, past, say)
        count = ResultCounter()
        context = _studio(plan, provider, ledger, store, past, count)
        threads = request_threads(settings)
        stack.callback(context.close)
        stack.callback(threads.shutdown, wait=True, cancel_futures=True)
        began = past.attempts, past.charges(settings.provider)
        yield Run(plan, context, past, threads, started, recovered, command, count, began=began)


def _record_moves(plan: RunPlan, past: History, ledger: LedgerWriter, storage: Storage) -> None:
    ledger.kept([move.as_record() for move in plan.moves], at=time.time())
    past.read_folder(storage.logs(LEDGER))


def _pinned(provider: Provider) -> dict[str, object]:
    """What the environment decided: a run that continues from another shell goes to the same project."""
    return {"project": provider.project, "location": provider.location} if isinstance(provider, Vertex) else {}


def _provider(plan: RunPlan, env: Mapping[str, str], stack: ExitStack) -> Provider:
    settings = plan.settings
    base_url = settings.base_url
    if settings.provider == "simulator" and base_url is None:
        base_url = stack.enter_context(simulator_process())
    return make_provider(settings, base_url=base_url, env=env)


def _held(settings: Settings, stack: ExitStack) -> Storage:
    """The run's storage, locked."""
    storage = open_storage(settings.place)
    strangers = [name for name in TABLE_FILES if storage.size(name) is not None]
    if strangers and storage.size(SETTINGS) is None:
        raise SettingsInvalid(
            f"--out {storage.place}: {strangers[0]} there is not of a run of ours; choose another folder"
        )
    stack.enter_context(storage.locked())
    return storage


def _shelf(settings: Settings, storage: Storage, stack: ExitStack) -> ImageStore:
    room = DiskSpace(storage, in_flight=settings.concurrency)
    room.prepare()
    stack.callback(room.release_ballast)
    return ImageStore(storage, room)


def _ledgers(storage: Storage) -> Iterator[str]:
    return (path.name for path in ledger_files(storage.logs(LEDGER)))


def _past(store: ImageStore, ledger: LedgerWriter, ahead: Future[History] | None) -> tuple[History, int]:
    past = _read_ahead(ahead)
    past.read_folder(store.storage.logs(LEDGER))
    recovered = recover_staged(store, past, ledger)
    if recovered:
        past.read_folder(store.storage.logs(LEDGER))
    return past, recovered


def _recover(
    plan: RunPlan, store: ImageStore, ledger: LedgerWriter, past: History, say: Callable[[str], None]
) -> None:
    """Record images that the ledger did not know, and read what it says then."""
    recovery = recover(plan, store, past, ledger)
    for message in recovery.messages():
        say(message)
    if recovery.images:
        past.read_folder(store.storage.logs(LEDGER))
        plan.keep_earlier_texts(past, again=True)


def _read_ahead(ahead: Future[History] | None) -> History:
    try:
        return ahead.result() if ahead else History()
    except BrokenProcessPool:  # the system was short of memory, say: it is read here then
        return History()


def _studio(
    plan: RunPlan,
    provider: Provider,
    ledger: LedgerWriter,
    store: ImageStore,
    past: History,
    seen: OnResults,
) -> SendingContext:
    settings, stop = plan.settings, Stop()
    return SendingContext(
        settings=settings,
        models=plan.models(),
        provider=provider,
        transport=Transport(provider.credential, connections=settings.concurrency, timeout=settings.timeout),
        ledger=ledger,
        store=store,
        budget=Budget(
            max_cost=settings.max_cost,
            max_images=settings.max_images,
            max_cost_per_run=settings.max_cost_per_run,
            spent=past.cost_bounds(settings.provider).high,
            pictures=past.max_images_made(settings.provider),
        ),
        stop=stop,
        governors=Governors(settings, stop),
        tries=past.tries,
        seen=seen,
    )
