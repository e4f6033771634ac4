"""Runs the runs of deployments until a signal, and then lets those that are going on end by themselves.

Prefect's own runner kills its processes when it is stopped, and images in flight would be lost. This one passes the
signal on: each process ends as at Ctrl-C, with the grace time for what is in flight and a new summary.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from types import FrameType
from typing import Any

from prefect.runner import Runner
from prefect.runner._process_manager import ProcessHandle

from imagen_batch.system.signal_handlers import signal_handlers
from imagen_batch.system.streams import print_message
from imagen_batch.text import plural

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SECOND_SIGNAL_AFTER_S = 1.0  # supervisors and terminals deliver one stop both to the process and to its group
_TABLES_S = 30.0  # after the grace time, for tables, summary and the last lines of the log
_ABANDON_S = 10.0  # after a second signal
_START_OR_END_S = 5.0  # for Prefect's runner
_POLL_S = 0.1


class RunnerThatWaits(Runner):
    """Prefect's runner, which waits up to `grace` seconds and some more for its runs when it is stopped."""

    def __init__(self, name: str, *, grace: float) -> None:
        super().__init__(name=name, pause_on_shutdown=False, limit=None)
        self.stopped_by: int | None = None
        self._wait_s = grace + _TABLES_S
        self._deadline = 0.0
        self._first_signal_at = 0.0
        self._signalled: set[int] = set()
        self._stop_wanted: asyncio.Event | None = None
        self._loop_of_signals: asyncio.AbstractEventLoop | None = None

    def run_until_stopped(self) -> int:
        """Run what is due until a signal arrives; return the number of the signal."""
        with signal_handlers(_SIGNALS, self._on_signal):
            asyncio.run(self._run())
        return self.stopped_by or 0

    def handle_sigterm(self, *args: Any, **_: Any) -> None:
        """Handle SIGTERM: Prefect installs this method as its handler."""
        self._on_signal(*args)

    async def cancel_all(self) -> None:
        """Wait until the runs have ended by themselves; kill what remains after that time."""
        if running := self._unfinished():
            print_message(
                f"stopping: no new run starts; waiting up to {self._wait_s:g} s for {plural(running, 'run')} to end. "
                "A second signal abandons the images in flight"
            )
        alive_at = time.monotonic()
        while self._unfinished() and (now := time.monotonic()) < self._deadline:
            alive_at = now if self._is_any_alive() else alive_at
            if now - alive_at > _START_OR_END_S:
                break  # the server does not take the states of the runs
            self._pass_on(self._pids() - self._signalled)  # of a run that was just being started
            await asyncio.sleep(_POLL_S)
        if remaining := self._pass_on(self._pids(), signal.SIGKILL):
            print_message(f"warning: killed {plural(remaining, 'run')} that did not end in time")

    async def _run(self) -> None:
        self._loop_of_signals, self._stop_wanted = asyncio.get_running_loop(), asyncio.Event()
        if self.stopped_by is not None:
            return
        serving, stop = asyncio.create_task(self.start()), asyncio.create_task(self._stop_wanted.wait())
        await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        await self._end(serving)
        with suppress(asyncio.CancelledError):
            await serving

    async def _end(self, serving: asyncio.Task[None]) -> None:
        """End what `start` does: by itself, or by force where it waits for a server that does not answer."""
        until = time.monotonic() + _START_OR_END_S
        while not (self.started or serving.done()) and time.monotonic() < until:
            await asyncio.sleep(_POLL_S)
        if self.started:
            await self.astop()
            await asyncio.wait({serving}, timeout=_START_OR_END_S)
        serving.cancel()

    def _on_signal(self, number: int, _frame: FrameType | None = None) -> None:
        """Pass a signal on at once: a terminal sends Ctrl-C to the processes, too, and both count as one."""
        now = time.monotonic()
        if self.stopped_by is None:
            self.stopped_by, self._first_signal_at = number, now
            self._deadline = now + self._wait_s
            self._pass_on(self._pids())
        elif now - self._first_signal_at >= _SECOND_SIGNAL_AFTER_S:
            self._deadline = min(self._deadline, now + _ABANDON_S)
            self._pass_on(self._pids())
        if self._loop_of_signals is not None and self._stop_wanted is not None:
            with suppress(RuntimeError):  # the loop has just ended
                self._loop_of_signals.call_soon_threadsafe(self._stop_wanted.set)

    def _pass_on(self, pids: set[int], number: int = signal.SIGTERM) -> int:
        """Send a signal to these processes; return how many of them were alive."""
        sent = 0
        for handle in self._handles():
            if handle.pid in pids and handle.returncode is None:
                self._signalled.add(handle.pid)
                with suppress(ProcessLookupError):
                    os.kill(handle.pid, number)
                    sent += 1
        return sent

    def _pids(self) -> set[int]:
        return {handle.pid for handle in self._handles() if handle.pid is not None}

    def _is_any_alive(self) -> bool:
        return any(handle.returncode is None for handle in self._handles())

    def _handles(self) -> list[ProcessHandle]:
        handles = (self._process_manager.get(each) for each in self._process_manager.flow_run_ids())
        return [handle for handle in handles if handle is not None]

    def _unfinished(self) -> int:
        """Return the number of runs that are being started or go on."""
        return len(self._scheduled_run_poller._submitting_flow_run_ids)
