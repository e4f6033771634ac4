"""Records an execution in Prefect while it runs, in a thread that the run can do without.

The thread waits for the first requests, since they are more urgent, starts the run's own server if there is
one, and reports the execution to the server. At the end the run waits a bounded time for it. What is not
recorded by then is left to the process of the run's own server, or to the next one.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from imagen_batch.orchestration.execution import Execution
from imagen_batch.orchestration.server.own_server import OwnServer

if TYPE_CHECKING:
    from imagen_batch.orchestration.attach_prefect import Attachment
    from imagen_batch.orchestration.recording.flow_run import FlowRunRecord
    from imagen_batch.orchestration.recording.mark_this_run import MarkedRun

_TICK_S = 0.25
_RETRY_S = 1.0
_FOR_PREFECT_CLIENT = {301, 302, 307, 308, 401, 403}  # which can log in and follows redirects
# Seconds that the end of a run waits: for its own server; until that one must answer; for a given server that does
# not answer, and for one that answers slowly.
_OWN_END_S, _OWN_ANSWER_S = 0.7, 2.0
_GIVEN_END_S, _GIVEN_SLOW_END_S = 2.5, 30.0
_PROBE_S = 1.0
_HARMLESS = "Images, manifest and summary do not depend on it."


class Recorder:
    """Prefect's side of an execution in threads. `server` is a child of this process; None if the user runs one."""

    def __init__(
        self,
        execution: Execution,
        server: OwnServer | None,
        *,
        notify: Callable[[str], None],
        key: str | None = None,
        on_flow_run: Callable[[str], None] = lambda _id: None,
    ) -> None:
        self._execution = execution
        self._on_flow_run: Callable[[str], None] | None = on_flow_run
        self._server = server
        self._notify = notify
        self._key = key or uuid.uuid4().hex
        self._error: str | None = None
        self._recorded = False
        self._has_warned = False  # the user was warned that Prefect will not show this run
        self._attachment: Attachment | None = None
        self._marked: MarkedRun | None = None
        self._was_canceled = False
        self._launched, self._server_up, self._ended = threading.Event(), threading.Event(), threading.Event()
        threading.Thread(target=self._run, name="prefect", daemon=True).start()

    def finish(self, exit_code: int) -> str | None:
        """Give Prefect a bounded time to record the end of the run; return None, or a warning that it did not."""
        try:
            if self._server is None or self._server_up.is_set():  # one that still boots would take too long
                self._ended.wait(_GIVEN_END_S if self._server is None else _OWN_END_S)
            if self._attachment is not None:
                return self._attachment.finish(exit_code)
            if self._recorded:
                self._release_server(interrupted=exit_code > 128)
                return None
            if self._server is None:
                return self._finish_given()
            return self._finish_own(self._server, interrupted=exit_code > 128)
        except (KeyboardInterrupt, SystemExit):  # the user does not want to wait any longer
            self.abandon(exit_code)
            return f"Prefect did not record the end of this run: interrupted. {_HARMLESS}"

    def abandon(self, exit_code: int) -> None:
        """Continue without Prefect."""
        if self._attachment is not None:
            self._attachment.abandon(exit_code)
        if self._server is not None:
            self._server.kill()

    def _release_server(self, *, interrupted: bool) -> None:
        if self._server is not None and interrupted:  # no process may stay behind; what was recorded is on disk
            self._server.kill()
        elif self._server is not None:
            self._server.release()

    def _finish_given(self) -> str | None:
        deadline = time.monotonic() + _GIVEN_SLOW_END_S
        while not self._ended.is_set() and time.monotonic() < deadline and self._server_answers():
            self._ended.wait(1.0)
        if self._recorded:
            return None
        reason = self._error or "its server does not answer"
        return f"Prefect did not record the end of this run: {reason}. {_HARMLESS}"

    def _finish_own(self, server: OwnServer, *, interrupted: bool) -> str | None:
        if self._has_warned:
            return None
        if self._server_up.is_set() and self._ended.is_set() and server.is_running:
            server.release()  # it did not accept the snapshot, and would not accept it later
            return f"Prefect did not record the end of this run: {self._error}. {_HARMLESS}"
        is_stored = self._store_snapshot(server)
        if interrupted and server.is_running:  # no process may stay behind
            server.kill()
            return None
        self._launched.wait(_OWN_ANSWER_S)
        if is_stored and server.hand_over(patience=_OWN_ANSWER_S):
            return None
        return self._describe_loss(server, is_stored=is_stored)

    def _describe_loss(self, server: OwnServer, *, is_stored: bool) -> str:
        ended = not server.is_running
        recorded_later = ". The next run that starts a server records it" if is_stored else ""
        server.kill()
        if not self._server_up.is_set():
            reason = "its server did not start" if ended else "its server does not answer"
            return f"Prefect will not show this run: {reason}; its log is {server.log}{recorded_later}"
        reason = self._error or ("its server ended" if ended else "its server does not answer")
        return f"Prefect did not record the end of this run: {reason}{recorded_later}. {_HARMLESS}"

    def _store_snapshot(self, server: OwnServer) -> bool:
        from imagen_batch.orchestration.recording.run_snapshot import describe_execution  # noqa: PLC0415 - not before the first request
        from imagen_batch.orchestration.recording.unrecorded_runs import keep_unrecorded  # noqa: PLC0415

        is_stored = keep_unrecorded(server.home, describe_execution(self._execution, self._key)) is not None
        if is_stored and self._marked is not None:
            self._marked.remove()
        return is_stored

    def _run(self) -> None:
        try:
            self._execution.wait_for_first_requests()
            if self._server is not None:
                self._boot(self._server)
            self._server_up.set()
            self._record()
        except BaseException as error:  # noqa: BLE001 - reported at the end of the run
            self._error = self._error or " ".join(str(error).split()) or type(error).__name__
        finally:
            self._launched.set()
            self._ended.set()

    def _boot(self, server: OwnServer) -> None:
        server.start()
        self._launched.set()
        try:
            server.wait()
        except Exception:
            self._error = "its server did not start"
            if not self._execution.ended.is_set():
                self._has_warned = True
                self._notify(f"warning: Prefect will not show this run: {self._error}; its log is {server.log}")
            raise

    def _record(self) -> None:
        from imagen_batch.orchestration.recording.flow_run import FlowRunRecord  # noqa: PLC0415
        from imagen_batch.orchestration.recording.mark_this_run import MarkedRun  # noqa: PLC0415
        from imagen_batch.orchestration.recording.prefect_api import (  # noqa: PLC0415 - not before the first request
            PrefectApi,
            Refused,
            Unavailable,
            needs_login,
        )
        from imagen_batch.orchestration.server.environment import prefect_home  # noqa: PLC0415

        url = os.environ["PREFECT_API_URL"]
        if needs_login(url, os.environ):
            self._use_prefect_client()
            return
        api = PrefectApi(url)
        self._marked = MarkedRun(prefect_home(), self._key, url=None if self._server else url)
        record = FlowRunRecord(api)
        while not self._recorded:
            try:
                self._record_more(record)
                self._marked.end_killed_runs(api)
            except Unavailable:
                if self._server is not None and not self._server.is_running:
                    self._error = "its server ended"
                    raise
                time.sleep(_RETRY_S)
            except Refused as refusal:
                if refusal.status not in _FOR_PREFECT_CLIENT:
                    raise
                self._marked.remove()
                self._use_prefect_client()
                return
        self._marked.remove()

    def _use_prefect_client(self) -> None:
        from imagen_batch.orchestration.attach_prefect import Attachment  # noqa: PLC0415 - rarely needed

        self._attachment = Attachment(self._execution, None)

    def _record_more(self, record: FlowRunRecord) -> None:
        from imagen_batch.orchestration.recording.run_snapshot import describe_execution  # noqa: PLC0415

        last = self._execution.ended.wait(_TICK_S)
        snapshot = describe_execution(self._execution, self._key)
        if last:
            record.close(snapshot)
            self._recorded = True
        else:
            record.update(snapshot)
            if not self._was_canceled and record.look_for_cancellation():
                self._was_canceled = True
                self._notify("Stopping: the run was canceled in Prefect; images in flight get the grace time.")
                self._execution.cancel()
        if record.id and self._on_flow_run is not None:
            self._on_flow_run(record.id)
            self._on_flow_run = None

    def _server_answers(self) -> bool:
        from imagen_batch.orchestration.server.reachability import is_reachable  # noqa: PLC0415 - rarely needed

        return is_reachable(os.environ.get("PREFECT_API_URL", ""), timeout=_PROBE_S)
