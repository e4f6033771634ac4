"""Renders a summary for a terminal, in a few aligned lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from imagen_batch.reports.causes import FailureGroup
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
from imagen_batch.text import one_line, printable

_MAX_CAUSES = 10
_INDENT = " " * 9
_COLORS = {"ok": "32", "filtered": "33", "failed": "31", "unknown": "35", "bold": "1", "dim": "2"}
_Paint = Callable[[str, str], str]


def to_terminal(summary: Summary, *, color: bool) -> str:
    """Render the summary in a few aligned lines. `color` adds ANSI sequences and changes nothing else."""
    paint = _painted if color else _plain
    facts = (
        *endings(summary),
        counts(summary),
        *short_rows(summary),
        *older_images(summary),
        cost(summary),
        *earlier_cost(summary),
        *prints(summary),
    )
    lines = [paint(headline(summary), "bold"), *(f"  {fact}" for fact in facts)]
    for title, shares in breakdowns(summary):
        lines += ["", f"  {title}", *(f"    {line}" for line in _aligned(list(share_facts(summary, shares))))]
    for group, _ in summary.causes[:_MAX_CAUSES]:
        lines += ["", *_cause_lines(group, paint)]
    lines += [f"\n  {more}" for more in more_causes(summary, _MAX_CAUSES)]
    lines += [
        f"\n  {paint('warning', 'filtered')}  {text}" for text in describe_image_warnings(summary.image_warnings)
    ]
    lines += [f"\n  {paint('warning', 'filtered')}  {one_line(notice, 300)}" for notice in summary.notices]
    for step in summary.next_steps:
        lines += ["", f"  {paint('next', 'bold')}  {printable(step.text)}", f"{_INDENT}{printable(step.command)}"]
    lines += ["", *(f"  {paint(f'{printable(summary.facts.out)}/{name}', 'dim')}" for name in file_names(summary))]
    return "\n".join(lines) + "\n"


def _aligned(pairs: list[tuple[str, str]]) -> Iterator[str]:
    width = max(len(name) for name, _ in pairs)
    yield from (f"{name:<{width}}   {fact}" for name, fact in pairs)


def _cause_lines(group: FailureGroup, paint: _Paint) -> Iterator[str]:
    status = paint(group.status, group.status)
    yield "  ".join((f"{group.count:>7,}", status, *map(printable, cause_facts(group))))
    yield f"{_INDENT}{one_line(group.message, 160)}"
    yield f"{_INDENT}e.g. {one_line(group.example, 90)}"
    if group.advice is not None:
        yield f"{_INDENT}{one_line(group.advice.text, 300)}"


def _plain(text: str, _style: str) -> str:
    return text


def _painted(text: str, style: str) -> str:
    return f"\x1b[{_COLORS[style]}m{text}\x1b[0m" if style in _COLORS else text
