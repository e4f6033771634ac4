"""Renders a summary as JSON, for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson

from imagen_batch.records import OUTCOMES
from imagen_batch.reports.causes import FailureGroup
from imagen_batch.reports.counters.cost_breakdown import Share
from imagen_batch.reports.explain_refusal import Advice
from imagen_batch.reports.next_steps import NextStep
from imagen_batch.reports.summary import Summary
from imagen_batch.text import iso_utc, json_text


def to_json(summary: Summary) -> dict[str, Any]:
    """Return the content of `summary.json` and of `--json`. Names are a contract; new ones are added at the end."""
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
        "started_at": iso_utc(summary.facts.started_at),
        "finished_at": summary.facts.finished_at and iso_utc(summary.facts.finished_at),
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


def to_json_text(summary: Summary) -> str:
    """Return the text of `summary.json`."""
    return json_text(to_json(summary), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


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
