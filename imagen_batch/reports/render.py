"""A summary as JSON for programs, and as text for a terminal and a page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import orjson

from imagen_batch.records import OUTCOMES
from imagen_batch.reports.causes import FailureGroup
from imagen_batch.reports.next_steps import NextStep
from imagen_batch.reports.summary import Summary
from imagen_batch.reports.table_file import unwritten_text
from imagen_batch.text import json_text, one_line, plural, printable

_MOST_CAUSES = 10
_MOST_CAUSES_ON_PAGE = 50
_FILES = ("manifest.csv", "failures.csv", "summary.md")
_COLOURS = {"ok": "32", "filtered": "33", "failed": "31", "unknown": "35", "bold": "1", "dim": "2"}


def to_json(summary: Summary) -> dict[str, Any]:
    """`summary.json`, and what `--json` prints. Names are contract; more may follow at the end."""
    return {
        "schema_version": 1,
        "state": summary.state,
        "out": summary.facts.out,
        "samples": _samples(summary),
        "attempts": summary.attempts,
        "refused_429": summary.facts.refused_429,
        "cost_usd": summary.cost_usd,
        "cost_low_usd": summary.cost_low_usd,
        "cost_high_usd": summary.cost_high_usd,
        "started_at": _iso(summary.facts.started_at),
        "finished_at": _iso(summary.facts.finished_at),
        "causes": [_cause(cause, following) for cause, following in summary.causes],
        "exit_code": summary.exit_code,
        "stopped_by": summary.stopped_by,
        "provider": summary.facts.provider,
        "warnings": list(summary.facts.warnings),
        "in_flight": summary.in_flight,
        "run_cost_usd": None if summary.facts.run_usd is None else round(summary.facts.run_usd, 6),
        "run_attempts": summary.facts.run_attempts,
        "earlier_cost_usd": summary.earlier_usd,
        "older_images": summary.facts.elsewhere,
        "lost_attempts": summary.lost,
        "unwritten": [
            {"file": lost.name, "reason": lost.reason, "beside": lost.beside} for lost in summary.facts.unwritten
        ],
    }


def to_json_text(summary: Summary) -> str:
    """The text of `summary.json`."""
    return json_text(to_json(summary), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def to_terminal(summary: Summary, *, color: bool) -> str:
    """A few aligned lines. With `color` ANSI sequences are put in, and nothing else changes."""
    paint = _painted if color else _plain
    facts = (*_ended(summary), _counts(summary), *_elsewhere(summary), cost(summary), *_earlier(summary))
    lines = [paint(_headline(summary), "bold"), *(f"  {fact}" for fact in facts)]
    for cause, _ in summary.causes[:_MOST_CAUSES]:
        lines += ["", *_cause_lines(cause, paint)]
    lines += [f"\n  {more}" for more in _more(summary)]
    for count, following in _next(summary):
        lines += [
            "",
            f"  {paint('next', 'bold')}  {count:,}: {printable(following.words)}",
            f"{_INDENT}{printable(following.command)}",
        ]
    names = [place for name in _FILES if name != "failures.csv" or summary.causes for place in _place(name, summary)]
    lines += ["", *(f"  {paint(f'{printable(summary.facts.out)}/{name}', 'dim')}" for name in names)]
    return "\n".join(lines) + "\n"


def to_markdown(summary: Summary) -> str:
    """The same as `summary.md` and for Prefect's page."""
    counts = "\n".join(f"| {name} | {count:,} |" for name, count in _samples(summary).items())
    attempts = f"{plural(summary.attempts, 'attempt')}, {summary.facts.refused_429:,} refused by a rate limit (429)"
    paragraphs = [
        f"# {_escaped(_headline(summary))}",
        *map(_escaped, _ended(summary)),
        f"| samples | |\n|---|---:|\n{counts}",
        f"{_escaped(cost(summary))}; {attempts}.",
        *(f"{_escaped(fact)}." for fact in (*_earlier(summary), *_elsewhere(summary))),
        *(_markdown_causes(summary) if summary.causes else ()),
        *_markdown_warnings(summary),
    ]
    return "\n\n".join(paragraphs) + "\n"


def _markdown_warnings(summary: Summary) -> Iterator[str]:
    if summary.facts.warnings:
        yield "## Warnings about the input"
        yield "\n".join(f"- {_escaped(one_line(warning, 1000))}" for warning in summary.facts.warnings)


def cost(summary: Summary) -> str:
    """What the run cost, and how sure that is."""
    unpriced = f"no price is known for {plural(summary.unpriced, 'picture')} or lost attempt{_s(summary.unpriced)}"
    if summary.cost_usd is None:
        return f"cost unknown: {unpriced}"
    about = "about " if summary.estimated else ""
    simulated = summary.facts.provider == "simulator"
    known = f"{'the simulator charges nothing; for real: ' if simulated else 'cost '}{about}{_usd(summary.cost_usd)}"
    run_usd = summary.facts.run_usd
    if run_usd is not None and round(run_usd, 6) != summary.cost_usd:
        known += f", {_usd(run_usd)} of it in this run"
    if summary.cost_high_usd is None:
        return f"{known}, and more: {unpriced}"
    if summary.cost_high_usd <= summary.cost_low_usd:
        return known
    between = f"between {_usd(summary.cost_low_usd)} and {_usd(summary.cost_high_usd)}"
    uncertain = [plural(summary.lost, "attempt") + " whose reply was lost"] if summary.lost else []
    uncertain += [f"{plural(summary.in_flight, 'picture')} in flight"] if summary.in_flight else []
    what = " and ".join(uncertain) or "attempts whose reply was lost"
    return f"{known} ({between}: {what} may {'be' if summary.in_flight else 'have been'} charged)"


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _place(name: str, summary: Summary) -> Iterator[str]:
    """Where a table is, if it could be written anywhere."""
    lost = {file.name: file.beside for file in summary.facts.unwritten}
    place = lost.get(name, name)
    if place is not None:
        yield place


def _samples(summary: Summary) -> dict[str, int]:
    return {"asked": summary.asked, **{outcome: summary.counts[outcome] for outcome in OUTCOMES}}


def _cause(cause: FailureGroup, following: NextStep) -> dict[str, Any]:
    return {
        "status": cause.status,
        "error_kind": cause.error_kind,
        "count": cause.count,
        "rows": list(cause.rows),
        "message": cause.message,
        "next": str(following),
        "http_status": cause.http_status,
        "filter_category": cause.filter_category,
        "cost_usd": round(cause.cost_usd, 6),
        "example": cause.example,
    }


def _iso(moment: datetime | None) -> str | None:
    return (
        None if moment is None else moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def _headline(summary: Summary) -> str:
    asked, ok = summary.asked, summary.counts["ok"]
    simulated = " (by the simulator)" if summary.facts.provider == "simulator" else ""
    if summary.state == "running":
        return f"running: {ok:,} of {plural(asked, 'picture')}{simulated} so far"
    without = f", {asked - ok:,} without" if asked > ok else ""
    return f"{summary.state}: {ok:,} of {plural(asked, 'picture')}{simulated}{without}"


def _ended(summary: Summary) -> Iterator[str]:
    if summary.stopped_by and summary.exit_code:
        yield one_line(summary.stopped_by, 600)
    unwritten = unwritten_text(summary.facts.unwritten)
    if unwritten not in (summary.stopped_by or ""):
        yield one_line(unwritten, 600)


def _elsewhere(summary: Summary) -> Iterator[str]:
    if summary.facts.elsewhere:
        older = plural(summary.facts.elsewhere, "older picture")
        yield f"{older} kept: earlier prompts, or rows no longer in this file"


def _earlier(summary: Summary) -> Iterator[str]:
    if summary.earlier_usd:
        yield f"{_usd(summary.earlier_usd)} of the cost is for earlier prompts, or rows no longer in this file"


def _counts(summary: Summary) -> str:
    counts: dict[str, int] = dict(summary.counts.items())
    counts["not_attempted"] -= summary.in_flight
    counts["in flight"] = summary.in_flight
    return "   ".join(f"{name} {count:,}" for name, count in counts.items() if count or name == "ok")


def _cause_lines(cause: FailureGroup, paint: _Paint) -> Iterator[str]:
    status = paint(cause.status, cause.status)
    http = f"HTTP {cause.http_status}" if cause.http_status else None
    money = f"cost {_usd(cause.cost_usd)}" if cause.cost_usd else None
    facts = filter(None, (cause.error_kind, http, cause.filter_category, _rows(cause), money))
    yield "  ".join((f"{cause.count:>7,}", status, *map(printable, facts)))
    yield f"{_INDENT}{one_line(cause.message, 160)}"
    yield f"{_INDENT}e.g. {one_line(cause.example, 90)}"


def _markdown_causes(summary: Summary) -> Iterator[str]:
    told = summary.causes[:_MOST_CAUSES_ON_PAGE]
    rows = "\n".join(_table_row(cause) for cause, _ in told)
    yield "## Why pictures are missing"
    yield f"| count | what | message | rows | for example | cost |\n|---:|---|---|---|---|---:|\n{rows}"
    yield from _more(summary, _MOST_CAUSES_ON_PAGE)
    yield "## Next"
    for count, following in _next(summary):
        yield f"{count:,}: {_escaped(printable(following.words))}"
        # Indented text is taken as it is: a command can be copied whatever is in it.
        yield f"    {printable(following.command)}"


def _next(summary: Summary) -> list[tuple[int, NextStep]]:
    """Each piece of advice once, with how many samples it is for."""
    counts: Counter[NextStep] = Counter()
    for cause, following in summary.causes:
        counts[following] += cause.count
    return [(count, following) for following, count in counts.most_common()]


def _table_row(cause: FailureGroup) -> str:
    what = " ".join(filter(None, (cause.status, cause.error_kind, cause.filter_category)))
    texts = (printable(what), one_line(cause.message, 300), _rows(cause), one_line(cause.example, 120))
    return " | ".join((f"| {cause.count:,}", *map(_escaped, texts), f"{_usd(cause.cost_usd)} |"))


def _more(summary: Summary, shown: int = _MOST_CAUSES) -> Iterator[str]:
    left = len(summary.causes) - shown
    if left > 0:
        yield f"and {plural(left, 'more cause')}: see summary.json and manifest.csv"


def _rows(cause: FailureGroup) -> str:
    listed = ", ".join(str(row) for row in cause.rows)
    more = cause.row_count - len(cause.rows)
    return f"{'row' if cause.row_count == 1 else 'rows'} {listed}{f' and {more:,} more' if more else ''}"


def _usd(amount: float) -> str:
    """Cents, and more digits only where cents would say nothing."""
    return f"${amount:,.2f}" if amount >= 0.1 or amount == 0 else f"${amount:.4f}"


def _escaped(text: str) -> str:
    """Text that markdown and HTML leave alone, also in a table's cell."""
    return re.sub(r"([\\`*_|\[\]#])", r"\\\1", text.replace("&", "&amp;").replace("<", "&lt;"))


def _plain(text: str, _style: str) -> str:
    return text


def _painted(text: str, style: str) -> str:
    return f"\x1b[{_COLOURS[style]}m{text}\x1b[0m" if style in _COLOURS else text


_Paint = Callable[[str, str], str]
_INDENT = " " * 9
