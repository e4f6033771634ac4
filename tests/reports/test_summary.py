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
from imagen_batch.reports.next_steps import Continuation
from imagen_batch.reports.render import cost, to_json, to_json_text, to_markdown, to_terminal
from imagen_batch.reports.summary import RunFacts, StopReason, Summary, SummaryBuilder, exit_code
from imagen_batch.runs.finalize import stop_reason
from imagen_batch.sending.stop import Stop
from tests.support.entries import entry

RUN = "imagen-batch resume /b/prompts"
CONTINUATION = Continuation("/b/prompts", prompts="/a/prompts.csv", whole=("--max-cost", "0.13"))
EDITED = f"{RUN} --prompts /a/prompts.csv"
MOMENT = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
NO_KEY = StopReason("stopped", 2, "API key not valid", "auth")


def summary_of(
    entries: list[ManifestRow],
    *,
    run: Continuation = CONTINUATION,
    ended: StopReason | None = None,
    money: Cost | None = None,
) -> Summary:
    """What a tally of `entries` says."""
    tally = SummaryBuilder()
    for one in entries:
        tally.add(one)
    facts = RunFacts("outputs/prompts", "", MOMENT, MOMENT, ending=ended, refused_429=7, money=money, run=run)
    return tally.summary(facts)


def next_of(one: ManifestRow, *, run: Continuation = CONTINUATION, ended: StopReason | None = None) -> str:
    """The advice for a single cause."""
    ((_, following),) = summary_of([one], run=run, ended=ended).causes
    return str(following)


def test_the_json_is_the_contract_s() -> None:
    """Names, order and values; more may follow only at the end."""
    told = to_json(summary_of([entry(1, cost_usd=0.04, cost_is="exact"), entry(2, status="failed", error="x")]))
    assert list(told)[:12] == [
        *("schema_version", "state", "out", "samples", "attempts", "refused_429"),
        *("cost_usd", "cost_low_usd", "cost_high_usd", "started_at", "finished_at", "causes"),
    ]
    assert told["samples"] == {"asked": 2, **dict.fromkeys(OUTCOMES, 0), "ok": 1, "failed": 1}
    assert (told["schema_version"], told["state"], told["attempts"], told["refused_429"]) == (
        1,
        "finished",
        2,
        7,
    )
    assert told["started_at"] == "2026-11-23T10:00:00.000Z"
    (cause,) = told["causes"]
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
        ({"ok": 3}, StopReason("interrupted", 143, "SIGTERM came after the last picture"), 0),
    ],
)
def test_the_exit_code_tells_the_truth(counts: dict[Outcome, int], ended: StopReason | None, code: int) -> None:
    """0 means that every picture is there, and nothing else does."""
    assert exit_code(dict.fromkeys(OUTCOMES, 0) | counts, ended) == code


@given(st.lists(st.sampled_from(OUTCOMES), min_size=1))
def test_no_run_with_a_missing_picture_exits_0(outcomes: list[Outcome]) -> None:
    """And every sample is in exactly one count and, without a picture, in exactly one cause."""
    summary = summary_of([entry(row, status=status) for row, status in enumerate(outcomes, 1)])
    missing = sum(status != "ok" for status in outcomes)
    assert (summary.exit_code == 0) == (missing == 0)
    assert summary.asked == len(outcomes)
    assert sum(cause.count for cause, _ in summary.causes) == missing


def test_what_stopped_the_run_is_what_the_summary_says() -> None:
    """A signal, a daily quota, a bad key: each has its state and code."""
    interrupted, paused, stopped = Stop(), Stop(), Stop()
    interrupted.interrupt(2)
    paused.fail(Fatal("no more today", kind="quota_day", outcome="quota_day", exit_code=75))
    stopped.fail(Fatal("API key not valid", kind="bad_key", outcome="auth"))
    told = [stop_reason(stop) for stop in (interrupted, paused, stopped)]
    assert [(one.state, one.exit_code, one.cause) for one in told if one] == [
        ("interrupted", 130, None),
        ("paused", 75, "quota_day"),
        ("stopped", 2, "auth"),
    ]
    assert stop_reason(Stop()) is None


def test_messages_that_differ_in_digits_and_ids_are_one_cause() -> None:
    """Otherwise ten thousand time-outs are ten thousand causes."""
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
    """Status, kind, HTTP status, category and words each make a difference."""
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


def test_what_a_model_says_instead_of_drawing_is_no_cause_of_its_own() -> None:
    """Such remarks differ with each prompt."""
    remarks = ("I can't draw that.", "What colour?", "Sorry!")
    entries = [
        entry(row, status="failed", error_kind="no_image", error=remark, finish_reason="STOP")
        for row, remark in enumerate(remarks, 1)
    ]
    assert len(summary_of(entries).causes) == 1


def test_the_number_of_causes_is_bounded_and_nothing_is_lost() -> None:
    """What comes after the limit is counted together, by status."""
    causes = FailureGroups(most_groups=3)
    for row in range(100):
        causes.add(entry(row, status="failed" if row % 2 else "filtered", error="x" * row))
    ranked = causes.ranked()
    assert len(ranked) == 5
    assert sum(cause.count for cause in ranked) == 100


def test_attempts_are_counted_once_per_request() -> None:
    """The samples of a request all tell how it went."""
    twice = {"key": "a", "attempts": 2}
    entries = [entry(1, number=number, trace=twice) for number in (1, 2, 4)]
    entries.insert(2, entry(1, number=3, trace={"key": "b", "attempts": 3}))
    assert summary_of(entries).attempts == 5


def test_money_is_told_with_its_bounds() -> None:
    """What lost replies may have cost stands beside what is known, and is not hidden in it."""
    entries = [
        entry(1, cost_usd=1.20, cost_is="exact"),
        *(entry(row, status="unknown", cost_usd=0.04, cost_is="unknown") for row in (2, 3)),
    ]
    summary = summary_of(entries)
    assert (summary.cost_usd, summary.cost_low_usd, summary.cost_high_usd) == (1.2, 1.2, 1.28)
    assert cost(summary) == (
        "cost $1.20 (between $1.20 and $1.28: 2 attempts whose reply was lost may have been charged)"
    )


def test_the_ledger_s_word_about_money_counts() -> None:
    """It also knows of lost attempts that a later one made good."""
    summary = summary_of([entry(cost_usd=0.5, cost_is="exact")], money=Cost(spent=0.5, maybe=0.25))
    assert (summary.cost_usd, summary.cost_high_usd) == (0.5, 0.75)


def test_an_unknown_price_is_not_free() -> None:
    """No number is given where there is none."""
    nothing = summary_of([entry(cost_is="unknown")])
    assert (nothing.cost_usd, nothing.cost_high_usd) == (None, None)
    assert cost(nothing) == "cost unknown: no price is known for 1 picture or lost attempt"
    some = summary_of([entry(1, cost_is="unknown"), entry(2, cost_usd=0.5, cost_is="estimate")])
    assert (some.cost_usd, some.cost_low_usd, some.cost_high_usd) == (0.5, 0.5, None)
    assert cost(some).startswith("cost about $0.50, and more:")


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (entry(status="failed", error_kind="transient_exhausted"), f"{RUN} --retry failed"),
        (entry(status="not_attempted"), RUN),
        (entry(status="unknown"), f"may have been charged; .*: {RUN}"),
        (entry(status="filtered", error_kind="filtered_input"), f"reword these prompts .*: {EDITED}"),
        (entry(status="filtered", filter_codes=("39322892",)), f"allow_adult .*person_generation.*: {EDITED}"),
        (entry(status="failed", error_kind="bad_request"), f"fix what the message names .*: {EDITED}"),
        (entry(status="skipped_budget"), f"raise the limit: {RUN} --max-cost 0.13"),
    ],
)
def test_each_cause_ends_in_a_command(one: ManifestRow, said: str) -> None:
    """It can be pasted, and restores every setting of the run."""
    assert re.fullmatch(f".*{said}.*", next_of(one))


def test_a_limit_for_each_run_is_not_raised() -> None:
    """The next run has it anew."""
    assert next_of(entry(status="skipped_budget"), run=replace(CONTINUATION, whole=())).endswith(f": {RUN}")


def test_a_limit_that_admits_nothing_is_raised_by_a_retry() -> None:
    """The command would send nothing."""
    spent = replace(CONTINUATION, raised=lambda again: ("--max-images", "7") if again == "failed" else ())
    failed = entry(status="failed", error_kind="no_image")
    assert next_of(failed, run=spent).endswith(f": {RUN} --retry failed --max-images 7")


def test_what_a_run_holds_is_asked_for_once_only() -> None:
    """The run stays one that holds."""
    held = replace(CONTINUATION, holds_unknown=True)
    assert next_of(entry(status="unknown"), run=held).endswith(f": {RUN} --retry unknown")


def test_without_the_prompt_file_the_failures_are_edited() -> None:
    """The run's own copy is nobody's to edit."""
    alone = replace(CONTINUATION, prompts=None, folder="/b/it's")
    said = next_of(entry(status="filtered"), run=alone)
    assert shlex.split(said.rpartition(": ")[2]) == ["imagen-batch", "run", "/b/it's/failures.csv"]


def test_samples_that_were_not_sent_wait_for_what_stopped_the_run() -> None:
    """ "Run again" would stop again at once."""
    assert next_of(entry(status="not_attempted"), ended=NO_KEY).startswith("check GOOGLE_API_KEY")


def test_the_terminal_shows_counts_causes_money_and_the_next_command() -> None:
    """To the letter, since people read it every day."""
    entries = [
        entry(1, cost_usd=1.5, cost_is="exact"),
        entry(2, status="failed", error_kind="transient_exhausted", error="busy", trace={"http_status": 503}),
    ]
    assert to_terminal(summary_of(entries), color=False) == (
        "finished: 1 of 2 pictures, 1 without\n"
        "  ok 1   failed 1\n"
        "  cost $1.50\n"
        "\n"
        "      1  failed  transient_exhausted  HTTP 503  row 2\n"
        "         busy\n"
        "         e.g. a red fox\n"
        "\n"
        "  next  1: this may pass; to try again\n"
        "         imagen-batch resume /b/prompts --retry failed\n"
        "\n"
        "  outputs/prompts/manifest.csv\n"
        "  outputs/prompts/failures.csv\n"
        "  outputs/prompts/summary.md\n"
    )


@given(st.text(), st.text())
def test_a_prompt_can_t_command_the_terminal_or_the_page(prompt: str, words: str) -> None:
    """Prompts and a service's words are data: no control characters, no HTML, no broken table."""
    summary = summary_of([entry(prompt=f"\x1b[2J<b>{prompt}", status="failed", error=words)])
    shown = to_terminal(summary, color=False)
    assert not [char for char in shown if ord(char) < 32 and char != "\n"]
    page = to_markdown(summary)
    assert "<" not in page
    (row,) = [line for line in page.splitlines() if line.startswith("| 1 |")]
    assert row.replace("\\\\", "").replace("\\|", "").count("|") == 7
    assert orjson.loads(to_json_text(summary))["causes"][0]["count"] == 1


def test_colour_changes_nothing_but_colour() -> None:
    """Without a terminal no sequence is written."""
    summary = summary_of([entry(1), entry(2, status="filtered", reason="no")])
    plain, coloured = (to_terminal(summary, color=color) for color in (False, True))
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain
