"""A month of nightly runs on the simulator, without Prefect: time is a parameter."""

from __future__ import annotations

import datetime as dt
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from imagen_batch.inputs.reconcile_with_folder import prepare_plan
from imagen_batch.orchestration.deployments.catch_up import make_up
from imagen_batch.orchestration.deployments.date_and_due_check import Skip, Slot, check_due, with_date
from imagen_batch.orchestration.deployments.made_dates import settings_of_date, state_of
from imagen_batch.orchestration.execution import Execution
from imagen_batch.planning.pending import count_pending
from imagen_batch.reports.summary import Summary
from imagen_batch.runs.run import open_run
from imagen_batch.schedules.scheduled_and_missed_moments import dates_between, slots_after
from imagen_batch.sending.period.spending_below_root import Spending
from imagen_batch.settings import Settings, load_settings
from imagen_batch.simulator import Simulator
from tests.support.runs import prompts

CRON, ZONE = "15 2 * * *", "Europe/Paris"
MONTH = dates_between(dt.date(2026, 10, 1), dt.date(2026, 10, 31))
OUTAGE, SLEPT = dt.date(2026, 10, 7), {dt.date(2026, 10, 12), dt.date(2026, 10, 13)}


def _make(settings: Settings) -> Summary:
    plan = prepare_plan(settings, today=dt.date(2026, 11, 23))
    with open_run(plan, env=os.environ) as run:
        return Execution(run, count_pending(plan, run.history)).complete(notify=lambda _text: None)


class _Job:
    """A deployment with its clock, as the flow treats it."""

    def __init__(self, folder: Path, url: str, **settings: object) -> None:
        self.messages: list[str] = []
        self.template = str(folder / "outputs/{name}/{date}")
        self._given = {
            "prompts": str(prompts(folder, "one", "two")),
            "out": self.template,
            "name": "nightly",
            "provider": "simulator",
            "base_url": url,
            "timezone": ZONE,
            "wait_initial": 0.0,
            "price": 0.04,
            "gallery": False,
            **settings,
        }

    def night(self, scheduled: dt.datetime, *, now: dt.datetime | None = None, **changes: object) -> Summary | None:
        """The run of a slot; None where it is skipped."""
        slot = Slot("id", scheduled, cron=CRON, timezone=ZONE, automatic=True)
        given = Settings.model_validate({**self._given, **changes})
        complete = load_settings(with_date(given, slot).model_dump(exclude_unset=True), env={})
        try:
            check_due(complete, slot, now=now or scheduled)
        except Skip as reason:
            self.messages.append(str(reason))
            return None
        make_up(complete, slot, template=self.template, make=_make, log=self.messages.append)
        return _make(complete)

    def state(self, date: dt.date) -> str:
        given = Settings.model_validate(self._given)
        return state_of(settings_of_date(given, date, env={}).folder)


def _slots() -> list[dt.datetime]:
    first = dt.datetime(2026, 9, 30, 12, tzinfo=dt.UTC)
    return [slot for slot, _ in zip(slots_after(first, cron=CRON, timezone=ZONE), MONTH, strict=False)]


def test_a_month_with_an_outage_and_a_machine_that_slept_makes_everything_once(tmp_path: Path) -> None:
    with Simulator() as sim:
        job = _Job(tmp_path, sim.url, catch_up="each", max_cost_per=("30d=10",))
        for slot in _slots():
            if slot.date() == OUTAGE:
                down = job.night(slot, base_url="http://127.0.0.1:9", outage_limit=0.1, max_attempts=1)
                assert down is not None
                assert down.counts["ok"] == 0
            elif slot.date() not in SLEPT:
                job.night(slot)
                job.night(slot)  # cron fired twice
        made = Counter(image.prompt for image in sim.images)
        assert made == {"one": 30, "two": 30}, "30 nights, nothing twice"
        states = {date: job.state(date) for date in MONTH}
        assert [date for date, state in states.items() if state != "ok"] == [OUTAGE]
        assert any("2026-10-12, 2026-10-13" in message for message in job.messages)
        again = Settings.model_validate(job._given)
        _make(settings_of_date(again, OUTAGE, env={}).model_copy(update={"retry": ("failed",)}))
        assert job.state(OUTAGE) == "ok"


def test_the_budget_of_the_month_holds_and_the_nights_without_money_say_so(tmp_path: Path) -> None:
    with Simulator() as sim:
        job = _Job(tmp_path, sim.url, max_cost_per=("30d=0.50",))
        codes = [summary.exit_code for slot in _slots()[:9] if (summary := job.night(slot)) is not None]
        assert codes == [0] * 6 + [6] * 3
        root = tmp_path / "outputs"
        charged = sum(
            usd for hours in Spending(root).by_run().values() for usd in hours.get("simulator", {}).values()
        )
        assert charged <= 0.50


@pytest.mark.parametrize(("policy", "made"), [("skip", False), ("last", True), ("each", True)])
def test_the_latest_of_the_missed_runs_follows_the_policy(tmp_path: Path, policy: str, made: bool) -> None:
    with Simulator() as sim:
        job = _Job(tmp_path, sim.url, catch_up=policy)
        slot = _slots()[0]
        assert (job.night(slot, now=slot + dt.timedelta(hours=8)) is not None) == made
        older = job.night(slot, now=slot + dt.timedelta(days=2))
        assert (older is not None) == (policy == "each")


def test_dates_that_nothing_was_made_for_are_named_with_the_command(tmp_path: Path) -> None:
    with Simulator() as sim:
        job = _Job(tmp_path, sim.url)
        slots = _slots()
        job.night(slots[0])
        job.night(slots[3])
        [message] = job.messages
        assert "2026-10-02, 2026-10-03" in message
        assert "imagen-batch backfill nightly --from 2026-10-02 --to 2026-10-03" in message


def test_the_date_is_that_of_the_slot_in_the_zone_of_the_schedule(tmp_path: Path) -> None:
    """02:15 in Auckland is still the day before in UTC; a late start changes nothing."""
    settings = Settings(prompts="p.csv", out="o/{date}", timezone="Pacific/Auckland")
    slot = Slot("id", dt.datetime(2026, 10, 1, 13, 15, tzinfo=dt.UTC))
    assert with_date(settings, slot).date == dt.date(2026, 10, 2)


def test_a_signal_while_missed_dates_are_made_ends_the_run(tmp_path: Path) -> None:
    """The run's own date is not begun after it."""
    with Simulator() as sim:
        job = _Job(tmp_path, sim.url, catch_up="each")
        slots = _slots()
        job.night(slots[0])
        slot = Slot("id", slots[3], cron=CRON, timezone=ZONE, automatic=True)
        complete = load_settings(
            with_date(Settings.model_validate(job._given), slot).model_dump(exclude_unset=True), env={}
        )
        begun: list[Settings] = []

        def interrupted(settings: Settings) -> Summary:
            begun.append(settings)
            summary = _make(settings)
            return replace(summary, state="interrupted", exit_code=143)

        ended = make_up(complete, slot, template=job.template, make=interrupted, log=job.messages.append)
        assert ended is not None
        assert [settings.date for settings in begun] == [dt.date(2026, 10, 2)]
