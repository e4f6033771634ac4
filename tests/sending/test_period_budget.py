"""Tests of the money that all runs below a root may spend in a rolling period."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest

from imagen_batch.errors import SettingsInvalid
from imagen_batch.schedules.period_limits import parse_period_limit
from imagen_batch.sending.period.grant import PeriodGrant, period_grant
from imagen_batch.sending.period.hourly_charges import charges_by_hour, sum_since
from imagen_batch.sending.period.spending_below_root import Spending, run_folders
from imagen_batch.settings import Settings, load_settings
from imagen_batch.simulator import Simulator
from imagen_batch.storage import LEDGER
from tests.support.runs import prompts, run

DAY = 86_400.0
NOW = 1_800_000_000.0


def _charge(folder: Path, usd: float, at: float, *, provider: str = "gemini", answered: bool = True) -> None:
    """Add an attempt to the ledger of a run."""
    ledger = folder / LEDGER
    ledger.mkdir(parents=True, exist_ok=True)
    number = len(list(ledger.iterdir())) + 1
    key = f"{number:064x}"
    records: list[dict[str, object]] = [
        {
            "t": "sent",
            "key": key,
            "base": key,
            "first": 1,
            "names": ["a"],
            "attempt": 1,
            "at": at,
            "usd": usd,
            "provider": provider,
        }
    ]
    if answered:
        records.append({"t": "back", "key": key, "attempt": 1, "charged": "yes", "usd": usd, "at": at})
    text = "".join(json.dumps(record) + "\n" for record in records)
    (ledger / f"{at:.3f}-{number}.jsonl").write_text(text)


def _settings(root: Path, name: str, **given: object) -> Settings:
    return load_settings(
        {"prompts": "p.csv", "out": str(root / name), "max_cost_per": ["30d=10"], **given}, env={}, cwd=root
    )


def _grant(root: Path, name: str, limit: str = "30d=10") -> PeriodGrant:
    (root / ".imagen-batch-budget").mkdir(parents=True, exist_ok=True)
    return PeriodGrant(root, name, [parse_period_limit(limit)], provider="gemini", clock=lambda: NOW)


def test_limits_are_read_as_they_are_written() -> None:
    limit = parse_period_limit("30d=200")
    assert (limit.seconds, limit.usd) == (30 * DAY, 200.0)
    for wrong in ("30d", "=5", "30d=", "30d=-1", "30d=nan", "30d=inf", "30m=5", "200"):
        with pytest.raises(ValueError, match=r"expected|at least"):
            parse_period_limit(wrong)


def test_charges_leave_the_period_and_open_attempts_count(tmp_path: Path) -> None:
    for days, usd in ((31.1, 100.0), (29, 1.0), (1, 2.0)):
        _charge(tmp_path / "a", usd, NOW - days * DAY)
    _charge(tmp_path / "a", 4.0, NOW - DAY, answered=False)
    _charge(tmp_path / "a", 50.0, NOW - DAY, provider="simulator")
    hours = charges_by_hour(tmp_path / "a" / LEDGER)
    assert sum_since(hours, provider="gemini", moment=NOW - 30 * DAY) == 7.0
    assert sum_since(hours, provider="simulator", moment=NOW - 30 * DAY) == 50.0


def test_all_runs_below_the_root_count_also_nested_and_linked_ones(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for folder in (root / "a", root / "a" / "2026-10-01", elsewhere / "b"):
        _charge(folder, 1.0, NOW)
    (root / "b").symlink_to(elsewhere / "b")
    (root / "loop").symlink_to(root)
    assert sorted(Spending(root).by_run()) == ["a", "a/2026-10-01", "b"]


def test_an_unchanged_ledger_is_not_read_again(tmp_path: Path) -> None:
    _charge(tmp_path / "a", 1.0, NOW)
    (tmp_path / ".imagen-batch-budget").mkdir()
    Spending(tmp_path).by_run()
    [file] = (tmp_path / "a" / LEDGER).iterdir()
    file.write_bytes(b"x" * (file.stat().st_size - 1) + b"\n")  # it would be refused
    assert Spending(tmp_path).by_run()["a"]["real"]
    _charge(tmp_path / "a", 2.0, NOW)
    with pytest.raises(SettingsInvalid, match="audit"):
        Spending(tmp_path).by_run()


def test_a_thousand_runs_are_added_up_in_a_moment(tmp_path: Path) -> None:
    for number in range(1000):
        _charge(tmp_path / f"{number:04}", 0.01, NOW)
    (tmp_path / ".imagen-batch-budget").mkdir()
    Spending(tmp_path).by_run()
    began = time.process_time()
    assert len(Spending(tmp_path).by_run()) == 1000
    assert time.process_time() - began < 1.0


def test_a_run_gets_what_the_period_leaves(tmp_path: Path) -> None:
    _charge(tmp_path / "other", 7.0, NOW - DAY)
    _charge(tmp_path / "own", 1.0, NOW - DAY)
    grant = _grant(tmp_path, "own")
    grant.reserve(5.0)
    assert grant.granted == pytest.approx(2.0)
    assert not grant.extend(2.5)
    assert "$10.00 of --max-cost-per 30d=10" in grant.describe(2.0)
    grant.release()


def test_runs_at_the_same_time_never_get_more_than_the_limit(tmp_path: Path) -> None:
    grants = [_grant(tmp_path, f"run{number}") for number in range(8)]
    threads = [threading.Thread(target=grant.reserve, args=(1.5,)) for grant in grants]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(grant.granted for grant in grants) == pytest.approx(10.0)
    for grant in grants:
        grant.release()


def test_what_a_running_run_has_charged_is_not_counted_twice(tmp_path: Path) -> None:
    first = _grant(tmp_path, "first")
    first.reserve(4.0)
    _charge(tmp_path / "first", 3.0, NOW)
    second = _grant(tmp_path, "second")
    second.reserve(10.0)
    assert second.granted == pytest.approx(6.0)
    first.release()
    assert second.extend(7.0), "the dollar that the first run did not spend"
    second.release()


def test_the_reservation_of_a_killed_run_is_given_up(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        _grant(tmp_path, "killed").reserve(10.0)
        os._exit(0)
    os.waitpid(pid, 0)
    assert list((tmp_path / ".imagen-batch-budget").glob("run-*.json"))
    grant = _grant(tmp_path, "next")
    grant.reserve(10.0)
    assert grant.granted == pytest.approx(10.0)
    grant.release()
    assert not list((tmp_path / ".imagen-batch-budget").glob("run-*.json"))


def test_a_ledger_that_cannot_be_read_stops_the_run_before_it_sends(tmp_path: Path) -> None:
    _charge(tmp_path / "damaged", 1.0, NOW)
    [file] = (tmp_path / "damaged" / LEDGER).iterdir()
    file.write_text("nonsense\n")
    with (
        pytest.raises(SettingsInvalid, match=r"audit .*damaged --repair"),
        period_grant(_settings(tmp_path, "own"), wanted=lambda: 1.0),
    ):
        pass


def test_the_root_is_what_all_runs_of_a_template_are_in(tmp_path: Path) -> None:
    assert _settings(tmp_path, "{name}/{date}", date="2026-10-01").budget_root == str(tmp_path)
    assert _settings(tmp_path, "own").budget_root == str(tmp_path)
    elsewhere = _settings(tmp_path, "own", budget_root=str(tmp_path / "elsewhere"))
    with (
        pytest.raises(SettingsInvalid, match="common folder with --budget-root"),
        period_grant(elsewhere, wanted=lambda: 1.0),
    ):
        pass


def test_a_bucket_has_no_period(tmp_path: Path) -> None:
    settings = load_settings(
        {"prompts": "p.csv", "out": "s3://bucket/run", "max_cost_per": "30d=10"}, env={}, cwd=tmp_path
    )
    with pytest.raises(SettingsInvalid, match="bucket"), period_grant(settings, wanted=lambda: 1.0):
        pass


def test_images_are_not_searched_for_runs(tmp_path: Path) -> None:
    _charge(tmp_path / "a", 1.0, NOW)
    _charge(tmp_path / "a" / "images" / "b", 1.0, NOW)
    assert [folder.name for folder in run_folders(tmp_path)] == ["a"]


def test_runs_of_several_nights_stop_at_the_limit_of_the_period_together(tmp_path: Path) -> None:
    limits = {"max_cost_per": ("30d=0.10",), "budget_root": str(tmp_path), "price": 0.04}
    source = prompts(tmp_path, "one", "two")
    with Simulator() as sim:
        first = run(source, sim, out=str(tmp_path / "night 1"), **limits)
        second = run(source, sim, out=str(tmp_path / "night 2"), **limits)
        assert (first.summary.exit_code, second.summary.exit_code) == (0, 6)
        assert len(sim.requests) == 2
    assert second.summary.counts["skipped_budget"] == 2
    assert "$0.08 of --max-cost-per 30d=0.10" in (second.summary.stopped_by or "")
    assert "older than the period" in second.summary.next_steps[0].text
