"""Marks the run of this process as running, so that later runs notice if it is killed, and ends killed ones once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imagen_batch.orchestration.recording.killed_runs import OWN_SERVER, FlowRuns, end_killed_runs, mark_running
from imagen_batch.orchestration.server.environment import prefect_home


class MarkedRun:
    """A run on the server at `url`; None is the server that this run has started, which ends killed runs itself."""

    def __init__(self, home: Path, key: str, *, url: str | None) -> None:
        self._home = home
        self._url = url
        selection = {"idempotency_key": {"any_": [key]}}
        self._mark = mark_running(home, server=url or OWN_SERVER, selection=selection)
        self._has_ended_killed = url is None

    def end_killed_runs(self, api: FlowRuns) -> None:
        """Mark killed runs as crashed, the first time that this is called. Raises Unavailable."""
        if not self._has_ended_killed and self._url is not None:
            self._has_ended_killed = True
            end_killed_runs(self._home, server=self._url, api=api)

    def remove(self) -> None:
        """Remove the mark: the end of this run is recorded, or will be."""
        if self._mark is not None:
            self._mark.remove()


@contextmanager
def marked_flow_run(*, on_own_server: bool = False) -> Iterator[None]:
    """Mark the flow run of Prefect's engine that this code is called in, for the block.

    Without an address of a server the engine uses the database that a run's own server has, too.
    """
    from prefect.runtime import flow_run  # noqa: PLC0415 - runs outside of Prefect's engine do not import it
    from prefect.settings import get_current_settings  # noqa: PLC0415

    url = None if on_own_server else get_current_settings().api.url
    selection = {"id": {"any_": [str(flow_run.id)]}}
    mark = mark_running(prefect_home(), server=url or OWN_SERVER, selection=selection) if flow_run.id else None
    try:
        yield
    finally:
        if mark is not None:
            mark.remove()
