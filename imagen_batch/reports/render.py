"""Renders a summary as JSON for programs, and as text for a terminal and a page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import orjson

from imagen_batch.records import OUTCOMES
from imagen_batch.reports.breakdown import Share
from imagen_batch.reports.causes import FailureGroup, format_rows
from imagen_batch.reports.image_list import row_lines
from imagen_batch.reports.image_warnings import describe_image_warnings
from imagen_batch.reports.next_steps import NextStep
from imagen_batch.reports.refusals import Advice
from imagen_batch.reports.summary import Summary
from imagen_batch.reports.tables.table_file import describe_unwritten
from imagen_batch.text import json_text, one_line, plural, printable, usd

_MAX_CAUSES = 10
_SHORT_SHOWN = 10
_MAX_CAUSES_ON_PAGE = 50
_MAX_SHARES = 50
_FILES = ("manifest.csv", "failures.csv", "summary.md")
_COLORS = {"ok": "32", "filtered": "33", "failed": "31", "unknown": "35", "bold": "1", "dim": "2"}


def to_json(summary: Summary) -> dict[str, Any]:
    """`summary.json`, and what `--json` prints. The names are a contract; new ones are added at the end."""
    return {
        "schema_version": 1,
        "state": summary.state,
        "out": summary.facts.out,
        "samples": {"asked": summary.asked, **{outcome: summary.counts[outcome] for outcome in OUTCOMES}},
        "attempts": summary.attempts,
        "refused_429": summary.facts.refused_429,
        "cost_usd": summary.cost_usd,
        "cost_low_usd": summary.cost_low_usd,
        "cost_high_usd": summary.cost_high_usd,
        "started_at": _iso(summary.facts.started_at),
        "finished_at": _iso(summary.facts.finished_at),
        "causes": [_cause(group, step) for group, step in summary.causes],
        "exit_code": summary.exit_code,
        "stopped_by": summary.stopped_by,
        "provider": summary.facts.provider,
        "warnings": list(summary.facts.warnings),
        "in_flight": summary.in_flight,
        "run_cost_usd": None if summary.facts.run_usd is None else round(summary.facts.run_usd, 6),
        "run_attempts": summary.facts.run_attempts,
        "earlier_cost_usd": summary.earlier_usd,
        "older_images": summary.facts.older_images,
        "lost_attempts": summary.lost_attempts,
        "open_redos": summary.open_redos,
        "short": [asdict(row) for row in summary.short],
        "unwritten": [
            {"file": file.name, "reason": file.reason, "beside": file.alternate} for file in summary.facts.unwritten
        ],
        "image_warnings": dict(summary.image_warnings),
        "by_model": list(map(_share, summary.models)),
        "group_by": summary.group_by,
        "groups": list(map(_share, summary.groups)),
        "disclosure": _disclosure(summary),
        "prints": [
            {
                "shape": each.shape,
                "images": each.images,
                "inches": [round(side, 4) for side in each.printed],
                "lowest_dpi": round(each.lowest_dpi, 1),
                "below_300_dpi": each.below,
            }
            for each in summary.prints
        ],
        "notices": list(summary.notices),
    }


def _share(share: Share) -> dict[str, Any]:
    return {
        "name": share.name,
        "samples": share.samples,
        "ok": share.images,
        "cost_usd": round(share.usd, 6),
        "run_cost_usd": round(share.run_usd, 6),
    }


def _disclosure(summary: Summary) -> dict[str, Any]:
    facts = summary.disclosure
    return {
        "images": facts.images,
        "models": dict(facts.models),
        "edited": facts.edited,
        "c2pa": facts.with_c2pa,
        "simulated": facts.simulated,
        "text": facts.text,
    }


def to_json_text(summary: Summary) -> str:
    """The text of `summary.json`."""
    return json_text(to_json(summary), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def to_terminal(summary: Summary, *, color: bool) -> str:
    """A few aligned lines. `color` adds ANSI sequences and changes nothing else."""
    paint = _painted if color else _plain
    facts = (
        *_endings(summary),
        _counts(summary),
        *_short(summary),
        *_older_images(summary),
        cost(summary),
        *_earlier_cost(summary),
        *_prints(summary),
    )
    lines = [paint(_headline(summary), "bold"), *(f"  {fact}" for fact in facts)]
    for title, shares in _breakdowns(summary):
        lines += ["", f"  {title}", *(f"    {line}" for line in _aligned(list(_share_facts(summary, shares))))]
    for group, _ in summary.causes[:_MAX_CAUSES]:
        lines += ["", *_cause_lines(group, paint)]
    lines += [f"\n  {more}" for more in _more_causes(summary, _MAX_CAUSES)]
    lines += [
        f"\n  {paint('warning', 'filtered')}  {text}" for text in describe_image_warnings(summary.image_warnings)
    ]
    lines += [f"\n  {paint('warning', 'filtered')}  {one_line(notice, 300)}" for notice in summary.notices]
    for step in summary.next_steps:
        lines += ["", f"  {paint('next', 'bold')}  {printable(step.text)}", f"{_INDENT}{printable(step.command)}"]
    files = [f"{printable(summary.facts.out)}/{name}" for name in _files(summary)]
    lines += ["", *(f"  {paint(file, 'dim')}" for file in files)]
    return "\n".join(lines) + "\n"


def to_markdown(summary: Summary) -> str:
    """The same as `summary.md` and for Prefect's page: short paragraphs that also read well in a plain editor."""
    attempts = f"{plural(summary.attempts, 'attempt')}, {summary.facts.refused_429:,} refused by a rate limit (429)"
    paragraphs = [
        f"# {_escaped(_headline(summary))}",
        *map(_escaped, _endings(summary)),
        f"{_escaped(_counts(summary, between=', '))}.",
        f"{_escaped(_capitalized(cost(summary)))}; {attempts}.",
        *(f"{_escaped(fact)}." for fact in (*_earlier_cost(summary), *_older_images(summary), *_prints(summary))),
        *map(_escaped, _short(summary, most=len(summary.short))),
        _markdown_files(summary),
        *(_markdown_causes(summary) if summary.causes else ()),
        *_markdown_image_warnings(summary),
        *_markdown_breakdowns(summary),
        *_markdown_notices(summary),
        *_markdown_images(summary),
        *_markdown_disclosure(summary),
        *_markdown_warnings(summary),
    ]
    return "\n\n".join(paragraphs) + "\n"


def _markdown_breakdowns(summary: Summary) -> Iterator[str]:
    for title, shares in _breakdowns(summary):
        yield f"## {_escaped(_capitalized(title))}"
        yield "\n".join(f"- {_escaped(f'{name}: {fact}')}" for name, fact in _share_facts(summary, shares))


def _markdown_notices(summary: Summary) -> Iterator[str]:
    if summary.notices:
        yield "## Models that end soon"
        yield "\n".join(f"- {_escaped(one_line(notice, 300))}" for notice in summary.notices)


def _markdown_disclosure(summary: Summary) -> Iterator[str]:
    if summary.disclosure.text and summary.state != "running":
        yield "## Disclosure"
        yield _escaped(summary.disclosure.text)


def _markdown_images(summary: Summary) -> Iterator[str]:
    if summary.counts["ok"]:
        yield "## Images"
        lines = [f"- {_escaped(name)}: {samples}" for name, samples in row_lines(list(summary.listed_rows))]
        if summary.further_rows:
            lines.append(f"- and {plural(summary.further_rows, 'more row')}: see manifest.csv")
        yield "\n".join(lines)


def _breakdowns(summary: Summary) -> Iterator[tuple[str, tuple[Share, ...]]]:
    """Titles and shares: by model where there are several, by the column that was chosen."""
    if len(summary.models) > 1:
        yield "by model", summary.models
    if summary.group_by is not None and summary.groups:
        yield f"by {one_line(summary.group_by, 60)}", summary.groups


def _share_facts(summary: Summary, shares: tuple[Share, ...]) -> Iterator[tuple[str, str]]:
    """Name, and images with their cost in the folder and in this run, of each share."""
    for share in shares[:_MAX_SHARES]:
        run = f", {usd(share.run_usd)} of it in this run" if summary.facts.run_usd is not None else ""
        images = f"{share.images:,} of {plural(share.samples, 'image')}"
        name = one_line(share.name, 60) or "(empty)"
        yield name, f"{images}, {usd(share.usd)}{run if share.run_usd != share.usd else ''}"
    if len(shares) > _MAX_SHARES:
        yield f"{len(shares) - _MAX_SHARES:,} more", "see summary.json"


def _aligned(pairs: list[tuple[str, str]]) -> Iterator[str]:
    width = max(len(name) for name, _ in pairs)
    yield from (f"{name:<{width}}   {fact}" for name, fact in pairs)


def _markdown_files(summary: Summary) -> str:
    names = (*(["images/"] if summary.counts["ok"] else []), *_files(summary, but="summary.md"))
    return "Files: " + ", ".join(f"[{name}]({name})" for name in names)


def _markdown_warnings(summary: Summary) -> Iterator[str]:
    if summary.facts.warnings:
        yield "## Warnings about the input"
        yield "\n".join(f"- {_escaped(one_line(warning, 1000))}" for warning in summary.facts.warnings)


def _markdown_image_warnings(summary: Summary) -> Iterator[str]:
    if summary.image_warnings:
        yield "## Images to look at"
        yield "\n".join(f"- {_escaped(text)}" for text in describe_image_warnings(summary.image_warnings))


def _markdown_causes(summary: Summary) -> Iterator[str]:
    yield "## Why images are missing"
    for group, _ in summary.causes[:_MAX_CAUSES_ON_PAGE]:
        yield _markdown_cause(group)
    yield from _more_causes(summary, _MAX_CAUSES_ON_PAGE)
    yield "## Next steps"
    for step in summary.next_steps:
        yield _escaped(printable(step.text))
        # Indented text is taken as it is: a command can be copied whatever is in it.
        yield f"    {printable(step.command)}"


def _markdown_cause(group: FailureGroup) -> str:
    facts = [_escaped(one_line(fact, 120)) for fact in _facts(group)]
    lines = (
        f"- **{group.count:,} {group.status.replace('_', ' ')}**: {', '.join(facts)}",
        f"  Message: {_escaped(one_line(group.message, 300))}",
        f"  Example: {_escaped(one_line(group.example, 120))}",
        *([f"  {_escaped(one_line(group.advice.text, 400))}"] if group.advice is not None else []),
    )
    return "  \n".join(lines)  # two spaces at the end of a line break it


def cost(summary: Summary) -> str:
    """What the run cost, and how sure that is."""
    lost = "lost attempt" if summary.unpriced == 1 else "lost attempts"
    unpriced = f"no price is known for {plural(summary.unpriced, 'image')} or {lost}"
    if summary.cost_usd is None:
        return f"cost unknown: {unpriced}"
    about = "about " if summary.estimated else ""
    simulated = summary.facts.provider == "simulator"
    known = f"{'the simulator charges nothing; for real: ' if simulated else 'cost '}{about}{usd(summary.cost_usd)}"
    run_usd = summary.facts.run_usd
    if run_usd is not None and round(run_usd, 6) != summary.cost_usd:
        known += f", {usd(run_usd)} of it in this run"
    if summary.cost_high_usd is None:
        return f"{known}, and more: {unpriced}"
    if summary.cost_high_usd <= summary.cost_low_usd:
        return known
    between = f"between {usd(summary.cost_low_usd)} and {usd(summary.cost_high_usd)}"
    uncertain = [plural(summary.lost_attempts, "attempt") + " whose reply was lost"] if summary.lost_attempts else []
    uncertain += [f"{plural(summary.in_flight, 'image')} in flight"] if summary.in_flight else []
    what = " and ".join(uncertain) or "attempts whose reply was lost"
    return f"{known} ({between}: {what} may {'be' if summary.in_flight else 'have been'} charged)"


def _files(summary: Summary, *, but: str = "") -> Iterator[str]:
    """The tables to look at, under the names that they could be written to."""
    if summary.facts.has_gallery:
        yield "gallery.html"
    alternates = {file.name: file.alternate for file in summary.facts.unwritten}
    for name in _FILES:
        written = alternates.get(name, name)
        if written is not None and name != but and (name != "failures.csv" or summary.causes):
            yield written


def _cause(group: FailureGroup, step: NextStep) -> dict[str, Any]:
    return {
        "status": group.status,
        "error_kind": group.error_kind,
        "count": group.count,
        "rows": list(group.rows),
        "message": group.message,
        "next": str(step),
        "http_status": group.http_status,
        "filter_category": group.filter_category,
        "cost_usd": round(group.cost_usd, 6),
        "example": group.example,
        "advice": None if group.advice is None else _advice(group.advice),
    }


def _advice(advice: Advice) -> dict[str, Any]:
    return {"words": advice.words, "setting": advice.setting, "hint": advice.hint, "text": advice.text}


def _iso(moment: datetime | None) -> str | None:
    return (
        None if moment is None else moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def _headline(summary: Summary) -> str:
    asked, ok = summary.asked, summary.counts["ok"]
    simulated = " (by the simulator)" if summary.facts.provider == "simulator" else ""
    if summary.state == "running":
        return f"running: {ok:,} of {plural(asked, 'image')}{simulated} so far"
    images = summary.missing - summary.open_redos  # not those that --accept replaced
    without = f", {images:,} missing" if images else ""
    redos = f", {plural(summary.open_redos, 'redo')} not made" if summary.open_redos else ""
    return f"{summary.state}: {ok:,} of {plural(asked, 'image')}{simulated}{without}{redos}"


def _endings(summary: Summary) -> Iterator[str]:
    if summary.stopped_by and summary.exit_code:
        yield one_line(summary.stopped_by, 600)
    unwritten = describe_unwritten(summary.facts.unwritten)
    if unwritten not in (summary.stopped_by or ""):
        yield one_line(unwritten, 600)


def _short(summary: Summary, *, most: int = _SHORT_SHOWN) -> Iterator[str]:
    """The rows that are short of the images that --accept wants."""
    if not summary.short:
        return
    listed = "; ".join(one_line(str(row), 80) for row in summary.short[:most])
    more = f"; and {len(summary.short) - most:,} more" if len(summary.short) > most else ""
    yield f"{plural(len(summary.short), 'row')} short of --accept: {listed}{more}"


def _older_images(summary: Summary) -> Iterator[str]:
    if summary.facts.older_images:
        older = plural(summary.facts.older_images, "older image")
        yield f"{older} kept: earlier prompts or versions, or rows no longer in this file"


def _earlier_cost(summary: Summary) -> Iterator[str]:
    if summary.earlier_usd:
        yield f"{usd(summary.earlier_usd)} of the cost is for earlier prompts, or rows no longer in this file"


def _prints(summary: Summary) -> Iterator[str]:
    yield from (one_line(each.sentence(), 300) for each in summary.prints)


def _counts(summary: Summary, *, between: str = "   ") -> str:
    counts: dict[str, int] = dict(summary.counts.items())
    counts["not_attempted"] -= summary.in_flight
    counts["in flight"] = summary.in_flight
    return between.join(f"{name} {count:,}" for name, count in counts.items() if count or name == "ok")


def _cause_lines(group: FailureGroup, paint: _Paint) -> Iterator[str]:
    status = paint(group.status, group.status)
    yield "  ".join((f"{group.count:>7,}", status, *map(printable, _facts(group))))
    yield f"{_INDENT}{one_line(group.message, 160)}"
    yield f"{_INDENT}e.g. {one_line(group.example, 90)}"
    if group.advice is not None:
        yield f"{_INDENT}{one_line(group.advice.text, 300)}"


def _facts(group: FailureGroup) -> Iterator[str]:
    http = f"HTTP {group.http_status}" if group.http_status else None
    rows = format_rows(group.rows, group.row_count, group.ids)
    money = f"cost {usd(group.cost_usd)}" if group.cost_usd else None
    yield from filter(None, (group.error_kind, http, group.filter_category, rows, money))


def _more_causes(summary: Summary, shown: int) -> Iterator[str]:
    more = len(summary.causes) - shown
    if more > 0:
        yield f"and {plural(more, 'more cause')}: see summary.json and manifest.csv"


def _escaped(text: str) -> str:
    """Text that Markdown and HTML leave alone. Underscores inside words and most signs need no backslash."""
    html = text.replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*~|\[\]]|(?<!\w)_|_(?!\w)|^[#>+-]|^\d+(?=[.)]))", _backslashed, html)


def _backslashed(found: re.Match[str]) -> str:
    text = found[0]
    return f"{text[:-1]}{text[-1]}\\" if text[-1].isdigit() else f"\\{text}"


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _plain(text: str, _style: str) -> str:
    return text


def _painted(text: str, style: str) -> str:
    return f"\x1b[{_COLORS[style]}m{text}\x1b[0m" if style in _COLORS else text


_Paint = Callable[[str, str], str]
_INDENT = " " * 9
