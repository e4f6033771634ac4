"""The limits of a folder and of a single run hold, with and without workers, and are named when they stop a run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.errors import Interrupted
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.runs.run import open_run
from imagen_batch.sending.budget import Budget
from imagen_batch.sending.stop import Stop
from imagen_batch.settings import make_settings
from imagen_batch.simulator import Simulator
from imagen_batch.workers.allocation import Allocator, Limits
from tests.support.factories import request
from tests.support.runs import TODAY, prompts, run, write_csv
from tests.support.shell import manifest
from tests.support.workers import many_prompts, run_in_threads

STEPS = st.lists(st.tuples(st.floats(0.01, 1), st.sampled_from(["settle", "release", "hold"]), st.booleans()))


@given(folder=st.none() | st.floats(0, 5), run_=st.none() | st.floats(0, 5), before=st.floats(0, 3), attempts=STEPS)
def test_neither_limit_is_ever_exceeded(folder, run_, before, attempts):
    """Attempts are settled, released or held in any order, with any number in flight."""
    budget = Budget(max_cost=folder, max_cost_per_run=run_, max_images=None, spent=before)
    stop, held, charged = Stop(), [], 0.0
    stop.interrupt(2)  # so that no reservation waits
    for price, end, at_once in attempts:
        try:
            reservation = budget.reserve(price, 1, stop=stop)
        except Interrupted:
            reservation = None
        if reservation is not None:
            held.append((reservation, price, end))
        while held and not at_once:
            ended, usd, how = held.pop()
            charged += usd if how != "release" else 0.0
            ended.settle(usd, 1) if how == "settle" else getattr(ended, how)()
        outstanding = charged + sum(usd for _, usd, _ in held)
        assert folder is None or outstanding == 0 or before + outstanding <= folder + 1e-6
        assert run_ is None or outstanding <= run_ + 1e-6


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"max_cost": 0.1, "max_cost_per_run": 1.0}, "max_cost"),
        ({"max_cost": 1.0, "max_cost_per_run": 0.1}, "max_cost_per_run"),
        ({"max_cost": 1.0, "max_cost_per_run": 1.0, "max_images": 0}, "max_images"),
    ],
)
def test_the_limit_that_prevented_an_attempt_is_known(limits, expected):
    """The budget stores its name."""
    budget = Budget(**{"max_images": None, **limits})
    assert budget.reserve(0.5, 1, stop=Stop()) is None
    assert budget.limit == expected


def test_the_next_run_continues_after_a_limit_per_run(tmp_path, sim):
    """The folder's limit stops all runs; the exit code is 6, and the limit is named both times."""
    source = prompts(tmp_path, *"abcdef")
    typed = {"model": "imagen-4.0-generate-001", "max_cost_per_run": 0.09, "max_cost": 0.21}
    for images, option in ((2, "--max-cost-per-run 0.09"), (4, "--max-cost-per-run 0.09"), (5, "--max-cost 0.21")):
        summary = run(source, sim, **typed).summary
        assert sim.bill.total == summary.counts["ok"] == images
        assert summary.exit_code == 6
        assert option in summary.stopped_by
    assert run(source, sim, **typed).summary.counts["ok"] == 5


def test_a_lost_reply_that_can_not_be_paid_for_again_is_reported_with_the_budget(tmp_path):
    """The exit code is 6, the error is kept, and the possible charge is counted."""
    with Simulator(faults=[{"match": "*", "fault": "reset_midway", "times": 1}]) as sim:
        ran = run(prompts(tmp_path, "one"), sim, model="imagen-4.0-generate-001", max_cost=0.05)
    assert ran.summary.exit_code == 6
    assert ran.summary.state == "budget"
    assert "--max-cost 0.05" in ran.summary.stopped_by
    (row,) = ran.rows
    assert (row["status"], row["error_kind"], row["attempts"]) == ("unknown", "over_budget", 1)
    assert "no budget was left for another attempt" in row["error"]
    assert "interrupted" not in row["error"]
    assert (ran.summary.cost_low_usd, ran.summary.cost_high_usd) == (0.0, 0.04)
    ((_, following),) = ran.summary.causes
    assert following.command.endswith("--max-cost 0.08")


def test_a_failed_attempt_without_a_charge_keeps_its_error(tmp_path, sim):
    """Another row has used the money in the meantime."""
    source = prompts(tmp_path, "one [[sim:overloaded_503]]", "two")
    ran = run(source, sim, model="imagen-4.0-generate-001", max_cost=0.05, wait_initial=0.2, concurrency=2)
    first, second = ran.rows
    assert second["status"] == "ok"
    assert (first["status"], first["error_kind"], first["http_status"]) == ("skipped_budget", "over_budget", 503)
    assert ran.summary.exit_code == 6


def test_an_interrupted_retry_keeps_its_error(tmp_path):
    """The reply was lost before the signal came, so the lost reply is reported."""
    with Simulator(faults=[{"match": "*", "fault": "reset_midway"}]) as sim:
        settings = {"prompts": str(prompts(tmp_path, "one")), "out": str(tmp_path / "out"), "provider": "simulator"}
        settings |= {"base_url": sim.url, "wait_initial": 30.0}
        with open_run(make_plan(make_settings(settings), today=TODAY), env={}) as opened:
            record_ended = opened.context.ledger.record_ended

            def record_and_interrupt(*args, **named):
                record_ended(*args, **named)
                opened.stop.interrupt(2)

            opened.context.ledger.record_ended = record_and_interrupt
            for shard in opened.shards():
                opened.generate_shard(shard)
            summary = opened.finish()
    (row,) = manifest(tmp_path / "out")
    assert summary.exit_code == 130
    assert (row["status"], row["attempts"]) == ("unknown", 1)
    assert "the run ended before another attempt" in row["error"]


@pytest.mark.parametrize("limits", [{"max_cost_per_run": 0.31}, {"max_cost_per_run": 0.31, "max_cost": 9.0}])
def test_workers_keep_to_the_limit_of_the_run(tmp_path, sim, limits):
    """The next run has the whole limit again."""
    source = many_prompts(tmp_path)
    for images in (10, 20, 23):
        ran = run_in_threads(source, sim, slots=3, price=0.03, **limits)
        assert ran.statuses.count("ok") == sim.bill.total == images
        assert ran.summary.exit_code == (0 if images == 23 else 6)
        assert images == 23 or "--max-cost-per-run 0.31" in ran.summary.stopped_by


def test_the_limit_that_stopped_workers_is_named(tmp_path, sim):
    """It is the lower one, as it was when the run began."""
    source = many_prompts(tmp_path)
    ran = run_in_threads(source, sim, slots=3, price=0.03, max_cost=0.31, max_cost_per_run=9.0)
    assert "--max-cost 0.31" in ran.summary.stopped_by
    ran = run_in_threads(source, sim, slots=3, max_images=12)
    assert "--max-images 12" in ran.summary.stopped_by


def test_the_exceeded_limit_of_a_shard_is_known():
    """A shard exceeds the limit in USD, the one in images, or neither."""
    shard = [request(1, price=0.04)]
    assert Allocator(Limits(usd=0.01), at_once=1).exceeded_limit(shard) == "usd"
    assert Allocator(Limits(images=0), at_once=1).exceeded_limit(shard) == "images"
    assert Allocator(Limits(usd=1.0, images=1), at_once=1).exceeded_limit(shard) is None


def test_the_limit_per_run_can_be_set_in_every_way(shell, tmp_path, sim):
    """These are the command line, the environment and the file."""
    book = write_csv(tmp_path / "book.csv", [{"prompt": text} for text in "abcdef"])
    typed = ["run", book, "--provider", "simulator", "--base-url", sim.url, "--out", tmp_path / "out"]
    typed += ["--model", "imagen-4.0-generate-001"]
    assert shell.run(*typed, "--max-cost-per-run", "0.09").code == 6
    shell.env["IMAGEN_BATCH_MAX_COST_PER_RUN"] = "0.05"
    assert shell.run(*typed).code == 6
    del shell.env["IMAGEN_BATCH_MAX_COST_PER_RUN"]
    (shell.here / "imagen-batch.toml").write_text("max_cost_per_run = 0.05\n")
    assert shell.run(*typed).code == 6
    assert sim.bill.total == 4
