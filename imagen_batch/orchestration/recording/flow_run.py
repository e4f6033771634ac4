"""Records a snapshot as a flow run: a task run for each shard, logs, progress, summary and final state.

Every step may be repeated, by this process or by another one: the server returns what exists already.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

from imagen_batch.orchestration.recording.page_texts import (
    DESCRIPTIONS,
    artifact_key,
    describe_progress,
    describe_shard_end,
    describe_shard_start,
)
from imagen_batch.orchestration.recording.prefect_api import PrefectApi
from imagen_batch.orchestration.recording.run_snapshot import Ending, RunSnapshot, ShardSnapshot

FLOW = "imagen-batch"
_INFO, _WARNING, _ERROR = 20, 30, 40
_PROGRESS_EVERY_S = 1.0
_LOOK_EVERY_S = 2.0
_CANCELED = {"CANCELLING", "CANCELLED"}
_FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
_LOGGER = {False: "prefect.flow_runs", True: "prefect.task_runs"}


class FlowRunRecord:
    """The record of one run on a server."""

    def __init__(self, api: PrefectApi) -> None:
        self._api = api
        self._id = ""
        self._closed = False  # by an earlier process
        self._tasks: dict[int, str] = {}
        self._ended: set[int] = set()
        self._progress: str | None = None
        self._progress_at = 0.0
        self._logs: list[dict[str, Any]] = []
        self._is_canceled = False
        self._looked_at = time.monotonic()

    @property
    def id(self) -> str:
        """The id of the flow run; empty until it exists."""
        return self._id

    def update(self, snapshot: RunSnapshot) -> None:
        """Record what is new. Raises Unavailable or Refused; call it again to continue."""
        if not self._id:
            self._begin(snapshot)
        if self._closed:
            return
        for shard in snapshot.shards:
            if shard.number not in self._ended:
                self._record_shard(shard)
        self._send_logs()
        self._show_progress(snapshot)

    def look_for_cancellation(self) -> bool:
        """Whether a person canceled the flow run in Prefect, as known every few seconds."""
        if self._id and not self._is_canceled and time.monotonic() - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = time.monotonic()
            self._is_canceled = self._api.get(f"/flow_runs/{self._id}")["state_type"] in _CANCELED
        return self._is_canceled

    def close(self, snapshot: RunSnapshot) -> None:
        """Record the end of the run."""
        self.update(snapshot)
        ending = snapshot.ending
        if ending is None or self._closed:
            return
        self._publish(snapshot.name, ending)
        self._log(_INFO if ending.state.name == "Completed" else _WARNING, ending.state.message, ending.at)
        self._send_logs()
        state = {"type": ending.state.type, "name": ending.state.name, "message": ending.state.message}
        if self._is_canceled and ending.state.type == "FAILED":
            state |= {"type": "CANCELLED", "name": "Cancelled"}
        self._api.post(f"/flow_runs/{self._id}/set_state", {"state": state, "force": True})
        self._closed = True

    def _begin(self, snapshot: RunSnapshot) -> None:
        flow = self._api.post("/flows/", {"name": FLOW})
        run = self._api.post(
            "/flow_runs/",
            {
                "flow_id": flow["id"],
                "name": snapshot.title,
                "parameters": snapshot.parameters,
                "idempotency_key": snapshot.key,
                "tags": [FLOW, *snapshot.tags],
                "state": {"type": "PENDING"},
            },
        )
        self._closed = run["state_type"] in _FINAL
        if run["state_type"] == "PENDING":
            self._api.post(f"/flow_runs/{run['id']}/set_state", {"state": {"type": "RUNNING"}})
            self._id = run["id"]
            for warning in snapshot.warnings:
                self._log(_WARNING, warning, snapshot.started)
        self._id = run["id"]

    def _record_shard(self, shard: ShardSnapshot) -> None:
        if shard.number not in self._tasks and not self._start_task(shard):
            return
        if shard.ended is None:
            return
        task = self._tasks[shard.number]
        seconds = shard.ended - shard.started
        if shard.error is None:
            state = {"type": "COMPLETED"}
            text = describe_shard_end(shard.number, shard.requests, seconds, stopped=shard.stopped)
            self._log(_INFO, text, shard.ended, task)
        else:
            state = {"type": "FAILED", "message": shard.error}
            self._log(_ERROR, shard.error, shard.ended, task)
        self._api.post(f"/task_runs/{task}/set_state", {"state": state, "force": True})
        self._ended.add(shard.number)

    def _start_task(self, shard: ShardSnapshot) -> bool:
        """Create the task run of a shard; return whether it has yet to end."""
        task = self._api.post(
            "/task_runs/",
            {
                "flow_run_id": self._id,
                "name": f"shard-{shard.number}",
                "task_key": "shard",
                "dynamic_key": str(shard.number),
                "state": {"type": "RUNNING"},
            },
        )
        self._tasks[shard.number] = task["id"]
        if task["state_type"] in _FINAL:
            self._ended.add(shard.number)
            return False
        text = describe_shard_start(shard.number, shard.requests, shard.started)
        self._log(_INFO, text, shard.started, task["id"])
        return True

    def _show_progress(self, snapshot: RunSnapshot) -> None:
        percent = min(100.0, 100.0 * snapshot.finished / max(1, snapshot.images))
        now = time.monotonic()
        if self._progress is None:
            text = describe_progress(snapshot.images, snapshot.started)
            self._progress = self._create_artifact(
                "progress", artifact_key("progress", snapshot.name), percent, description=text
            )
        elif snapshot.ending is not None or now - self._progress_at >= _PROGRESS_EVERY_S:
            self._api.patch(f"/artifacts/{self._progress}", {"data": percent})
        else:
            return
        self._progress_at = now

    def _publish(self, name: str, ending: Ending) -> None:
        self._create_artifact(
            "markdown", artifact_key("summary", name), ending.markdown, description=DESCRIPTIONS["summary"]
        )
        link = f"[manifest.csv]({ending.manifest})"
        self._create_artifact("markdown", artifact_key("manifest", name), link, description=DESCRIPTIONS["manifest"])
        if ending.causes:
            causes = json.dumps(ending.causes)
            self._create_artifact("table", artifact_key("causes", name), causes, description=DESCRIPTIONS["causes"])

    def _create_artifact(self, kind: str, key: str, data: Any, *, description: str | None = None) -> str:
        artifact = self._api.post(
            "/artifacts/",
            {"key": key, "type": kind, "data": data, "description": description, "flow_run_id": self._id},
        )
        return str(artifact["id"])

    def _log(self, level: int, message: str, at: float, task: str | None = None) -> None:
        self._logs.append(
            {
                "name": _LOGGER[task is not None],
                "level": level,
                "message": message,
                "timestamp": datetime.fromtimestamp(at, UTC).isoformat(),
                "flow_run_id": self._id,
                "task_run_id": task,
            }
        )

    def _send_logs(self) -> None:
        if self._logs:
            self._api.post("/logs/", self._logs)
            self._logs = []
