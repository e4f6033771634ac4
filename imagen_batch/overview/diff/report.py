"""Formats a comparison as text of 80 columns and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from imagen_batch.overview.diff.compare import Comparison, Difference
from imagen_batch.overview.diff.samples import RunSamples, Sample
from imagen_batch.text import json_text, one_line, plural, printable, usd

_MAX_SHOWN = 40
_WIDTH = 80


def comparison_text(comparison: Comparison) -> str:
    """Format totals, then the first differences with both sides."""
    shown, different = comparison.differences[:_MAX_SHOWN], len(comparison.differences)
    lines = [
        _run_line("A", comparison.before),
        _run_line("B", comparison.after),
        "",
        f"matched by {comparison.matched_by}: {comparison.same:,} the same, {different:,} different",
        *(f"{count:>9,}  {', '.join(changes)}" for changes, count in comparison.counts.most_common()),
    ]
    for difference in shown:
        lines += ["", *_difference_lines(difference)]
    if further := different - len(shown):
        lines += ["", f"and {plural(further, 'more sample')}: --json or --html FILE shows them"]
    return "\n".join(lines)


def comparison_json(comparison: Comparison) -> str:
    """Format the comparison as one JSON object with every difference."""
    facts = {
        "schema_version": 1,
        "before": _run_facts(comparison.before),
        "after": _run_facts(comparison.after),
        "matched_by": comparison.matched_by,
        "same": comparison.same,
        "different": len(comparison.differences),
        "changes": [
            {"changed": list(changes), "samples": count} for changes, count in comparison.counts.most_common()
        ],
        "samples": [
            {
                "changed": list(difference.changes),
                "before": _sample_facts(difference.before),
                "after": _sample_facts(difference.after),
            }
            for difference in comparison.differences
        ],
    }
    return json_text(facts, option=orjson.OPT_INDENT_2)


def outcome(sample: Sample) -> str:
    """Return status and reason: "filtered (violence)"."""
    status = sample.status.replace("_", " ")
    return f"{status} ({one_line(sample.reason, 60)})" if sample.reason and sample.status != "ok" else status


def label(difference: Difference) -> str:
    """Name a sample: row, the user's id and the number."""
    sample = difference.sample
    name = f" ({one_line(sample.id, 40)})" if sample.id else ""
    return f"row {sample.row}{name}, sample {sample.number}"


def _run_line(name: str, run: RunSamples) -> str:
    facts = f"{run.images:,} of {plural(len(run.samples), 'image')}, {usd(run.cost_usd)}"
    return f"{name}  {printable(run.location)}: {facts}"


def _difference_lines(difference: Difference) -> Iterator[str]:
    yield one_line(f"{label(difference)}: {', '.join(difference.changes)}", _WIDTH)
    before, after = difference.before, difference.after
    if before is None or after is None:
        yield one_line(f"   {outcome(difference.sample)}  {difference.sample.prompt}".strip(), _WIDTH - 3)
        return
    for name, old, new in (
        ("prompt", before.prompt, after.prompt),
        ("model", before.model, after.model),
        ("status", outcome(before), outcome(after)),
        ("image", before.file or "", after.file or ""),
    ):
        if name in difference.changes or (name == "status" and "reason" in difference.changes):
            yield f"   A {name:<7} {one_line(old, _WIDTH - 14)}"
            yield f"   B {'':<7} {one_line(new, _WIDTH - 14)}"


def _run_facts(run: RunSamples) -> dict[str, Any]:
    return {"out": run.location, "samples": len(run.samples), "ok": run.images, "cost_usd": run.cost_usd}


def _sample_facts(sample: Sample | None) -> dict[str, Any] | None:
    if sample is None:
        return None
    return {
        "row": sample.row,
        "id": sample.id or None,
        "sample": sample.number,
        "status": sample.status,
        "reason": sample.reason or None,
        "prompt": sample.prompt,
        "model": sample.model,
        "file": sample.file,
        "sha256": sample.sha256,
        "cost_usd": sample.cost_usd,
    }
