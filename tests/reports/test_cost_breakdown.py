"""Tests that the summary divides images and cost among models and a column, links images, and has a disclosure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from imagen_batch.errors import SettingsInvalid
from imagen_batch.prompts.column_by_name import find_column
from imagen_batch.records import ManifestRow
from imagen_batch.reports.counters.cost_breakdown import OTHERS, Breakdown
from imagen_batch.reports.render import to_json, to_markdown, to_terminal
from imagen_batch.reports.summary import RunFacts, Summary, SummaryBuilder
from tests.support.entries import entry

STARTED = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def _sample(row: int, chapter: str, *, model: str = "a-model", new: bool = True, **more: object) -> ManifestRow:
    at = STARTED.timestamp() + (5 if new else -500)
    facts = {"cost_usd": 0.5, "cost_is": "exact", "c2pa": row % 2 == 0, **more}
    sample = entry(row, user={"chapter": chapter}, trace={"finished_at": at}, **facts)
    return replace(sample, model=model, provider="gemini")


def _summary(rows: list[ManifestRow], *, group_by: str | None = "chapter", run_usd: float | None = 1.0) -> Summary:
    builder = SummaryBuilder(group_by=group_by, since=STARTED.timestamp())
    for row in rows:
        builder.add(row)
    return builder.build(RunFacts("outputs/book", STARTED, STARTED, provider="gemini", run_usd=run_usd))


BOOK = [
    _sample(1, "River", new=False),
    _sample(2, "River"),
    _sample(3, "Wood", model="b-model"),
    replace(_sample(4, "Wood", status="filtered", cost_usd=0.25, reason="no"), model="b-model"),
]


def test_cost_by_model_and_by_column_is_in_the_json() -> None:
    """It has the folder's cost, and the part of samples that were finished in this run."""
    report = to_json(_summary(BOOK))
    names = list(report)
    assert names.index("by_model") > names.index("unwritten"), "new fields come after the old ones"
    assert report["by_model"] == [
        {"name": "a-model", "samples": 2, "ok": 2, "cost_usd": 1.0, "run_cost_usd": 0.5},
        {"name": "b-model", "samples": 2, "ok": 1, "cost_usd": 0.75, "run_cost_usd": 0.75},
    ]
    assert report["group_by"] == "chapter"
    assert [(group["name"], group["ok"], group["run_cost_usd"]) for group in report["groups"]] == [
        ("River", 2, 0.5),
        ("Wood", 1, 0.75),
    ]
    assert sum(group["cost_usd"] for group in report["groups"]) == report["cost_usd"]
    assert to_json(_summary(BOOK, group_by=None))["groups"] == []


def test_the_terminal_and_the_page_show_the_cost_without_tables() -> None:
    """There is one line for each model and value; a single model needs none."""
    text = to_terminal(_summary(BOOK), color=False)
    assert "    River   2 of 2 images, $1.00, $0.50 of it in this run\n" in text
    page = to_markdown(_summary(BOOK))
    assert (
        "## By chapter\n\n- River: 2 of 2 images, $1.00, $0.50 of it in this run\n- Wood: 1 of 2 images, $0.75"
        in page
    )
    assert not [line for line in page.splitlines() if line.startswith("|")]
    assert "## By model" not in to_markdown(_summary(BOOK[:2]))


def test_the_page_links_each_image_and_names_the_missing_ones() -> None:
    """A link in a plain editor is a path below the folder; names of the user's own are quoted."""
    odd = replace(_sample(5, "x"), row=replace(_sample(5, "x").row, id="[cover](javascript:alert(1))"))
    odd = replace(odd, sample=replace(odd.sample, file="images/a (b) <i>é#1.png"))
    page = to_markdown(_summary([*BOOK, odd]))
    assert "- row 2: [1](images/000002_01.png)\n" in page
    assert "- row 4: filtered\n" in page
    assert "(images/a%20%28b%29%20%3Ci%3E%C3%A9%231.png)" in page
    assert "[cover](" not in page


def test_rows_that_were_not_sent_are_not_listed() -> None:
    """The reason is given once for all of them; a row with some images names the others."""
    rows = [
        *(replace(_sample(1, "x", number=number), row=_sample(1, "x").row) for number in (1, 2)),
        _sample(2, "x", status="not_attempted"),
        *(_sample(3, "x", number=number, status="filtered") for number in (1, 2)),
        _sample(4, "x", number=1),
        _sample(4, "x", number=2, status="unknown"),
    ]
    page = to_markdown(_summary(rows)).partition("## Images\n\n")[2]
    assert page.startswith(
        "- row 1: [1](images/000001_01.png), [2](images/000001_02.png)\n"
        "- row 3: all 2 filtered\n"
        "- row 4: [1](images/000004_01.png), 2 unknown\n\n"
    )


def test_the_list_of_images_is_bounded() -> None:
    """An editor can open the page of a run with a million rows."""
    builder = SummaryBuilder()
    for row in range(1, 5_001):
        builder.add(_sample(row, str(row)))
    page = to_markdown(builder.build(RunFacts("outputs/book", STARTED, STARTED)))
    assert "- and 4,900 more rows: see manifest.csv" in page
    assert len(page) < 20_000


def test_the_values_of_a_column_are_bounded() -> None:
    """Grouping by a column of ids does not fill the memory."""
    breakdown = Breakdown(group_by="chapter")
    for row in range(1, 2_001):
        breakdown.add(_sample(row, str(row)))
    assert len(breakdown.groups) == 501
    assert breakdown.groups[-1].name == OTHERS
    assert sum(group.samples for group in breakdown.groups) == 2_000


def test_the_disclosure_has_the_facts_that_publishers_require() -> None:
    """It has the number of images, the models, whether they were edited, and how many have provenance data."""
    report = to_json(_summary(BOOK))["disclosure"]
    assert report["text"] == (
        "3 images generated by AI, with a-model (2), b-model (1). Edited: no, each file is stored as received. "
        "C2PA provenance data is present in 1 of 3."
    )
    assert (report["images"], report["models"], report["edited"], report["c2pa"]) == (
        3,
        {"a-model": 2, "b-model": 1},
        0,
        1,
    )
    assert "## Disclosure\n\n3 images generated by AI" in to_markdown(_summary(BOOK))


def test_images_that_were_edited_later_are_counted_in_the_disclosure() -> None:
    """A file that the user retouched in place is kept, and a publisher must not be misled about it."""
    retouched = _sample(5, "x", error_kind="edited", error="the file was edited after it was received")
    report = to_json(_summary([*BOOK, retouched]))["disclosure"]
    assert report["edited"] == 1
    assert "Edited: 1 of 4, after they were received. C2PA" in report["text"]


def test_images_of_the_simulator_are_not_called_generated() -> None:
    """Images of a rehearsal are not for publication."""
    text = to_json(_summary([replace(BOOK[0], provider="simulator")]))["disclosure"]["text"]
    assert "not for publication" in text
    assert "generated by AI" not in text
    assert to_json(_summary([BOOK[3]]))["disclosure"]["text"] == ""


def test_a_column_is_found_in_any_case_and_a_typo_gets_a_suggestion() -> None:
    """The message also lists the columns."""
    assert find_column("Chapter ", ["prompt", "chapter"], option="--group-by") == "chapter"
    with pytest.raises(
        SettingsInvalid, match=r"--group-by chaper: .* columns: prompt, chapter; did you mean chapter\?"
    ):
        find_column("chaper", ["prompt", "chapter"], option="--group-by")
    with pytest.raises(SettingsInvalid, match="one prompt a line"):
        find_column("chapter", [], option="--group-by")
