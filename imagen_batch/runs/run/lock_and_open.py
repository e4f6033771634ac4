"""Opens a run: locks its folder, reads its ledger, records what is missing from it, and prepares sending."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Future
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from imagen_batch.errors import SettingsInvalid
from imagen_batch.images.reserve_disk_space import DiskSpace
from imagen_batch.images.store import IMAGES, RESCUED, STAGING, ImageStore
from imagen_batch.inputs.stored_input_and_settings import SETTINGS, check_unchanged, save_snapshot
from imagen_batch.ledger.history import History
from imagen_batch.ledger.writer import LedgerWriter, open_writer
from imagen_batch.planning.pending import count_pending
from imagen_batch.planning.plan import RunPlan
from imagen_batch.providers.catalogue import Model
from imagen_batch.providers.endpoint_and_credential import Provider, Vertex, make_provider
from imagen_batch.providers.transport import Transport
from imagen_batch.reports.tables.edited_failures import protect_edits
from imagen_batch.reports.tables.names_of_replaced_files import TABLE_FILES
from imagen_batch.runs.heartbeat_to_workers import wait_for_orphaned_workers
from imagen_batch.runs.keep_freed_memory import keep_large_blocks
from imagen_batch.runs.run.keys_from_ledger import assign_keys
from imagen_batch.runs.run.result_counter import OnResults, ResultCounter
from imagen_batch.runs.run.run import Run
from imagen_batch.sending.budget import Budget
from imagen_batch.sending.context import Governors, SendingContext, request_threads
from imagen_batch.sending.pacing.earlier_pace import earlier_paces
from imagen_batch.sending.stop import Stop
from imagen_batch.settings import Settings
from imagen_batch.storage import LEDGER, Storage, check_location, explain_storage_errors, open_storage
from imagen_batch.storage.list_files import file_names

if TYPE_CHECKING:
    from imagen_batch.sending.period.grant import PeriodGrant


@contextmanager
def open_run(
    plan: RunPlan,
    *,
    env: Mapping[str, str],
    command: str = "imagen-batch run",
    preloaded: Future[History] | None = None,
    simulator: Callable[[], str] | None = None,
    notify: Callable[[str], None] = lambda _text: None,
) -> Iterator[Run]:
    """Lock the run's folder and prepare everything for sending. `notify` gets messages for the user.

    A rehearsal goes to the address that `simulator` returns; None starts a simulator here.

    Raises FolderBusy, or SettingsInvalid for a missing credential or a folder that can't be written.
    """
    settings = plan.settings
    started = datetime.now(UTC)
    keep_large_blocks()
    with ExitStack() as stack:
        stack.callback(plan.delete_spool)
        provider = _provider(plan, env, simulator, stack)
        check_location(settings.folder)
        with explain_storage_errors(settings.folder, to="be written"):
            storage = _lock_storage(settings, stack)
            wait_for_orphaned_workers(storage, notify=notify)
            check_unchanged(plan, storage)
            protect_edits(storage, taken=plan.edited_failures_sha256, notify=notify)
            save = partial(save_snapshot, plan, storage, argv=shlex.split(command), pinned=_pinned_settings(provider))
            if plan.samples_to_remake is None and not plan.moves:
                plan = save()  # a repair reads the stored input and leaves the stored settings alone
            store = _open_store(settings, storage, stack)
            ledger = open_writer(storage)
            history, recovered = _read_history(store, ledger, preloaded)
            _record_decisions_and_moves(plan, storage, ledger, history)
            if plan.moves:  # recorded before the input changes, so that a kill in between pays for nothing twice
                plan = save()
            assign_keys(plan, storage, ledger, history)
            _recover(plan, store, ledger, history, notify)
            _record_versions(plan, storage, ledger, history)
        counter = ResultCounter()
        grant = _period_grant(plan, history, stack)
        context = _sending_context(plan, provider, ledger, store, history, counter)
        context.budget.period = grant
        context.governors.earlier = earlier_paces(settings, env)
        threads = request_threads(settings)
        stack.callback(context.close)
        stack.callback(threads.shutdown, wait=True, cancel_futures=True)
        began = history.attempts, history.charges(settings.provider)
        yield Run(plan, context, history, threads, started, recovered, counter, began=began)


def _pinned_settings(provider: Provider) -> dict[str, object]:
    """Return settings from the environment, to be stored: a run continued elsewhere uses the same project."""
    return {"project": provider.project, "location": provider.location} if isinstance(provider, Vertex) else {}


def _provider(
    plan: RunPlan, env: Mapping[str, str], simulator: Callable[[], str] | None, stack: ExitStack
) -> Provider:
    settings = plan.settings
    base_url = settings.base_url
    if settings.has_own_simulator:
        base_url = simulator() if simulator else _start_simulator(stack)
    return make_provider(settings, base_url=base_url, env=env)


def _start_simulator(stack: ExitStack) -> str:
    from imagen_batch.runs.local_simulator import simulator_process  # noqa: PLC0415 - only for a rehearsal

    return stack.enter_context(simulator_process())


def _lock_storage(settings: Settings, stack: ExitStack) -> Storage:
    storage = open_storage(settings.folder)
    existing = [name for name in TABLE_FILES if storage.size(name) is not None]
    if existing and storage.size(SETTINGS) is None:
        raise SettingsInvalid(
            f"--out {storage.location}: {existing[0]} there is not from an imagen-batch run. Choose another folder."
        )
    stack.enter_context(storage.hold_lock())
    return storage


def _open_store(settings: Settings, storage: Storage, stack: ExitStack) -> ImageStore:
    disk_space = DiskSpace(storage, in_flight=settings.concurrency)
    disk_space.create_ballast()
    stack.callback(disk_space.release_ballast)
    return ImageStore(storage, disk_space)


def _read_history(store: ImageStore, ledger: LedgerWriter, preloaded: Future[History] | None) -> tuple[History, int]:
    """Return the history up to now, and how many staged images had to be recorded in it."""
    try:
        history = preloaded.result() if preloaded else History()
    except BrokenExecutor:  # the process was killed, for example out of memory: everything is read here
        history = History()
    history.read_folder(store.storage.logs(LEDGER))
    if not history.open:
        return history, 0
    from imagen_batch.runs.recovery.staged_images import recover_staged_images  # noqa: PLC0415 - only after a kill

    recovered = recover_staged_images(store, history, ledger)
    if recovered:
        history.read_folder(store.storage.logs(LEDGER))
    return history, recovered


def _record_decisions_and_moves(plan: RunPlan, storage: Storage, ledger: LedgerWriter, history: History) -> None:
    """Record what a review decided and which images belong to edited rows, and read the new records."""
    if plan.decisions:
        ledger.record_review(plan.decisions, at=time.time())
    if plan.moves:
        ledger.record_moves([move.as_record() for move in plan.moves], at=time.time())
    if plan.decisions or plan.moves:
        history.read_folder(storage.logs(LEDGER))


def _recover(
    plan: RunPlan, store: ImageStore, ledger: LedgerWriter, history: History, notify: Callable[[str], None]
) -> None:
    """Record images that are missing from the ledger, and read the new records."""
    if not history.attempts and not _holds_images(store.storage):
        return
    from imagen_batch.runs.recovery.record_unlisted import recover_unrecorded  # noqa: PLC0415 - not for a new run

    recovery = recover_unrecorded(plan, store, history, ledger)
    for message in recovery.messages():
        notify(message)
    if recovery.images:
        history.read_folder(store.storage.logs(LEDGER))
        plan.follow(history, refresh=True)


def _holds_images(storage: Storage) -> bool:
    """Whether the folder has any file that may be a paid image."""
    files = chain(storage.sizes(STAGING), file_names(storage, IMAGES), file_names(storage, RESCUED))
    return next(files, None) is not None


def _record_versions(plan: RunPlan, storage: Storage, ledger: LedgerWriter, history: History) -> None:
    """Record the versions that this run makes, before anything is sent for them, and read the new records."""
    if not history.reviews:
        return
    from imagen_batch.planning.samples.further_versions import order_versions  # noqa: PLC0415 - only after a review

    if versions := order_versions(plan, history):
        ledger.record_versions(versions, at=time.time())
        history.read_folder(storage.logs(LEDGER))


def _models(plan: RunPlan, history: History) -> Mapping[str, Model]:
    """Return the models of the plan's rows, and those of versions that a review has ordered."""
    if not history.reviews:
        return plan.models()
    from imagen_batch.planning.samples.further_versions import models_of  # noqa: PLC0415 - only after a review

    return models_of(plan, history)


def _period_grant(plan: RunPlan, history: History, stack: ExitStack) -> PeriodGrant | None:
    """Return the money that --max-cost-per leaves for this run, until `stack` ends; None without that option."""
    if not plan.settings.max_cost_per:
        return None
    from imagen_batch.sending.period.grant import period_grant  # noqa: PLC0415 - only for such runs

    return stack.enter_context(period_grant(plan.settings, wanted=lambda: count_pending(plan, history).usd))


def _sending_context(
    plan: RunPlan,
    provider: Provider,
    ledger: LedgerWriter,
    store: ImageStore,
    history: History,
    on_results: OnResults,
) -> SendingContext:
    settings, stop = plan.settings, Stop()
    return SendingContext(
        settings=settings,
        models=_models(plan, history),
        provider=provider,
        transport=Transport(provider.credential, timeout=settings.timeout),
        ledger=ledger,
        store=store,
        budget=Budget(
            max_cost=settings.max_cost,
            max_images=settings.max_images,
            max_cost_per_run=settings.max_cost_per_run,
            spent=history.cost_bounds(settings.provider).upper_bound,
            images=history.max_images_made(settings.provider),
        ),
        stop=stop,
        governors=Governors(settings, stop),
        previous_attempts=history.previous_attempts,
        on_results=on_results,
        run_id=PurePosixPath(ledger.name).stem,
    )
