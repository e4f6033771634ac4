"""Tests that sums and counts agree between rows, summary and ledger, and that numbers in messages are true."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagen_batch.cli.plan_report import plan_json, plan_text
from imagen_batch.errors import StopRun, Transient
from imagen_batch.ledger.history import History, read_history
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.planning.pending import count_pending, nothing_to_send
from imagen_batch.records import SampleResult
from imagen_batch.reports.render import cost, to_json, to_markdown, to_terminal
from imagen_batch.reports.summary import RunFacts, SummaryBuilder
from imagen_batch.runs.run import open_run
from imagen_batch.runs.state_from_folder import run_status
from imagen_batch.sending.governor import Governor
from imagen_batch.sending.stop import Stop
from imagen_batch.settings import make_settings
from imagen_batch.simulator import Simulator
from imagen_batch.storage import LEDGER, Folder
from imagen_batch.text import span
from tests.support.entries import entry
from tests.support.factories import ok, request, trace
from tests.support.runs import IMAGEN, TODAY, prompts, run


def _sum(ran) -> float:
    return sum(row["cost_usd"] or 0.0 for row in ran.rows)


def test_the_rows_sum_to_the_summary_with_retries_and_refusals(tmp_path, sim):
    """The rows include attempts without an image, refusals that cost their input, and retries."""
    texts = ("one", "two [[sim:finish_NO_IMAGE]]", "three [[sim:text_only]]", "four [[sim:finish_IMAGE_SAFETY]]")
    source = prompts(tmp_path, *texts)
    first = run(source, sim)
    assert first.summary.cost_usd == pytest.approx(_sum(first), abs=1e-6)
    second = run(source, sim, retry="failed,filtered")
    assert second.summary.cost_usd > first.summary.cost_usd
    assert second.summary.cost_usd == pytest.approx(_sum(second), abs=1e-6)
    assert second.summary.earlier_usd == 0


def test_an_image_that_was_paid_twice_costs_twice_in_its_row(tmp_path, sim):
    """The image was deleted and made again."""
    source = prompts(tmp_path, "one")
    first = run(source, sim)
    once = _sum(first)
    (first.folder / first.rows[0]["file"]).unlink()
    again = run(source, sim, retry="missing")
    assert _sum(again) == pytest.approx(2 * once)
    assert again.summary.cost_usd == pytest.approx(_sum(again), abs=1e-6)


def test_samples_of_one_request_share_its_cost(tmp_path, sim):
    """Each of four samples costs a quarter."""
    ran = run(prompts(tmp_path, "one"), sim, model=IMAGEN, samples=4)
    assert len({row["cost_usd"] for row in ran.rows}) == 1
    assert ran.summary.cost_usd == pytest.approx(_sum(ran), abs=1e-6)


def test_the_cost_of_earlier_prompts_is_reported_separately(tmp_path, sim):
    """Current and earlier rows add up to the summary's cost; this run's part is reported, too."""
    first = run(prompts(tmp_path, "one", "two"), sim)
    second = run(prompts(tmp_path, "one", "three"), sim)
    report = json.loads((second.folder / "summary.json").read_text())
    assert report["earlier_cost_usd"] == pytest.approx(first.summary.cost_usd / 2, abs=1e-5)
    assert report["cost_usd"] == pytest.approx(_sum(second) + report["earlier_cost_usd"], abs=2e-6)
    assert report["run_cost_usd"] == pytest.approx(first.summary.cost_usd / 2, abs=1e-5)
    assert report["run_attempts"] == 1
    for text in (to_terminal(second.summary, color=False), to_markdown(second.summary)):
        assert "of the cost is for earlier prompts" in text
        assert "1 older image kept: earlier prompts or versions, or rows no longer in this file" in text
        assert "of it in this run" in text


def test_simulated_charges_are_not_counted(tmp_path):
    """When the same folder goes live, the simulator's figures count neither as cost nor against the limit."""
    source = prompts(tmp_path, "one", "two")
    with Simulator() as sim:
        run(source, sim)
    with Simulator() as live:
        env = {"GOOGLE_API_KEY": "k" * 39}
        ran = run(source, live, env=env, provider="gemini", max_images=2, max_cost=0.2)
    assert ran.statuses == ["ok", "ok"]
    assert ran.summary.cost_usd == pytest.approx(_sum(ran), abs=1e-6)
    assert ran.summary.earlier_usd == 0


def test_charges_that_an_earlier_version_recorded_without_a_provider_count(tmp_path):
    """A limit must not become higher because a folder is old."""
    storage = Folder(tmp_path)
    storage.put("images/a.png", b"")
    writer = LedgerWriter(storage, now=1.0)
    writer.record_sent(request(1), attempt=1, at=1.0)
    writer.record_result(request(1), (ok(),), trace(request(1).key))
    writer.record_sent(request(2), attempt=1, at=1.0, provider="simulator")
    writer.record_result(request(2), (ok(),), trace(request(2).key))
    writer.record_sent(request(3), attempt=1, at=1.0, provider="gemini")
    writer.close()
    history = read_history(storage.logs(LEDGER))
    assert history.cost_bounds("gemini").upper_bound == pytest.approx(0.08)
    assert history.cost_bounds("vertex").spent == pytest.approx(0.04)
    assert history.cost_bounds("simulator").upper_bound == pytest.approx(0.08)
    assert history.cost_bounds().upper_bound == pytest.approx(0.12)
    assert history.max_images_made("simulator") == 2
    assert history.charges("gemini").lost_attempts == 1


STEPS = st.lists(
    st.tuples(st.sampled_from(["vain", "ok", "failed", "filtered", "lost"]), st.integers(1, 4)), max_size=30
)


@settings(deadline=None)  # it flushes to disk
@given(STEPS)
def test_samples_always_sum_to_the_ledger(tmp_path_factory, steps):
    """Whatever happens in any order, each charge is counted at one sample, once."""
    storage = Folder(tmp_path_factory.mktemp("run"))
    storage.put("images/a.png", b"")
    writer, spent, attempts = LedgerWriter(storage, now=1.0), 0.0, dict.fromkeys(range(1, 5), 0)
    for at, (step, number) in enumerate(steps):
        one = request(number)
        attempts[number] += 1
        writer.record_sent(one, attempt=attempts[number], at=float(at), provider="gemini")
        if step in ("vain", "lost"):
            usd = 0.01 if step == "vain" else None
            facts = {"kind": "x", "status": 200, "charged": "no" if usd else "maybe", "usd": usd}
            writer.record_ended(one, attempt=attempts[number], at=float(at), facts=facts)
            spent += usd or 0.0
        else:
            usd = 0.04 if step == "ok" else 0.002
            sample = ok(cost_usd=usd) if step == "ok" else SampleResult(1, step, cost_usd=usd, cost_is="exact")
            writer.record_result(one, (sample,), trace(one.key, attempts=attempts[number]))
            spent += usd
    writer.close()
    history = read_history(storage.logs(LEDGER))
    assert history.cost_bounds().spent == pytest.approx(spent)
    assert sum(_charged(history, number) for number in attempts) == pytest.approx(spent)


def _charged(history: History, number: int) -> float:
    base = request(number).base
    charged, details = history.cost(base, 1), history.details(base, 1)
    if charged is not None:
        return charged
    return (details[0].cost_usd or 0.0) if details else 0.0


def test_every_attempt_whose_reply_was_lost_is_counted(tmp_path):
    """Five attempts of one request are five possible charges."""
    with Simulator(faults=[{"match": "*", "fault": "reset_midway", "times": 9}]) as sim:
        ran = run(prompts(tmp_path, "one"), sim, max_attempts=5)
    assert "5 attempts whose reply was lost may have been charged" in cost(ran.summary)
    assert to_json(ran.summary)["lost_attempts"] == 5


def test_deleted_images_are_not_counted_as_older_images(tmp_path, sim):
    """Only files in the folder are counted as older images."""
    first = run(prompts(tmp_path, "one", "two", "three"), sim)
    for row in first.rows[:2]:
        (first.folder / row["file"]).unlink()
    second = run(prompts(tmp_path, "three"), sim)
    assert second.summary.facts.older_images == 0
    assert "older" not in to_terminal(second.summary, color=False)


def test_status_reports_samples_in_flight_during_the_run(tmp_path, sim):
    """During the run such a sample is not unknown and has no next step; after a kill it is unknown."""
    source = prompts(tmp_path, "one", "two", "three")
    folder = tmp_path / "out"
    settings = make_settings(
        {"prompts": str(source), "out": str(folder), "provider": "simulator", "base_url": sim.url}
    )
    with open_run(make_plan(settings, today=TODAY), env={}) as opened:
        (shard,) = opened.shards()
        opened.context.ledger.record_sent(
            shard[0], attempt=1, at=opened.started.timestamp() + 1, provider="simulator"
        )
        status = run_status(folder)
        report = to_json(status)
        assert (report["state"], report["in_flight"], report["finished_at"]) == ("running", 1, None)
        assert report["samples"] | {"unknown": 0, "not_attempted": 3} == report["samples"]
        assert report["causes"] == []
        text = to_terminal(status, color=False)
        assert "in flight 1" in text
        assert "not_attempted 2" in text
        assert "run again" not in text
        assert "next" not in text
    after = run_status(folder)
    assert (after.counts["unknown"], after.in_flight, after.state) == (1, 0, "unfinished")
    assert to_json(after)["finished_at"] is None


def test_status_has_the_start_and_end_of_the_last_run(tmp_path, sim):
    """The times are not those of the status command."""
    ran = run(prompts(tmp_path, "one"), sim)
    report = to_json(run_status(ran.folder))
    written = json.loads((ran.folder / "summary.json").read_text())
    assert (report["started_at"], report["finished_at"]) == (written["started_at"], written["finished_at"])
    assert report["started_at"] < report["finished_at"]


def test_a_row_that_was_sent_without_a_result_has_its_number_of_attempts(tmp_path):
    """The first attempt failed with a temporary error, and the run was stopped before the next one."""
    with Simulator(faults=[{"match": "*", "fault": "overloaded_503", "times": 1}]) as sim:
        source = prompts(tmp_path, "one")
        settings = make_settings(
            {
                "prompts": str(source),
                "out": str(tmp_path / "out"),
                "provider": "simulator",
                "base_url": sim.url,
                "wait_initial": 30.0,
            }
        )
        with open_run(make_plan(settings, today=TODAY), env={}) as opened:
            sleep = opened.stop.sleep

            def stopped(seconds: float) -> None:
                opened.stop.interrupt(15)
                sleep(seconds)

            opened.stop.sleep = stopped  # type: ignore[method-assign]
            for shard in opened.shards():
                opened.generate_shard(shard)
            summary = opened.finish()
    ((cause, _),) = summary.causes
    assert cause.status == "not_attempted"
    assert "overloaded" in cause.message
    assert "the run ended before another attempt" in cause.message
    (row,) = pq.read_table(tmp_path / "out" / "manifest.parquet").to_pylist()
    assert (row["status"], row["attempts"]) == ("not_attempted", 1)


@pytest.mark.parametrize("count", [1, 2])
def test_nouns_agree_with_their_counts(count):
    """It is 1 image and 2 images."""
    builder = SummaryBuilder()
    for row in range(1, count + 1):
        builder.add(entry(row, status="unknown", cost_is="unknown"))
    moment = datetime(2026, 11, 23, tzinfo=UTC)
    summary = builder.build(RunFacts("out", moment, moment, older_images=count))
    text = to_terminal(summary, color=False)
    assert f"{count} older image{'s' if count > 1 else ''} kept" in text
    assert f"{count} image{'s' if count > 1 else ''} or lost attempt{'s' if count > 1 else ''}" in text


def _planned(source, folder, sim, **chosen):
    settings = make_settings(
        {"prompts": str(source), "out": str(folder), "provider": "simulator", "base_url": sim.url, **chosen}
    )
    plan = make_plan(settings, today=TODAY)
    return plan, count_pending(plan)


def test_a_plan_counts_made_refused_and_pending_samples(tmp_path, sim):
    """Refused rows are not counted as made, and are sent again only with --retry."""
    source = prompts(tmp_path, "one", "two [[sim:finish_IMAGE_SAFETY]]", "three [[sim:bad_request]]")
    ran = run(source, sim)
    plan, left = _planned(source, ran.folder, sim)
    assert (left.samples, left.made, left.held) == (0, 1, 2)
    text = plan_text(plan, left)
    assert "none; 1 made; 2 refused or failed are tried again only with --retry" in text
    assert nothing_to_send(left) == (
        "Nothing to send: 1 made; 2 refused or failed are tried again only with --retry."
    )
    plan, left = _planned(source, ran.folder, sim, retry="filtered")
    assert (left.samples, left.made, left.held) == (1, 1, 1)
    assert "1 to send, for 1 image; 1 made; 1 refused or failed is tried again" in plan_text(plan, left)


def test_a_plan_lists_the_names_of_pending_images(tmp_path, sim):
    """A template does not rename an image that was made."""
    source = prompts(tmp_path, "one", "two")
    ran = run(source, sim)
    plan, left = _planned(source, ran.folder, sim, name_template="{slug}")
    assert "keep their names" in plan_text(plan, left)
    assert "images/one" not in plan_text(plan, left)
    assert json.loads(plan_json(plan, left))["names"] == []
    more = prompts(tmp_path, "one", "two", "three")
    plan, left = _planned(more, ran.folder, sim, name_template="{slug}")
    assert json.loads(plan_json(plan, left))["names"] == ["images/three"]
    assert "images/three (the 2 that were made keep their names)" in plan_text(plan, left)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "1 second"), (20, "20 seconds"), (600, "10 minutes"), (89.6, "90 seconds"), (9000, "2.5 hours")],
)
def test_a_duration_is_printed_in_a_suitable_unit(seconds, words):
    """Twenty seconds are not printed as 0 minutes."""
    assert span(seconds) == words


def test_a_short_outage_is_reported_in_seconds():
    """Seconds are not rounded up to minutes."""
    now = [0.0]
    governor = Governor(per_minute=None, in_flight=8, outage_limit=70.0, stop=Stop(), clock=lambda: now[0])
    error = Transient("overloaded", kind="overloaded", http_status=503)
    for now[0] in (*range(11), 12, 16, 24, 40):  # the pauses that the governor keeps while nothing succeeds
        governor.record_failure(governor.acquire(), error)
    now[0] = 80.0
    permit = governor.acquire()
    with pytest.raises(StopRun, match="nothing has succeeded for 80 seconds; the last error was"):
        governor.record_failure(permit, error)
