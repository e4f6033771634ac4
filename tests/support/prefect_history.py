"""Reads what Prefect has recorded, from the database below PREFECT_HOME."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any


def flow_run_of(home: Path, prompts: Path) -> dict[str, Any] | None:
    """Return the newest flow run of a prompt file: id, state_type, state_name; None if there is none."""
    rows = _query(
        home,
        "select id, state_type, state_name from flow_run where name = ? order by created desc limit 1",
        str(prompts),
    )
    return rows[0] if rows else None


def task_runs_of(home: Path, flow_run: str) -> list[dict[str, Any]]:
    """Return name and state_type of each task run."""
    return _query(home, "select name, state_type from task_run where flow_run_id = ? order by name", flow_run)


def logs_of(home: Path, flow_run: str) -> list[dict[str, Any]]:
    """Return timestamp and message of each line of the log, oldest first."""
    return _query(home, "select timestamp, message from log where flow_run_id = ? order by timestamp", flow_run)


def artifacts_of(home: Path, flow_run: str) -> list[dict[str, Any]]:
    """Return key, type and data of each artifact."""
    return _query(home, "select key, type, data from artifact where flow_run_id = ?", flow_run)


def _query(home: Path, sql: str, *values: str) -> list[dict[str, Any]]:
    try:
        with closing(sqlite3.connect(f"file:{home / 'prefect.db'}?mode=ro", uri=True, timeout=10)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(sql, values)]
    except sqlite3.OperationalError:  # the database or its tables do not exist yet
        return []
