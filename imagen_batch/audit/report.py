"""Formats an audit's findings for a terminal and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import orjson

from imagen_batch.audit.findings import KINDS, Audit, Finding
from imagen_batch.audit.provenance.verify_run import Provenance, provenance_facts
from imagen_batch.reports.next_steps import make_absolute
from imagen_batch.text import json_text, plural, printable, usd_at_most

_MAX_SHOWN_PER_KIND = 20


def audit_text(audit: Audit) -> str:
    """Format the findings for people: the first few of each kind, and what a repair would do."""
    images = plural(audit.checked, "image")
    if audit.clean:
        edited = audit.counts["edited"]
        exception = f", except {edited} that you edited, which are kept" if edited else ""
        lines = [f"{audit.location}: clean; {images} in place and unchanged{exception}"]
    else:
        lines = [f"{audit.location}: damaged, {plural(len(audit.damage), 'finding')}; {images} checked"]
    for kind in KINDS:
        findings = audit.of(kind)
        lines += [_format_finding(finding) for finding in findings[:_MAX_SHOWN_PER_KIND]]
        if len(findings) > _MAX_SHOWN_PER_KIND:
            lines.append(f"  {kind:<16}  and {len(findings) - _MAX_SHOWN_PER_KIND} more (--json lists all)")
    return "\n".join([*lines, *_next_steps(audit)])


def audit_json(audit: Audit, *, provenance: Provenance | None = None) -> str:
    """Format all findings for programs, and the provenance where it was verified."""
    counts = audit.counts
    return json_text(
        {
            "schema_version": 1,
            "state": "clean" if audit.clean else "damaged",
            "out": audit.location,
            "checked": audit.checked,
            "counts": {kind: counts[kind] for kind in KINDS},
            "findings": [asdict(finding) for finding in audit.findings],
            **({} if provenance is None else {"provenance": provenance_facts(provenance)}),
        },
        option=orjson.OPT_INDENT_2,
    )


def _format_finding(finding: Finding) -> str:
    sample = "" if finding.row is None else f"row {finding.row}, sample {finding.sample}: "
    path = f"{finding.path}  " if finding.path else ""
    return f"  {finding.kind:<16}  {printable(path + sample + finding.detail)}"


def _next_steps(audit: Audit) -> Iterator[str]:
    """Yield what a repair would do, one line for each step."""
    steps = (
        (
            audit.of("damaged"),
            "damaged part",
            "to skip; their images are recovered from the image files",
        ),
        (
            audit.lost,
            "image",
            "to make and pay for again; damaged files are moved to .imagen-batch/set-aside",
        ),
        (
            [finding for finding in audit.findings if finding.found_at is not None],
            "image",
            "to restore from another file",
        ),
        (audit.of("unrecorded"), "image", "to record"),
    )
    if audit.needs_repair:
        yield f"next: imagen-batch audit {shlex.quote(make_absolute(audit.location))} --repair"
        yield from (f"  {plural(len(findings), noun)} {step}" for findings, noun, step in steps if findings)
        yield "  all tables to rewrite from the ledger"
    if lost_replies := audit.of("paid_undelivered"):
        folder = shlex.quote(make_absolute(audit.location))
        yield f"no reply arrived for {plural(len(lost_replies), 'image')}, {_possible_charge(lost_replies)}"
        yield f"  to send them again, possibly for a second charge: imagen-batch resume {folder} --retry unknown"
    if audit.of("foreign", "duplicated"):
        yield "foreign and duplicated files are yours to keep or delete; a repair does not touch them"
    if audit.of("duplicate", "shape"):
        yield "duplicate images and shapes are as the service sent them; a repair does not make them again"


def _possible_charge(lost_replies: Sequence[Finding]) -> str:
    if any(finding.usd is None for finding in lost_replies):
        return "which may have been charged, at an unknown price"
    most = usd_at_most(sum(finding.usd or 0.0 for finding in lost_replies))
    return f"which may have been charged, at most {most} in all"
