"""Runs that end by themselves, against the simulator."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

from imagen_batch.orchestration.execution import Execution
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.planning.pending import count_pending
from imagen_batch.reports.summary import Summary
from imagen_batch.runs.run import Run, open_run
from imagen_batch.settings import make_settings
from imagen_batch.simulator import Simulator
from tests.support.runs import TODAY, prompts, run


def _execute(source: Path, sim: Simulator, messages: list[str], **chosen: object) -> Summary:
    settings = make_settings(
        {
            "prompts": str(source),
            "out": str(source.parent / "out"),
            "provider": "simulator",
            "base_url": sim.url,
            "wait_initial": 0.0,
            "gallery": False,
            **chosen,
        }
    )
    with open_run(make_plan(settings, today=TODAY), env=os.environ) as opened:
        return Execution(opened, count_pending(opened.plan, opened.history)).complete(notify=messages.append)


def test_a_run_ends_in_time_with_75_and_keeps_what_is_in_flight(tmp_path: Path) -> None:
    messages: list[str] = []
    began = time.monotonic()
    with Simulator(latency=0.4) as sim:
        source = prompts(tmp_path, *(f"row {n}" for n in range(40)))
        summary = _execute(source, sim, messages, concurrency=2, max_time="3s")
        assert time.monotonic() - began < 3.5
        assert (summary.exit_code, summary.state) == (75, "paused")
        assert summary.counts["ok"] == len(sim.images) > 1
        assert summary.counts["ok"] + summary.counts["not_attempted"] == 40
        assert "--max-time 3s" in (summary.stopped_by or "")
        assert messages[0].startswith("The time of --max-time 3s is up: waiting up to")


def test_a_run_that_is_done_in_time_is_an_ordinary_run(tmp_path: Path) -> None:
    with Simulator() as sim:
        ran = run(prompts(tmp_path, "one", "two"), sim, until="06:00", max_time="2h")
    assert ran.summary.exit_code == 0


def test_what_failed_at_the_beginning_does_not_come_before_the_tail(tmp_path: Path) -> None:
    """Night after night the first rows fail; the others get their turn first."""
    with Simulator(faults=[{"match": "bad", "fault": "bad_request"}]) as sim:
        source = prompts(tmp_path, "bad 1", "bad 2", "good 3", "good 4")
        run(source, sim, limit=2)
        settings = {"retry": ("failed",), "concurrency": 1}
        order = _order(source, sim, max_time="1h", **settings)
        assert order == ["good 3", "good 4", "bad 1", "bad 2"]
        assert _order(source, sim, **settings) == ["bad 1", "bad 2", "good 3", "good 4"]


def _order(source: Path, sim: Simulator, **chosen: object) -> list[str]:
    settings = make_settings(
        {
            "prompts": str(source),
            "out": str(source.parent / "out"),
            "provider": "simulator",
            "base_url": sim.url,
            **chosen,
        }
    )
    with open_run(make_plan(settings, today=TODAY), env=os.environ) as opened:
        return [request.prompt for stage in _first_stage(opened) for request in stage]


def _first_stage(opened: Run) -> list[list[object]]:
    return list(replace(opened).shards())  # type: ignore[arg-type]
