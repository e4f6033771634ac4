"""Connects to a Dask or Ray cluster, or starts one on this machine for the duration of a run."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar
from urllib.parse import urlsplit

from prefect.exceptions import CrashedRun
from prefect.task_runners import TaskRunner

from imagen_batch.errors import SettingsInvalid, StopRun
from imagen_batch.settings import Settings
from imagen_batch.system.is_loopback import is_loopback

_Args = ParamSpec("_Args")
_Result = TypeVar("_Result")
_SLOTS_PER_WORKER = 2  # so that the next shard is already running when one ends


class Cluster(Protocol):
    """Workers that run tasks. Their futures are opaque."""

    def slots(self) -> int:
        """Return how many tasks they can run at once, as of now."""

    def submit(self, task: Any, shard_task: bytes, number: int) -> Any:
        """Submit a shard."""

    def wait(self, futures: Sequence[Any], seconds: float, *, for_all: bool = False) -> list[Any]:
        """Wait up to `seconds` for one of `futures`, or for all; return the finished ones."""

    def result(self, future: Any) -> bytes | None:
        """Return the result of a future that is done; None if its worker was lost. Raises what the task raised."""


class _Cluster:
    """The base of both kinds. `unreachable_errors` are the library's errors for a cluster that is gone."""

    unreachable_errors: tuple[type[Exception], ...] = ()


_ClusterT = TypeVar("_ClusterT", bound=_Cluster)


def _translating_errors(
    method: Callable[Concatenate[_ClusterT, _Args], _Result],
) -> Callable[Concatenate[_ClusterT, _Args], _Result]:
    """Report a cluster that is gone as an outage: it is neither a storage failure nor a bug."""

    @wraps(method)
    def wrapper(self: _ClusterT, /, *args: _Args.args, **kwargs: _Args.kwargs) -> _Result:
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            if not isinstance(error, (OSError, *self.unreachable_errors)):
                raise
            reason = str(error) if isinstance(error, OSError) else "the connection to its scheduler was lost"
            message = f"the cluster of workers can't be reached: {reason}"
            raise StopRun(message, cause="outage", exit_code=75) from error

    return wrapper


def open_cluster(settings: Settings) -> AbstractContextManager[Cluster]:
    """Open the cluster that the settings name. Raises SettingsInvalid if it can't work for this run."""
    if (reason := _find_obstacle(settings, os.environ)) is not None:
        raise SettingsInvalid(reason)
    return {"dask": _open_dask, "ray": _open_ray}[settings.runner](settings)


def _find_obstacle(settings: Settings, env: Mapping[str, str]) -> str | None:
    """Return what workers on other machines need and can't reach on this one; None if nothing."""
    address = settings.dask_address or settings.ray_address
    if address is None or is_loopback(urlsplit(address if "://" in address else f"//{address}").hostname or ""):
        return None
    if is_loopback(urlsplit(env.get("PREFECT_API_URL", "http://127.0.0.1")).hostname or ""):
        return "workers on other machines need a Prefect server that they can reach: set PREFECT_API_URL"
    if settings.has_own_simulator:
        return "workers on other machines can't reach this machine's simulator"
    return None


@contextmanager
def _open_dask(settings: Settings) -> Iterator[Cluster]:
    try:
        from prefect_dask import DaskTaskRunner  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise SettingsInvalid("--runner dask needs: pip install 'imagen-batch[dask]'") from error
    for name in ("distributed", "distributed.client", "distributed.core", "distributed.batched"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # errors are raised and reported once
    with DaskTaskRunner(**_dask_options(settings)) as runner:
        try:
            with _ignoring_sigint():
                client = runner.client
        except OSError as error:
            raise SettingsInvalid(f"--dask-address {settings.dask_address}: {error}") from error
        yield _DaskCluster(runner, client)


@contextmanager
def _ignoring_sigint() -> Iterator[None]:
    """Start processes that ignore a terminal's Ctrl-C: the run still needs them to finish."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set signal handlers
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _dask_options(settings: Settings) -> dict[str, Any]:
    if settings.dask_address is not None:
        return {"address": settings.dask_address}
    workers = settings.workers or os.cpu_count() or 1
    local = {"n_workers": workers, "threads_per_worker": _SLOTS_PER_WORKER, "host": "127.0.0.1"}
    return {"cluster_kwargs": {**local, "dashboard_address": None, "env": _environment(settings)}}


def _environment(settings: Settings) -> dict[str, str]:
    """Return what changes in the environment of workers on this machine: no secret that they do not need."""
    secrets = ["IMAGEN_BATCH_NOTIFY", "IMAGEN_BATCH_HEARTBEAT"]
    if settings.provider != "gemini" or settings.api_key_file is not None:
        secrets += ["GOOGLE_API_KEY", "GEMINI_API_KEY"]
    return dict.fromkeys(secrets, "")


class _DaskCluster(_Cluster):
    def __init__(self, runner: TaskRunner[Any], client: Any) -> None:
        import distributed  # noqa: PLC0415 - an optional extra

        # It means that the scheduler died; if a worker dies, the error is KilledWorker.
        self.unreachable_errors = (distributed.CancelledError,)
        self._runner = runner
        self._client = client
        self._dask = distributed

    @_translating_errors
    def slots(self) -> int:
        return sum(self._client.nthreads().values())

    @_translating_errors
    def submit(self, task: Any, shard_task: bytes, number: int) -> Any:
        return self._runner.submit(task, parameters={"shard_task": shard_task, "number": number})

    @_translating_errors
    def wait(self, futures: Sequence[Any], seconds: float, *, for_all: bool = False) -> list[Any]:
        return_when = "ALL_COMPLETED" if for_all else "FIRST_COMPLETED"
        try:
            with self._client.as_current():
                self._dask.wait(
                    [future.wrapped_future for future in futures], timeout=seconds, return_when=return_when
                )
        except (self._dask.TimeoutError, TimeoutError):
            return []
        return [future for future in futures if future.wrapped_future.done()]

    def result(self, future: Any) -> bytes | None:
        try:
            return bytes(future.result())
        except (self._dask.KilledWorker, self._dask.CancelledError, CrashedRun):
            return None


@contextmanager
def _open_ray(settings: Settings) -> Iterator[Cluster]:
    try:
        from prefect_ray import RayTaskRunner  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise SettingsInvalid("--runner ray needs: pip install 'imagen-batch[ray]'") from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    local = {"include_dashboard": False, "_node_ip_address": "127.0.0.1", "log_to_driver": False}
    if settings.workers is not None:
        local["num_cpus"] = settings.workers
    cluster = {"address": settings.ray_address} if settings.ray_address else {"init_kwargs": local}
    try:
        with _ignoring_sigint():
            runner = RayTaskRunner(**cluster).__enter__()
    except OSError as error:
        raise SettingsInvalid(f"--ray-address {settings.ray_address}: {error}") from error
    try:
        yield _RayCluster(runner)
    finally:
        runner.__exit__(None, None, None)


class _RayCluster(_Cluster):
    def __init__(self, runner: TaskRunner[Any]) -> None:
        import ray  # noqa: PLC0415 - an optional extra

        self.unreachable_errors = (ray.exceptions.RayError,)
        self._runner = runner
        self._ray = ray

    @_translating_errors
    def slots(self) -> int:
        return int(self._ray.cluster_resources().get("CPU", 0))

    @_translating_errors
    def submit(self, task: Any, shard_task: bytes, number: int) -> Any:
        return self._runner.submit(task, parameters={"shard_task": shard_task, "number": number})

    @_translating_errors
    def wait(self, futures: Sequence[Any], seconds: float, *, for_all: bool = False) -> list[Any]:
        by_reference = {future.wrapped_future: future for future in futures}
        count = len(by_reference) if for_all else 1
        done, _ = self._ray.wait(list(by_reference), num_returns=count, timeout=seconds)
        return [by_reference[reference] for reference in done]

    def result(self, future: Any) -> bytes | None:
        try:
            return bytes(future.result())
        except (self._ray.exceptions.RayError, CrashedRun):
            return None
