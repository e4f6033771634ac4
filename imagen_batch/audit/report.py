"""Formats an audit's findings for a terminal and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import asdict

import orjson

from imagen_batch.audit.findings import KINDS, Audit, Finding
from imagen_batch.reports.next_steps import absolute
from imagen_batch.text import json_text, printable

_SHOWN_OF_A_KIND = 20


def audit_text(audit: Audit) -> str:
    """The findings for people: the first few of each kind, and what would be done about them."""
    if audit.clean:
        lines = [f"{audit.place}: clean; {audit.checked} pictures are there and as they came{_but_edited(audit)}"]
    else:
        lines = [f"{audit.place}: damaged, {len(audit.findings)} finding(s); {audit.checked} pictures checked"]
    for kind in KINDS:
        found = audit.of(kind)
        lines += [_line(one) for one in found[:_SHOWN_OF_A_KIND]]
        if len(found) > _SHOWN_OF_A_KIND:
            lines.append(f"  {kind:<16}  and {len(found) - _SHOWN_OF_A_KIND} more (--json lists all)")
    return "\n".join([*lines, *_next(audit)])


def _but_edited(audit: Audit) -> str:
    edited = audit.counts["edited"]
    return f", but for {edited} that you edited and that stay as they are" if edited else ""


def audit_json(audit: Audit) -> str:
    """All findings for programs."""
    counts = audit.counts
    return json_text(
        {
            "schema_version": 1,
            "state": "clean" if audit.clean else "damaged",
            "out": audit.place,
            "checked": audit.checked,
            "counts": {kind: counts[kind] for kind in KINDS},
            "findings": [asdict(finding) for finding in audit.findings],
        },
        option=orjson.OPT_INDENT_2,
    )


def _line(finding: Finding) -> str:
    place = "" if finding.row is None else f"row {finding.row}, sample {finding.sample}: "
    path = f"{finding.path}  " if finding.path else ""
    return f"  {finding.kind:<16}  {printable(path + place + finding.detail)}"


def _next(audit: Audit) -> Iterator[str]:
    """What a repair would do, one line each."""
    anew = audit.lost
    back = [one for one in audit.findings if one.found_at is not None]
    steps = (
        (audit.of("damaged"), "damaged parts to pass over; what their images are is found by their files"),
        (anew, "pictures to make and pay for again; what lies in their place goes to .imagen-batch/set-aside"),
        (back, "pictures to put back from where their bytes were found"),
        (audit.of("unrecorded"), "pictures to record"),
        (audit.of("paid_undelivered"), "pictures to ask for again, unless the run holds what is unknown"),
    )
    if audit.needs_repair:
        yield f"next: imagen-batch audit {shlex.quote(absolute(audit.place))} --repair"
        yield from (f"  {len(found)} {step}" for found, step in steps if found)
        yield "  all tables to write anew from the ledger"
    if audit.of("foreign", "duplicated"):
        yield "foreign and duplicated files are yours to keep or to delete: nothing touches them"
    if audit.of("duplicate", "shape"):
        yield "duplicate images and shapes are as the service sent them; a repair does not buy them again"
