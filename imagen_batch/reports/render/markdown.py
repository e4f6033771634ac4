"""Renders a summary as `summary.md` and for Prefect's page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from imagen_batch.reports.causes import FailureGroup
from imagen_batch.reports.counters.first_images import row_lines
from imagen_batch.reports.image_warnings import describe_image_warnings
from imagen_batch.reports.render.sentences import (
    breakdowns,
    cause_facts,
    cost,
    counts,
    earlier_cost,
    endings,
    file_names,
    headline,
    more_causes,
    older_images,
    prints,
    share_facts,
    short_rows,
)
from imagen_batch.reports.summary import Summary
from imagen_batch.text import one_line, plural, printable

_MAX_CAUSES_ON_PAGE = 50


def to_markdown(summary: Summary) -> str:
    """Render the summary for `summary.md` and Prefect's page, in short paragraphs that read well in any editor."""
    attempts = f"{plural(summary.attempts, 'attempt')}, {summary.facts.refused_429:,} refused by a rate limit (429)"
    paragraphs = [
        f"# {_escaped(headline(summary))}",
        *map(_escaped, endings(summary)),
        f"{_escaped(counts(summary, between=', '))}.",
        f"{_escaped(_capitalized(cost(summary)))}; {attempts}.",
        *(f"{_escaped(fact)}." for fact in (*earlier_cost(summary), *older_images(summary), *prints(summary))),
        *map(_escaped, short_rows(summary, most=len(summary.short))),
        _markdown_files(summary),
        *(_markdown_causes(summary) if summary.causes else ()),
        *_list_section("Images to look at", describe_image_warnings(summary.image_warnings)),
        *_markdown_breakdowns(summary),
        *_list_section("Models that end soon", (one_line(notice, 300) for notice in summary.notices)),
        *_markdown_images(summary),
        *_markdown_disclosure(summary),
        *_list_section("Warnings about the input", (one_line(text, 1000) for text in summary.facts.warnings)),
    ]
    return "\n\n".join(paragraphs) + "\n"


def _markdown_files(summary: Summary) -> str:
    names = (*(["images/"] if summary.counts["ok"] else []), *file_names(summary, but="summary.md"))
    return "Files: " + ", ".join(f"[{name}]({name})" for name in names)


def _markdown_causes(summary: Summary) -> Iterator[str]:
    yield "## Why images are missing"
    for group, _ in summary.causes[:_MAX_CAUSES_ON_PAGE]:
        yield _markdown_cause(group)
    yield from more_causes(summary, _MAX_CAUSES_ON_PAGE)
    yield "## Next steps"
    for step in summary.next_steps:
        yield _escaped(printable(step.text))
        # Indented text is taken as it is: a command can be copied whatever is in it.
        yield f"    {printable(step.command)}"


def _markdown_cause(group: FailureGroup) -> str:
    facts = [_escaped(one_line(fact, 120)) for fact in cause_facts(group)]
    lines = (
        f"- **{group.count:,} {group.status.replace('_', ' ')}**: {', '.join(facts)}",
        f"  Message: {_escaped(one_line(group.message, 300))}",
        f"  Example: {_escaped(one_line(group.example, 120))}",
        *([f"  {_escaped(one_line(group.advice.text, 400))}"] if group.advice is not None else []),
    )
    return "  \n".join(lines)  # two spaces at the end of a line break it


def _markdown_breakdowns(summary: Summary) -> Iterator[str]:
    for title, shares in breakdowns(summary):
        facts = (f"{name}: {fact}" for name, fact in share_facts(summary, shares))
        yield from _list_section(_escaped(_capitalized(title)), facts)


def _markdown_images(summary: Summary) -> Iterator[str]:
    if summary.counts["ok"]:
        yield "## Images"
        lines = [f"- {_escaped(name)}: {samples}" for name, samples in row_lines(list(summary.listed_rows))]
        if summary.further_rows:
            lines.append(f"- and {plural(summary.further_rows, 'more row')}: see manifest.csv")
        yield "\n".join(lines)


def _markdown_disclosure(summary: Summary) -> Iterator[str]:
    if summary.disclosure.text and summary.state != "running":
        yield "## Disclosure"
        yield _escaped(summary.disclosure.text)


def _list_section(title: str, texts: Iterable[str]) -> Iterator[str]:
    """Yield a heading and a list, or nothing where there are no texts."""
    if lines := [f"- {_escaped(text)}" for text in texts]:
        yield f"## {title}"
        yield "\n".join(lines)


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _escaped(text: str) -> str:
    """Text that Markdown and HTML leave alone. Underscores inside words and most signs need no backslash."""
    html = text.replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*~|\[\]]|(?<!\w)_|_(?!\w)|^[#>+-]|^\d+(?=[.)]))", _backslashed, html)


def _backslashed(found: re.Match[str]) -> str:
    text = found[0]
    return f"{text[:-1]}{text[-1]}\\" if text[-1].isdigit() else f"\\{text}"
