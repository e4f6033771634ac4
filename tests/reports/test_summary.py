"""Tests that the summary counts every sample, exits with a true code, and ends each cause in a command."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.errors import Fatal
from imagen_batch.ledger.costs import Cost
from imagen_batch.records import OUTCOMES, ManifestRow, Outcome
from imagen_batch.reports.causes import FailureGroups
from imagen_batch.reports.next_steps import Continuation, LimitRaise
from imagen_batch.reports.render import cost, to_json, to_json_text, to_markdown, to_terminal
from imagen_batch.reports.summary import RunFacts, StopReason, Summary, SummaryBuilder, exit_code
from imagen_batch.runs.stop_reasons import stop_reason
from imagen_batch.sending.stop import Stop
from tests.support.entries import entry

RUN = "imagen-batch resume /b/prompts"
CONTINUATION = Continuation("/b/prompts", prompts="/a/prompts.csv", whole=LimitRaise(("--max-cost", "0.13"), 2, 0.07))
EDITED = f"{RUN} --prompts /a/prompts.csv"
MOMENT = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
NO_KEY = StopReason("stopped", 2, "API key not valid", "auth")


def summary_of(
    entries: list[ManifestRow],
    *,
    run: Continuation = CONTINUATION,
    stopped: StopReason | None = None,
    money: Cost | None = None,
) -> Summary:
    """Return the summary of `entries`."""
    builder = SummaryBuilder()
    for row in entries:
        builder.add(row)
    facts = RunFacts("outputs/prompts", MOMENT, MOMENT, stop_reason=stopped, refused_429=7, money=money, run=run)
    return builder.build(facts)


def next_of(row: ManifestRow, *, run: Continuation = CONTINUATION, stopped: StopReason | None = None) -> str:
    """Return the next step for a single row."""
    ((_, step),) = summary_of([row], run=run, stopped=stopped).causes
    return str(step)


def test_the_json_follows_the_contract() -> None:
    """Names, order and values are fixed; new fields are added only at the end."""
    report = to_json(summary_of([entry(1, cost_usd=0.04, cost_is="exact"), entry(2, status="failed", error="x")]))
    assert list(report)[:12] == [
        *("schema_version", "state", "out", "samples", "attempts", "refused_429"),
        *("cost_usd", "cost_low_usd", "cost_high_usd", "started_at", "finished_at", "causes"),
    ]
    assert report["samples"] == {"asked": 2, **dict.fromkeys(OUTCOMES, 0), "ok": 1, "failed": 1}
    assert (report["schema_version"], report["state"], report["attempts"], report["refused_429"]) == (
        1,
        "finished",
        2,
        7,
    )
    assert report["started_at"] == "2026-11-23T10:00:00.000Z"
    (cause,) = report["causes"]
    assert list(cause)[:6] == ["status", "error_kind", "count", "rows", "message", "next"]
    assert (cause["rows"], cause["message"]) == ([2], "x")


@pytest.mark.parametrize(
    ("counts", "ended", "code"),
    [
        ({"ok": 3}, None, 0),
        ({}, None, 0),
        ({"ok": 2, "filtered": 1}, None, 3),
        ({"filtered": 1, "failed": 1}, None, 4),
        ({"ok": 2, "skipped_budget": 1}, None, 6),
        ({"skipped_budget": 1}, None, 6),
        ({"ok": 2, "not_attempted": 1}, NO_KEY, 2),
        ({"not_attempted": 1}, StopReason("interrupted", 130, "Ctrl-C"), 130),
        ({"ok": 3}, StopReason("interrupted", 143, "SIGTERM came after the last image"), 0),
    ],
)
def test_the_exit_code_follows_the_counts_and_the_stop_reason(
    counts: dict[Outcome, int], ended: StopReason | None, code: int
) -> None:
    """Only a run that made every image exits with 0."""
    assert exit_code(dict.fromkeys(OUTCOMES, 0) | counts, ended) == code


@given(st.lists(st.sampled_from(OUTCOMES), min_size=1))
def test_no_run_with_a_missing_image_exits_0(outcomes: list[Outcome]) -> None:
    """Every sample is in exactly one count and, without an image, in exactly one cause."""
    summary = summary_of([entry(row, status=status) for row, status in enumerate(outcomes, 1)])
    missing = sum(status != "ok" for status in outcomes)
    assert (summary.exit_code == 0) == (missing == 0)
    assert summary.asked == len(outcomes)
    assert sum(cause.count for cause, _ in summary.causes) == missing


def test_the_summary_has_the_reason_that_stopped_the_run() -> None:
    """A signal, a daily quota and a bad key each have their state and code."""
    interrupted, paused, stopped = Stop(), Stop(), Stop()
    interrupted.interrupt(2)
    paused.fail(Fatal("no more today", kind="quota_day", cause="quota_day", exit_code=75))
    stopped.fail(Fatal("API key not valid", kind="bad_key", cause="auth"))
    report = [stop_reason(stop) for stop in (interrupted, paused, stopped)]
    assert [(reason.state, reason.exit_code, reason.cause) for reason in report if reason] == [
        ("interrupted", 130, None),
        ("paused", 75, "quota_day"),
        ("stopped", 2, "auth"),
    ]
    assert stop_reason(Stop()) is None


def test_messages_that_differ_in_digits_and_ids_are_one_cause() -> None:
    """Otherwise ten thousand timeouts would be ten thousand causes."""
    ids = ("0a1b2c3d-1111", "ffee0011-abcd", "00000000-3333")
    entries = [
        entry(row, status="failed", error_kind="transient_exhausted", error=f"no answer in {row}.5 s (id {id_})")
        for row, id_ in enumerate(ids, 9)
    ]
    ((cause, _),) = summary_of(entries).causes
    assert (cause.count, cause.rows, cause.message) == (
        3,
        [9, 10, 11],
        "no answer in 9.5 s (id 0a1b2c3d-1111)",
    )


def test_different_causes_stay_apart_and_the_most_frequent_comes_first() -> None:
    """Status, kind, HTTP status, category and message each make a difference."""
    entries = [
        entry(1, status="failed", error_kind="bad_request", error="no such ratio"),
        entry(2, status="failed", error_kind="bad_request", error="no such size"),
        entry(3, status="filtered", filter_category="Violence", reason="no"),
        entry(4, status="filtered", filter_category="Hate", reason="no"),
        entry(5, status="filtered", filter_category="Hate", reason="no"),
        entry(6, status="filtered", filter_category="Hate", reason="no", trace={"http_status": 400}),
    ]
    causes = summary_of(entries).causes
    assert [cause.count for cause, _ in causes] == [2, 1, 1, 1, 1]
    assert causes[0][0].filter_category == "Hate"


def test_a_model_s_text_instead_of_an_image_does_not_make_a_cause() -> None:
    """Such texts differ with each prompt."""
    remarks = ("I can't draw that.", "What colour?", "Sorry!")
    entries = [
        entry(row, status="failed", error_kind="no_image", error=remark, finish_reason="STOP")
        for row, remark in enumerate(remarks, 1)
    ]
    assert len(summary_of(entries).causes) == 1


def test_the_number_of_causes_is_bounded_and_nothing_is_lost() -> None:
    """Samples beyond the limit are grouped by status."""
    causes = FailureGroups(most_groups=3)
    for row in range(100):
        causes.add(entry(row, status="failed" if row % 2 else "filtered", error="x" * row))
    ranked = causes.ranked()
    assert len(ranked) == 5
    assert sum(cause.count for cause in ranked) == 100


def test_attempts_are_counted_once_per_request() -> None:
    """All samples of a request carry the same trace."""
    twice = {"key": "a", "attempts": 2}
    entries = [entry(1, number=number, trace=twice) for number in (1, 2, 4)]
    entries.insert(2, entry(1, number=3, trace={"key": "b", "attempts": 3}))
    assert summary_of(entries).attempts == 5


def test_the_cost_is_reported_with_its_bounds() -> None:
    """The possible cost of lost replies is reported beside the known cost, not within it."""
    entries = [
        entry(1, cost_usd=1.20, cost_is="exact"),
        *(entry(row, status="unknown", cost_usd=0.04, cost_is="unknown") for row in (2, 3)),
    ]
    summary = summary_of(entries)
    assert (summary.cost_usd, summary.cost_low_usd, summary.cost_high_usd) == (1.2, 1.2, 1.28)
    assert cost(summary) == (
        "cost $1.20 (between $1.20 and $1.28: 2 attempts whose reply was lost may have been charged)"
    )


def test_the_cost_is_that_of_the_ledger() -> None:
    """It includes attempts without a reply, even if a later attempt brought the image."""
    summary = summary_of([entry(cost_usd=0.5, cost_is="exact")], money=Cost(spent=0.5, possible=0.25))
    assert (summary.cost_usd, summary.cost_high_usd) == (0.5, 0.75)


def test_an_unknown_price_is_not_free() -> None:
    """No figure is printed where none is known."""
    nothing = summary_of([entry(cost_is="unknown")])
    assert (nothing.cost_usd, nothing.cost_high_usd) == (None, None)
    assert cost(nothing) == "cost unknown: no price is known for 1 image or lost attempt"
    some = summary_of([entry(1, cost_is="unknown"), entry(2, cost_usd=0.5, cost_is="estimate")])
    assert (some.cost_usd, some.cost_low_usd, some.cost_high_usd) == (0.5, 0.5, None)
    assert cost(some).startswith("cost about $0.50, and more:")


def _on_vertex(row: ManifestRow) -> ManifestRow:
    """The Gemini API takes no person_generation, Vertex AI does."""
    return replace(row, provider="vertex")


NO_REPLY = "No reply arrived for 1 image, which may have been charged. To send them again, .*:"
REWORD = r"Reword row 1 in prompts\.csv and run again; only changed rows are sent\."
PEOPLE = r".*put allow_adult into a person_generation column of row 1 .*\."
FIX = r"Fix the problem shown above in row 1 of prompts\.csv, then run:"
OTHERS = r"To make the other 2 \(up to \$0\.07\), use --max-cost 0\.13:"


@pytest.mark.parametrize(
    ("row", "text", "command"),
    [
        (entry(status="failed", error_kind="transient_exhausted"), ".*again:", f"{RUN} --retry failed"),
        (entry(status="not_attempted"), "To continue:", RUN),
        (entry(status="unknown"), NO_REPLY, RUN),
        (entry(status="filtered", error_kind="filtered_input"), REWORD, EDITED),
        (_on_vertex(entry(status="filtered", filter_codes=("39322892",))), PEOPLE, EDITED),
        (entry(status="failed", error_kind="bad_request"), FIX, EDITED),
        (entry(status="skipped_budget"), OTHERS, f"{RUN} --max-cost 0.13"),
    ],
)
def test_each_cause_ends_in_a_command(row: ManifestRow, text: str, command: str) -> None:
    """The command can be pasted and restores every setting of the run."""
    assert re.fullmatch(f"{text} {command}", next_of(row))


def test_groups_with_the_same_remedy_share_a_next_step_that_names_their_rows_and_ids() -> None:
    """Two kinds of refusals are two causes, but both are fixed by rewording their rows."""
    hedgehogs = entry(19, status="filtered", filter_category="Violence", reason="no")
    hedgehogs = replace(hedgehogs, row=replace(hedgehogs.row, id="hedgehogs"))
    summary = summary_of([hedgehogs, entry(28, status="filtered", filter_category="Hate", reason="no")])
    assert [str(step) for _, step in summary.causes] == [
        f"Reword row 19 (hedgehogs) in prompts.csv and run again; only changed rows are sent. {EDITED}",
        f"Reword row 28 in prompts.csv and run again; only changed rows are sent. {EDITED}",
    ]
    (step,) = summary.next_steps
    assert step.text.startswith("Reword rows 19 (hedgehogs), 28 in prompts.csv")


def test_the_page_reads_well_as_plain_text() -> None:
    """It has short paragraphs with row numbers, ids and links to the files, and no tables."""
    entries = [
        entry(1, cost_usd=1.5, cost_is="exact"),
        entry(2, status="failed", error_kind="transient_exhausted", error="busy", trace={"http_status": 503}),
    ]
    assert to_markdown(summary_of(entries)) == (
        "# finished: 1 of 2 images, 1 missing\n\n"
        "ok 1, failed 1.\n\n"
        "Cost $1.50; 2 attempts, 7 refused by a rate limit (429).\n\n"
        "Files: [images/](images/), [manifest.csv](manifest.csv), [failures.csv](failures.csv)\n\n"
        "## Why images are missing\n\n"
        "- **1 failed**: transient_exhausted, HTTP 503, row 2  \n"
        "  Message: busy  \n"
        "  Example: a red fox\n\n"
        "## Next steps\n\n"
        "The error may be temporary. To try 1 image again:\n\n"
        "    imagen-batch resume /b/prompts --retry failed\n\n"
        "## Images\n\n"
        "- row 1: [1](images/000001_01.png)\n"
        "- row 2: failed\n\n"
        "## Disclosure\n\n"
        "1 image drawn by the simulator in place of gemini-nano-banana-2.1 (1): placeholders, not for publication.\n"
    )


def test_a_limit_for_each_run_is_not_raised() -> None:
    """Each run has the whole limit."""
    assert next_of(entry(status="skipped_budget"), run=replace(CONTINUATION, whole=None)).endswith(f": {RUN}")


def test_a_limit_that_admits_nothing_is_raised_by_a_retry() -> None:
    """Without a raised limit the command would send nothing."""
    spent = replace(CONTINUATION, raised=lambda again: ("--max-images", "7") if again == "failed" else ())
    failed = entry(status="failed", error_kind="no_image")
    assert next_of(failed, run=spent).endswith(f": {RUN} --retry failed --max-images 7")


def test_a_command_for_held_samples_does_not_change_the_setting() -> None:
    """The run keeps its `--on-unknown hold`."""
    held = replace(CONTINUATION, holds_unknown=True)
    assert next_of(entry(status="unknown"), run=held).endswith(f": {RUN} --retry unknown")


def test_without_the_prompt_file_the_failures_are_edited() -> None:
    """The run's own copy is not for editing."""
    alone = replace(CONTINUATION, prompts=None, folder="/b/it's")
    step = next_of(entry(status="filtered"), run=alone)
    assert shlex.split(step[step.index("imagen-batch") :]) == ["imagen-batch", "run", "/b/it's/failures.csv"]


def test_samples_that_were_not_sent_wait_for_what_stopped_the_run() -> None:
    """Running again at once would only stop again."""
    assert next_of(entry(status="not_attempted"), stopped=NO_KEY).startswith("Check GOOGLE_API_KEY")


def test_the_terminal_shows_counts_causes_money_and_the_next_command() -> None:
    """The text is checked exactly, because people read it every day."""
    entries = [
        entry(1, cost_usd=1.5, cost_is="exact"),
        entry(2, status="failed", error_kind="transient_exhausted", error="busy", trace={"http_status": 503}),
    ]
    assert to_terminal(summary_of(entries), color=False) == (
        "finished: 1 of 2 images, 1 missing\n"
        "  ok 1   failed 1\n"
        "  cost $1.50\n"
        "\n"
        "      1  failed  transient_exhausted  HTTP 503  row 2\n"
        "         busy\n"
        "         e.g. a red fox\n"
        "\n"
        "  next  The error may be temporary. To try 1 image again:\n"
        "         imagen-batch resume /b/prompts --retry failed\n"
        "\n"
        "  outputs/prompts/manifest.csv\n"
        "  outputs/prompts/failures.csv\n"
        "  outputs/prompts/summary.md\n"
    )


@given(st.text(), st.text())
def test_a_prompt_can_t_command_the_terminal_or_the_page(prompt: str, words: str) -> None:
    """Prompts and the service's messages are data: no control characters, no HTML, no broken list."""
    summary = summary_of([entry(prompt=f"\x1b[2J<b>{prompt}", status="failed", error=words)])
    text = to_terminal(summary, color=False)
    assert not [char for char in text if ord(char) < 32 and char != "\n"]
    page = to_markdown(summary)
    assert "<" not in page
    assert page.count("\n- **1 failed**: ") == 1
    assert orjson.loads(to_json_text(summary))["causes"][0]["count"] == 1


def test_color_adds_only_escape_sequences() -> None:
    """Without color there are no escape sequences."""
    summary = summary_of([entry(1), entry(2, status="filtered", reason="no")])
    plain, colored = (to_terminal(summary, color=color) for color in (False, True))
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[\d+m", "", colored) == plain
