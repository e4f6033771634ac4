"""Who makes shards elsewhere: a Dask cluster or a Ray cluster, one that runs or one for this run alone?"""

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

from imagen_batch.errors import Fatal, SettingsInvalid
from imagen_batch.settings import Settings
from imagen_batch.system.loopback import is_loopback

_Asked = ParamSpec("_Asked")
_Told = TypeVar("_Told")
_SLOTS_OF_A_WORKER = 2  # so that the end of one shard finds the next at work


class Cluster(Protocol):
    """Workers that take tasks. Futures are whatever they hand out."""

    def slots(self) -> int:
        """Tasks that they can work on at once, as of now."""

    def submit(self, task: Any, ticket: bytes, number: int) -> Any:
        """Hand out a shard."""

    def landed(self, futures: Sequence[Any], seconds: float, *, all_of_them: bool = False) -> list[Any]:
        """Wait for one, or for all, at most so long; those that have ended."""

    def result(self, future: Any) -> bytes | None:
        """What came of one that has ended; None where its worker was lost. Raises what it raised."""


class _Cluster:
    """What the crews share. `away` are the library's own errors for a cluster that has gone away."""

    away: tuple[type[Exception], ...] = ()


_AnyCluster = TypeVar("_AnyCluster", bound=_Cluster)


def _reachable(
    method: Callable[Concatenate[_AnyCluster, _Asked], _Told],
) -> Callable[Concatenate[_AnyCluster, _Asked], _Told]:
    """A cluster that goes away is not the output folder's trouble, and no bug."""

    @wraps(method)
    def asked(self: _AnyCluster, /, *given: _Asked.args, **named: _Asked.kwargs) -> _Told:
        try:
            return method(self, *given, **named)
        except Exception as error:
            if not isinstance(error, (OSError, *self.away)):
                raise
            why = str(error) if isinstance(error, OSError) else "the connection to its scheduler was lost"
            message = f"the cluster of workers can't be reached: {why}"
            raise Fatal(message, kind="workers", outcome="outage", exit_code=75) from error

    return asked


def open_cluster(settings: Settings) -> AbstractContextManager[Cluster]:
    """The crew that the settings name. Raises SettingsInvalid where it can't work for this run."""
    if (why := _out_of_reach(settings, os.environ)) is not None:
        raise SettingsInvalid(why)
    return {"dask": _dask_crew, "ray": _ray_crew}[settings.runner](settings)


def _out_of_reach(settings: Settings, env: Mapping[str, str]) -> str | None:
    """What of this machine alone workers on others would need."""
    address = settings.dask_address or settings.ray_address
    if address is None or is_loopback(urlsplit(address if "://" in address else f"//{address}").hostname or ""):
        return None
    if is_loopback(urlsplit(env.get("PREFECT_API_URL", "http://127.0.0.1")).hostname or ""):
        return "workers on other machines need a Prefect server that they reach: set PREFECT_API_URL"
    if settings.provider == "simulator" and settings.base_url is None:
        return "workers on other machines can't reach this machine's simulator"
    return None


@contextmanager
def _dask_crew(settings: Settings) -> Iterator[Cluster]:
    try:
        from prefect_dask import DaskTaskRunner  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise SettingsInvalid("--runner dask needs: pip install 'imagen-batch[dask]'") from error
    for name in ("distributed", "distributed.client", "distributed.core", "distributed.batched"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what goes wrong is raised, and said once
    with DaskTaskRunner(**_dask_cluster(settings)) as runner:
        try:
            with _ignoring_sigint():
                client = runner.client
        except OSError as error:
            raise SettingsInvalid(f"--dask-address {settings.dask_address}: {error}") from error
        yield _DaskCluster(runner, client)


@contextmanager
def _ignoring_sigint() -> Iterator[None]:
    """Processes that are started here leave a terminal's Ctrl-C to the run, which still needs what they do."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say so
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _dask_cluster(settings: Settings) -> dict[str, Any]:
    if settings.dask_address is not None:
        return {"address": settings.dask_address}
    workers = settings.workers or os.cpu_count() or 1
    local = {"n_workers": workers, "threads_per_worker": _SLOTS_OF_A_WORKER, "host": "127.0.0.1"}
    return {"cluster_kwargs": {**local, "dashboard_address": None, "env": _environment(settings)}}


def _environment(settings: Settings) -> dict[str, str]:
    """What workers on this machine get beside this process's environment: no key where they use none."""
    if settings.provider == "gemini" and settings.api_key_file is None:
        return {}
    return dict.fromkeys(("GOOGLE_API_KEY", "GEMINI_API_KEY"), "")


class _DaskCluster(_Cluster):
    def __init__(self, runner: TaskRunner[Any], client: Any) -> None:
        import distributed  # noqa: PLC0415 - an optional extra

        self.away = (distributed.CancelledError,)  # its scheduler has died: a worker's death is KilledWorker
        self._runner = runner
        self._client = client
        self._dask = distributed

    @_reachable
    def slots(self) -> int:
        return sum(self._client.nthreads().values())

    @_reachable
    def submit(self, task: Any, ticket: bytes, number: int) -> Any:
        return self._runner.submit(task, parameters={"ticket": ticket, "number": number})

    @_reachable
    def landed(self, futures: Sequence[Any], seconds: float, *, all_of_them: bool = False) -> list[Any]:
        wanted = "ALL_COMPLETED" if all_of_them else "FIRST_COMPLETED"
        try:
            with self._client.as_current():
                self._dask.wait([one.wrapped_future for one in futures], timeout=seconds, return_when=wanted)
        except (self._dask.TimeoutError, TimeoutError):
            return []
        return [one for one in futures if one.wrapped_future.done()]

    def result(self, future: Any) -> bytes | None:
        try:
            return bytes(future.result())
        except (self._dask.KilledWorker, self._dask.CancelledError, CrashedRun):
            return None


@contextmanager
def _ray_crew(settings: Settings) -> Iterator[Cluster]:
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
            started = RayTaskRunner(**cluster).__enter__()
    except OSError as error:
        raise SettingsInvalid(f"--ray-address {settings.ray_address}: {error}") from error
    try:
        yield _RayCluster(started)
    finally:
        started.__exit__(None, None, None)


class _RayCluster(_Cluster):
    def __init__(self, runner: TaskRunner[Any]) -> None:
        import ray  # noqa: PLC0415 - an optional extra

        self.away = (ray.exceptions.RayError,)
        self._runner = runner
        self._ray = ray

    @_reachable
    def slots(self) -> int:
        return int(self._ray.cluster_resources().get("CPU", 0))

    @_reachable
    def submit(self, task: Any, ticket: bytes, number: int) -> Any:
        return self._runner.submit(task, parameters={"ticket": ticket, "number": number})

    @_reachable
    def landed(self, futures: Sequence[Any], seconds: float, *, all_of_them: bool = False) -> list[Any]:
        by_reference = {one.wrapped_future: one for one in futures}
        wanted = len(by_reference) if all_of_them else 1
        done, _ = self._ray.wait(list(by_reference), num_returns=wanted, timeout=seconds)
        return [by_reference[one] for one in done]

    def result(self, future: Any) -> bytes | None:
        try:
            return bytes(future.result())
        except (self._ray.exceptions.RayError, CrashedRun):
            return None
