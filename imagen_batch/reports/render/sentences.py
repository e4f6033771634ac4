"""Says in words what a summary holds; the terminal and the page have these sentences in common."""

from __future__ import annotations

from collections.abc import Iterator

from imagen_batch.reports.causes import FailureGroup, format_rows
from imagen_batch.reports.counters.cost_breakdown import Share
from imagen_batch.reports.summary import Summary
from imagen_batch.reports.tables.write_without_raising import describe_unwritten
from imagen_batch.text import one_line, plural, usd

_SHORT_SHOWN = 10
_MAX_SHARES = 50
_FILES = ("manifest.csv", "failures.csv", "summary.md")


def headline(summary: Summary) -> str:
    asked, ok = summary.asked, summary.counts["ok"]
    simulated = " (by the simulator)" if summary.facts.provider == "simulator" else ""
    if summary.state == "running":
        return f"running: {ok:,} of {plural(asked, 'image')}{simulated} so far"
    images = summary.missing - summary.open_redos  # not those that --accept replaced
    without = f", {images:,} missing" if images else ""
    redos = f", {plural(summary.open_redos, 'redo')} not made" if summary.open_redos else ""
    return f"{summary.state}: {ok:,} of {plural(asked, 'image')}{simulated}{without}{redos}"


def endings(summary: Summary) -> Iterator[str]:
    if summary.stopped_by and summary.exit_code:
        yield one_line(summary.stopped_by, 600)
    unwritten = describe_unwritten(summary.facts.unwritten)
    if unwritten not in (summary.stopped_by or ""):
        yield one_line(unwritten, 600)


def counts(summary: Summary, *, between: str = "   ") -> str:
    counts: dict[str, int] = dict(summary.counts.items())
    counts["not_attempted"] -= summary.in_flight
    counts["in flight"] = summary.in_flight
    return between.join(f"{name} {count:,}" for name, count in counts.items() if count or name == "ok")


def short_rows(summary: Summary, *, most: int = _SHORT_SHOWN) -> Iterator[str]:
    """Describe the rows that are short of the images that --accept wants."""
    if not summary.short:
        return
    listed = "; ".join(one_line(str(row), 80) for row in summary.short[:most])
    more = f"; and {len(summary.short) - most:,} more" if len(summary.short) > most else ""
    yield f"{plural(len(summary.short), 'row')} short of --accept: {listed}{more}"


def older_images(summary: Summary) -> Iterator[str]:
    if summary.facts.older_images:
        older = plural(summary.facts.older_images, "older image")
        yield f"{older} kept: earlier prompts or versions, or rows no longer in this file"


def cost(summary: Summary) -> str:
    """Describe what the run cost, and how certain that is."""
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


def earlier_cost(summary: Summary) -> Iterator[str]:
    if summary.earlier_usd:
        yield f"{usd(summary.earlier_usd)} of the cost is for earlier prompts, or rows no longer in this file"


def prints(summary: Summary) -> Iterator[str]:
    yield from (one_line(each.sentence(), 300) for each in summary.prints)


def breakdowns(summary: Summary) -> Iterator[tuple[str, tuple[Share, ...]]]:
    """Titles and shares: by model where there are several, by the column that was chosen."""
    if len(summary.models) > 1:
        yield "by model", summary.models
    if summary.group_by is not None and summary.groups:
        yield f"by {one_line(summary.group_by, 60)}", summary.groups


def share_facts(summary: Summary, shares: tuple[Share, ...]) -> Iterator[tuple[str, str]]:
    """Return the name, and images with their cost in the folder and in this run, of each share."""
    for share in shares[:_MAX_SHARES]:
        run = f", {usd(share.run_usd)} of it in this run" if summary.facts.run_usd is not None else ""
        images = f"{share.images:,} of {plural(share.samples, 'image')}"
        name = one_line(share.name, 60) or "(empty)"
        yield name, f"{images}, {usd(share.usd)}{run if share.run_usd != share.usd else ''}"
    if len(shares) > _MAX_SHARES:
        yield f"{len(shares) - _MAX_SHARES:,} more", "see summary.json"


def file_names(summary: Summary, *, but: str = "") -> Iterator[str]:
    """Return the tables to look at, under the names that they could be written to."""
    if summary.facts.has_gallery:
        yield "gallery.html"
    alternates = {file.name: file.alternate for file in summary.facts.unwritten}
    for name in _FILES:
        written = alternates.get(name, name)
        if written is not None and name != but and (name != "failures.csv" or summary.causes):
            yield written


def cause_facts(group: FailureGroup) -> Iterator[str]:
    http = f"HTTP {group.http_status}" if group.http_status else None
    rows = format_rows(group.rows, group.row_count, group.ids)
    money = f"cost {usd(group.cost_usd)}" if group.cost_usd else None
    yield from filter(None, (group.error_kind, http, group.filter_category, rows, money))


def more_causes(summary: Summary, shown: int) -> Iterator[str]:
    more = len(summary.causes) - shown
    if more > 0:
        yield f"and {plural(more, 'more cause')}: see summary.json and manifest.csv"
