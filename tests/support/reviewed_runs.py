"""Runs that people review: decisions between runs, as the command line takes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from imagen_batch.inputs.reconcile_with_folder import prepare_plan
from imagen_batch.planning.pending import PendingTotals, count_pending
from imagen_batch.review.decisions.decisions_to_ledger_changes import Choice, decide
from imagen_batch.review.decisions.named_samples import find_targets
from imagen_batch.review.decisions.record_decisions import change_review, remember_applied
from imagen_batch.review.decisions.take_review_into_run import review_of_run
from imagen_batch.runs.run import open_run
from imagen_batch.settings import Settings, make_settings
from imagen_batch.simulator import Simulator
from tests.support.reference_files import parts_sent
from tests.support.runs import TODAY, FinishedRun

_Result = TypeVar("_Result")


def settings_of(source: Path, sim: Simulator, **chosen: Any) -> Settings:
    """Return the settings of a run of `source` into a folder beside it."""
    base = {"prompts": str(source), "out": str(source.parent / "out"), "provider": "simulator", "base_url": sim.url}
    return make_settings({**base, "wait_initial": 0.0, "concurrency": 8, **chosen})


def go(source: Path, sim: Simulator, **chosen: Any) -> FinishedRun:
    """Run a file as the command line does, up to Prefect. What the plan counts is what is sent."""
    return carry_out(settings_of(source, sim, **chosen))


def carry_out(settings: Settings, *, kill_after: int | None = None) -> FinishedRun:
    """Carry out a run; with `kill_after` only that many shards are made, and it never ends."""
    decisions, review = review_of_run(settings, lambda _text: None)
    plan = prepare_plan(settings, today=TODAY, decisions=decisions)
    with open_run(plan, env={}) as run:
        if review is not None:
            remember_applied(run.context.store.storage, review)
        done = 0
        for stage in run.stages():
            for shard in stage:
                run.generate_shard(shard)
                done += 1
                if done == kill_after:
                    return FinishedRun(None, Path(settings.folder))  # type: ignore[arg-type]
        return FinishedRun(run.finish(), Path(settings.folder))


def counted(source: Path, sim: Simulator, **chosen: Any) -> PendingTotals:
    """Return what `plan` says of a run."""
    return count_pending(prepare_plan(settings_of(source, sim, **chosen), today=TODAY))


def review(folder: Path, action: Any, *names: str, **choice: Any) -> object:
    """Decide as the command does."""
    wanted = Choice(action, **choice)
    return change_review(str(folder), lambda plan, past: decide(find_targets(names, plan, past), wanted, past))


def parts_of(sim: Simulator, act: Callable[[], _Result]) -> tuple[_Result, list[list[bytes | str]]]:
    """Return the result of `act`, and the parts of the requests that were sent meanwhile."""
    before = len(parts_sent(sim))
    result = act()
    return result, parts_sent(sim)[before:]
