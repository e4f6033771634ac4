"""Tests of the output folder with a name and a date."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from imagen_batch.errors import SettingsInvalid
from imagen_batch.schedules.out_template import check_name, expand, fixed_part
from imagen_batch.settings import Settings, load_settings


def _load(**given: object) -> Settings:
    return load_settings({"prompts": "book.csv", **given}, env={}, cwd=Path("/nonexistent"))


def test_name_and_date_are_filled_in() -> None:
    settings = _load(out="outputs/{name}/{date}", date="2026-10-01")
    assert settings.folder == "outputs/book/2026-10-01"
    assert (
        _load(out="outputs/{name}/{date}", date="2026-10-01", name="nightly").folder == "outputs/nightly/2026-10-01"
    )


def test_without_out_a_date_has_a_folder_below_the_usual_one() -> None:
    assert _load(date="2026-10-01").folder == "outputs/book/2026-10-01"
    assert _load(date="2026-10-01", provider="simulator").folder == "outputs/book-rehearsal/2026-10-01"


def test_a_template_without_a_date_asks_for_one_and_reads_no_clock() -> None:
    with pytest.raises(SettingsInvalid, match="--date 2026-10-01"):
        _load(out="outputs/{name}/{date}")


def test_a_wrong_field_is_refused_with_the_right_one() -> None:
    for wrong in ("out/{dat}", "out/{}", "out/{", "out/}", "out/{name!r}", "out/{date:%Y}"):
        with pytest.raises(SettingsInvalid, match="is not a field"):
            _load(out=wrong, date="2026-10-01")
    with pytest.raises(SettingsInvalid, match="did you mean date"):
        _load(out="out/{dat}")


def test_a_date_that_changes_nothing_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="no effect"):
        _load(out="outputs/book", date="2026-10-01")


def test_only_real_dates_are_taken() -> None:
    for wrong in ("2026-13-01", "2026-02-30", "01.10.2026", "20261001", "today", "1790000000"):
        with pytest.raises(SettingsInvalid, match="date"):
            _load(out="outputs/{date}", date=wrong)


def test_a_name_is_one_folder() -> None:
    assert check_name("nightly 2") == "nightly 2"
    for wrong in ("", "a/b", "..", "a\\b", " a", "{date}", "a\0", "x" * 201):
        with pytest.raises(ValueError, match="expected a name"):
            check_name(wrong)


def test_doubled_braces_are_braces() -> None:
    assert expand("out/{{x}}/{date}", name="a", date=date(2026, 1, 2)) == "out/{x}/2026-01-02"


def test_the_fixed_part_holds_all_runs_of_a_template() -> None:
    assert fixed_part("outputs/{name}/{date}") == "outputs"
    assert fixed_part("outputs/run-{date}") == "outputs"
    assert fixed_part("{name}") == "."
    assert fixed_part("s3://bucket/a/{date}") == "s3://bucket/a"
    assert fixed_part("outputs/book") == "outputs/book"
