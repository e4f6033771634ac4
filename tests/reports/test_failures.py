"""Tests that failures.csv has the original cells, one line for each row with missing images, and no lost text."""

from __future__ import annotations

import csv
import io
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.records import ManifestRow
from imagen_batch.reports.tables.failures import Failures, make_mark
from imagen_batch.text import no_formula
from tests.support.entries import entry


def lines_of(entries: list[ManifestRow], *, headers: list[str]) -> list[list[str]]:
    """Return the lines of a failures.csv, with the header, as the standard library reads them."""
    text = io.StringIO(newline="")
    failures = Failures(text, headers=headers)
    failures.write(entries)
    failures.close()
    return list(csv.reader(io.StringIO(text.getvalue(), newline=""), strict=True))


def test_the_original_cells_come_before_the_outcome_of_the_row() -> None:
    """Headers and cells are those of the input, even where its names differ from ours."""
    cells = {"Aspect": "16x9", "Image Prompt": " a fox ", "Nr": "007"}
    failed = entry(cells=cells, status="failed", error="busy", trace={"http_status": 503, "attempts": 5})
    assert lines_of([failed], headers=list(cells)) == [
        [
            "Aspect",
            "Image Prompt",
            "Nr",
            "status",
            "reason",
            "http_status",
            "attempts",
            "imagen_batch_row",
            "imagen_batch_advice",
        ],
        ["16x9", " a fox ", "007", "failed", "busy", "503", "5", make_mark(failed.row), ""],
    ]


def test_each_row_with_a_missing_image_is_listed_once() -> None:
    """A row with three of four images is listed; one with all four is not."""
    entries = [
        entry(1),
        *(entry(2, number=number, status="filtered" if number == 3 else "ok") for number in range(1, 5)),
        entry(3),
        entry(4, status="not_attempted", prompt="last"),
    ]
    assert [line[0] for line in lines_of(entries, headers=["prompt"])] == ["prompt", "a red fox", "last"]


def test_the_file_has_only_a_header_when_nothing_failed() -> None:
    """A list of an earlier run must not remain."""
    (header,) = lines_of([entry()], headers=["prompt"])
    assert header == [
        "prompt",
        "status",
        "reason",
        "http_status",
        "attempts",
        "imagen_batch_row",
        "imagen_batch_advice",
    ]


def test_the_most_important_sample_gives_the_reason_of_its_row() -> None:
    """The order of the samples does not matter."""
    samples = [
        entry(number=1, status="not_attempted"),
        entry(number=2, status="filtered", reason="Violence"),
        entry(number=3, status="unknown"),
    ]
    for order in permutations(samples):
        assert lines_of(list(order), headers=["prompt"])[1][1:3] == ["filtered", "Violence"]


def test_a_user_s_column_with_a_name_of_ours_is_renamed() -> None:
    """No column name occurs twice. (The reader drops the columns of an earlier failures.csv.)"""
    cells = {"prompt": "a fox", "status": "failed", "Http Status": "503", "note": "x"}
    header, line = lines_of([entry(cells=cells, status="filtered", reason="no")], headers=list(cells))
    assert header == [
        "prompt",
        "input_status",
        "input_Http Status",
        "note",
        "status",
        "reason",
        "http_status",
        "attempts",
        "imagen_batch_row",
        "imagen_batch_advice",
    ]
    assert line[:-2] == ["a fox", "failed", "503", "x", "filtered", "no", "200", "1"]


def test_a_text_file_s_only_column_is_the_prompt() -> None:
    """Rows of a text file have no cells."""
    assert lines_of([entry(cells={}, status="failed")], headers=["prompt"])[1][0] == "a red fox"


@given(st.lists(st.tuples(st.text(), st.text(), st.text()), max_size=5))
def test_any_text_is_read_back(rows: list[tuple[str, str, str]]) -> None:
    """Prompts and notes are unchanged; so is the service's text, except that formulas are disarmed."""
    entries = [
        entry(number, status="filtered", cells={"p": prompt, "n": note}, reason=reason)
        for number, (prompt, note, reason) in enumerate(rows, 1)
    ]
    lines = lines_of(entries, headers=["p", "n"])[1:]
    assert [(line[0], line[1], line[3]) for line in lines] == [
        (prompt, note, no_formula(reason)) for prompt, note, reason in rows
    ]
