"""Tests of what one ledger charged, by the hour, and of what that means for a limit."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from imagen_batch.schedules.period_limits import parse_period_limit
from imagen_batch.sending.period.hourly_charges import HOUR_S, charges_by_hour, sum_since
from imagen_batch.sending.period.reservation_files import Held
from imagen_batch.sending.period.usd_by_run import usd_by_run

KEY = "ab" * 32
BEGAN, SENT, ENDED = 10.0 * HOUR_S, 11.0 * HOUR_S, 12.0 * HOUR_S
LIMIT = parse_period_limit("1h=10")


def _sent(**changes: Any) -> dict[str, Any]:
    names = {"first": 1, "names": ["images/a"]}
    return {"t": "sent", "key": KEY, "base": KEY, **names, "attempt": 1, "at": SENT, "usd": 0.5, **changes}


def _back(**changes: Any) -> dict[str, Any]:
    return {"t": "back", "key": KEY, "attempt": 1, "charged": "yes", "usd": 0.25, "at": ENDED, **changes}


def _done(**changes: Any) -> dict[str, Any]:
    image = {"number": 1, "status": "ok", "file": "images/a.png", "sha256": "00" * 32, "cost_usd": 0.25}
    times = {"status": 200, "latency": None, "sent_at": None, "at": ENDED}
    return {"t": "done", "key": KEY, "base": KEY, "attempt": 1, **times, "samples": [image], **changes}


def _charges(folder: Path, *records: dict[str, Any], name: str = f"{BEGAN:.3f}-a.jsonl") -> dict[int, float]:
    """Return what a ledger of these records charged by the hour, for runs whose provider is not known."""
    (folder / name).write_text("".join(json.dumps(record) + "\n" for record in records))
    return charges_by_hour(folder).get("", {})


@pytest.mark.parametrize("end", [_back, _done])
def test_a_charge_counts_in_the_hour_of_its_end_else_of_its_start_else_of_its_ledger(
    tmp_path: Path, end: Any
) -> None:
    assert _charges(tmp_path, _sent(), end()) == {12: 0.25}
    no_time = {"at": None if end is _done else 0.0}
    assert _charges(tmp_path, _sent(), end(**no_time)) == {11: 0.25}
    assert _charges(tmp_path, end(**no_time)) == {10: 0.25}


def test_a_ledger_whose_name_has_no_time_counts_when_it_was_last_written(tmp_path: Path) -> None:
    _charges(tmp_path, _back(at=0.0), name="copy.jsonl")
    os.utime(tmp_path / "copy.jsonl", (7 * HOUR_S, 7 * HOUR_S))
    assert charges_by_hour(tmp_path) == {"": {7: 0.25}}


def test_a_possible_charge_counts_with_its_whole_price(tmp_path: Path) -> None:
    assert _charges(tmp_path, _sent()) == {11: 0.5}, "it has no end yet"
    assert _charges(tmp_path, _sent(), _back(charged="maybe", usd=None)) == {12: 0.5}
    assert _charges(tmp_path, _sent(), _back(charged="maybe")) == {12: 0.75}
    assert _charges(tmp_path, _sent(usd=None), _back(charged="maybe")) == {12: 0.25}, "the price is not known"
    assert _charges(tmp_path, _sent(), _back(charged="no", usd=None)) == {}


def test_a_result_counts_all_its_samples_and_what_may_have_been_charged_besides(tmp_path: Path) -> None:
    free = {"number": 2, "status": "filtered"}
    [image] = _done()["samples"]
    record = _done(samples=[image, free, {**image, "number": 3}], maybe_usd=1.0)
    assert _charges(tmp_path, _sent(usd=2.0), record) == {12: 1.5}


def test_an_end_belongs_to_the_attempt_with_its_number(tmp_path: Path) -> None:
    second = _sent(attempt=2, usd=4.0)
    assert _charges(tmp_path, _sent(), second, _back(usd=None, charged="no")) == {11: 4.0}


def test_a_period_begins_with_a_whole_hour_and_counts_charges_of_unknown_providers() -> None:
    hours = {"real": {9: 100.0, 10: 1.0, 11: 2.0}, "simulator": {11: 50.0}, "": {11: 4.0}}
    assert sum_since(hours, provider="gemini", moment=11.0 * HOUR_S - 1) == 7.0
    assert sum_since(hours, provider="vertex", moment=11.0 * HOUR_S) == 6.0
    assert sum_since(hours, provider="simulator", moment=0.0) == 54.0


def test_a_run_takes_what_it_charged_or_what_it_holds_whichever_is_more() -> None:
    runs = {"a": {"real": {10: 3.0}}, "b": {"real": {8: 3.0}}}
    running = [
        Held("a", "real", {"1h=10": 2.0}),
        Held("b", "real", {"1h=10": 1.0, "30d=9": 8.0}),
        Held("c", "real", {"30d=9": 5.0, "1d=9": 4.0}),
        Held("d", "simulator", {"1h=10": 9.0}),
        Held("e", "real", {}),
    ]
    counted = usd_by_run(LIMIT, runs, running, provider="gemini", now=11.0 * HOUR_S)
    assert counted == {"a": 3.0, "b": 1.0, "c": 5.0, "e": 0.0}
