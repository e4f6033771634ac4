"""Tests of the money that a run is granted of its periods, and of the reservations that hold it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagen_batch.errors import SettingsInvalid
from imagen_batch.records import CENT_FRACTION
from imagen_batch.schedules.period_limits import parse_period_limit
from imagen_batch.sending.period.grant import PeriodGrant
from imagen_batch.sending.period.reservation_files import Held, ReservationFile, read_held
from imagen_batch.sending.period.spending_below_root import BUDGET_FOLDER, Spending
from imagen_batch.storage import LEDGER

NOW = 1_800_000_000.0


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture(name="clock")
def _clock() -> Clock:
    return Clock()


@pytest.fixture(name="grant")
def _grant(tmp_path: Path, clock: Clock) -> Iterator[PeriodGrant]:
    """Return the grant of a run with two limits; the second one leaves less unless older charges count."""
    (tmp_path / BUDGET_FOLDER).mkdir()
    limits = [parse_period_limit(text) for text in ("30d=20", "1d=10")]
    grant = PeriodGrant(tmp_path, "own", limits, provider="gemini", clock=clock)
    yield grant
    grant.release()


def test_nothing_more_is_taken_for_what_is_granted_already(grant: PeriodGrant) -> None:
    grant.reserve(5.0)
    for needed in (4.0, 5.0, 5.0 + CENT_FRACTION):
        assert grant.extend(needed)
        assert grant.granted == 5.0


def test_a_twentieth_of_the_first_grant_is_taken_beyond_what_is_needed(grant: PeriodGrant) -> None:
    grant.reserve(4.0)
    assert grant.extend(6.0)
    assert grant.granted == pytest.approx(6.2)


def test_the_limit_that_leaves_least_counts(grant: PeriodGrant) -> None:
    grant.reserve(10.0)
    assert (grant.granted, grant.reached) == (10.0, None)
    assert not grant.extend(11.0)
    assert grant.granted == 10.0
    assert grant.reached is not None
    assert grant.reached.text == "1d=10"
    assert grant.describe(10.0).startswith("$10.00 of --max-cost-per 1d=10 ")


def test_all_that_a_period_leaves_is_enough_for_a_run_that_needs_exactly_that(grant: PeriodGrant) -> None:
    grant.reserve(5.0)
    assert grant.extend(10.0)
    assert grant.extend(10.0 + CENT_FRACTION)
    assert grant.granted == 10.0


def test_the_first_request_for_money_takes_nothing_beyond_it(grant: PeriodGrant) -> None:
    assert grant.describe(1.0).startswith("$1.00 of --max-cost-per 30d=20 ")
    assert grant.extend(1.0)
    assert grant.granted == 1.0


def test_what_was_charged_decides_which_limit_is_reached(grant: PeriodGrant, tmp_path: Path) -> None:
    ledger = tmp_path / "other" / LEDGER
    ledger.mkdir(parents=True)
    at = NOW - 2 * 86_400
    record = {"t": "back", "key": "a", "attempt": 1, "charged": "yes", "usd": 15.0, "at": at}
    (ledger / f"{at:.3f}-a.jsonl").write_text(json.dumps(record) + "\n")
    grant.reserve(6.0)
    assert grant.granted == pytest.approx(5.0)
    assert grant.describe(5.0).startswith("$20.00 of --max-cost-per 30d=20 ")


def test_money_that_others_return_is_found_five_seconds_after_a_refusal(
    grant: PeriodGrant, clock: Clock, tmp_path: Path
) -> None:
    other = PeriodGrant(tmp_path, "other", [parse_period_limit("1d=10")], provider="gemini", clock=clock)
    other.reserve(9.0)
    grant.reserve(1.0)
    assert not grant.extend(2.0)
    other.release()
    clock.now = NOW + 4.9
    assert not grant.extend(2.0)
    clock.now = NOW + 5.0
    assert grant.extend(2.0)


def test_a_reservation_is_read_by_others_until_it_is_released(tmp_path: Path) -> None:
    reservation, held = ReservationFile(tmp_path), Held("a", "real", {"1d=10": 1.0})
    reservation.write(Held("a much longer folder", "real", {"30d=1000": 1000.0}))
    reservation.write(held)
    assert read_held(tmp_path, own="") == [held]
    assert read_held(tmp_path, own=reservation.name) == []
    reservation.release()
    assert read_held(tmp_path, own="") == []


def test_a_plan_leaves_reservations_that_are_free_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "run-gone.json").write_text("{}")
    assert read_held(tmp_path, own="", remove_free=False) == []
    assert (tmp_path / "run-gone.json").exists()
    assert read_held(tmp_path, own="") == []
    assert not (tmp_path / "run-gone.json").exists()


def test_a_reservation_that_another_program_has_changed_stops_the_run(tmp_path: Path) -> None:
    reservation = ReservationFile(tmp_path)
    (tmp_path / reservation.name).write_text("{")
    with pytest.raises(SettingsInvalid, match=f"{reservation.name} is damaged"):
        read_held(tmp_path, own="")
    reservation.release()


@pytest.mark.parametrize("content", ["{", "[]", '{"version":2,"runs":{"gone":{"files":[],"hours":{}}}}'])
def test_a_cache_of_another_form_is_not_used(tmp_path: Path, content: str) -> None:
    (tmp_path / BUDGET_FOLDER).mkdir()
    cache = tmp_path / BUDGET_FOLDER / "spending.json"
    cache.write_text(content)
    assert Spending(tmp_path, keep=False).by_run() == {}
    assert cache.read_text() == content
