"""Compares the tables of a run with what its ledger and its input say.

All tables are written again into a temporary folder and compared with those of the run. What depends on the moment
of writing (times of the summary, the README's words) is not compared.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, Final

import orjson

from imagen_batch.audit.expected import SampleId
from imagen_batch.audit.findings import Finding
from imagen_batch.audit.plausibility import Plausible
from imagen_batch.audit.table_diff import table_findings
from imagen_batch.ledger.history import History
from imagen_batch.ledger.reader import ledger_files
from imagen_batch.planning.plan import RunPlan
from imagen_batch.records import Outcome
from imagen_batch.reports.dataset import CARD
from imagen_batch.reports.failures import ADDED, MARK
from imagen_batch.reports.render import to_json
from imagen_batch.reports.results import Results
from imagen_batch.reports.summary import RunFacts, SummaryBuilder
from imagen_batch.reports.tables import TableWriter
from imagen_batch.storage import LEDGER, Folder, Storage
from imagen_batch.storage.regular_files import irregularity

MANIFESTS: Final = ("manifest.parquet", "manifest.csv")
_COMPARED: Final = (*MANIFESTS, "metadata.parquet")
TABLES: Final = (*_COMPARED, "failures.csv", "summary.json", "summary.md", CARD)

_COUNTED: Final = ("attempts", "refused_429", "cost_usd", "cost_low_usd", "cost_high_usd")
_STATUS: Final = -len(ADDED)  # where the added columns of failures.csv begin
_NOT_SENT: Final = frozenset({"not_attempted", "skipped_budget"})
_CENT: Final = 0.01

_Lines = Counter[tuple[str, ...]]


def check_tables(
    storage: Storage, plan: RunPlan, past: History, *, reported: Mapping[SampleId, Finding]
) -> Iterator[Finding]:
    """The findings about tables, and about what the service sent, which is seen while they are written again.

    `reported`: samples with a finding of their own, which says more than their rows do.
    """
    with tempfile.TemporaryDirectory(prefix="imagen-batch-audit-") as folder:
        plausible = Plausible()
        summary = _write_again(Path(folder), plan, past, storage, plausible)
        found = chain(*(_look_at(storage, name, Path(folder), summary, reported) for name in TABLES))
        if not _tables_outdated(storage):
            yield from found
        elif next(found, None) is not None:  # one cause, one finding
            yield Finding("stale", "the last run ended before it wrote its tables", MANIFESTS[0])
        yield from plausible.findings(reported)


def _write_again(
    folder: Path, plan: RunPlan, past: History, storage: Storage, plausible: Plausible
) -> Mapping[str, Any]:
    """Write the tables by the ledger alone; returns the summary."""
    tally, file, provider = SummaryBuilder(), plan.file, plan.settings.provider
    with TableWriter(
        Folder(folder), user_columns=file.user_columns, columns=file.columns, provider=provider
    ) as tables:
        for entry in Results(plan, past, storage, pending_status(storage)).recorded():
            tables.add(entry)
            tally.add(entry)
            plausible.look(entry)
    if tables.unwritten:  # a full disk, say: nothing can be compared
        [lost, *_] = tables.unwritten
        raise OSError(lost.error_number, f"{folder / lost.name}: {lost.reason}")
    charges = past.charges(provider)
    now = datetime.now(UTC)
    facts = RunFacts(
        out=storage.place,
        command="imagen-batch",
        started_at=now,
        finished_at=now,
        provider=provider,
        attempts=past.attempts,
        refused_429=past.refused_429,
        money=charges.money,
        lost_attempts=charges.lost_attempts,
    )
    return to_json(tally.summary(facts))


def pending_status(storage: Storage) -> Outcome:
    """What the tables call a sample that nothing was sent for: the last summary alone knows of a budget."""
    if irregularity(storage, "summary.json"):
        return "not_attempted"
    try:
        skipped = orjson.loads(storage.read("summary.json"))["samples"]["skipped_budget"]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        return "not_attempted"
    return "skipped_budget" if skipped else "not_attempted"


def _look_at(
    storage: Storage, name: str, folder: Path, summary: Mapping[str, Any], reported: Mapping[SampleId, Finding]
) -> Iterator[Finding]:
    if (odd := irregularity(storage, name)) is not None:
        yield Finding("stale", f"is {odd}, not a table", name)
    elif storage.size(name) is None:
        yield Finding("stale", "is missing", name)
    elif name in _COMPARED:
        yield from table_findings(storage.local(name), folder / name, reported=reported)
    elif name == "failures.csv":
        yield from _look_at_failures(storage.local(name), folder / name, [one.path for one in reported.values()])
    elif name == "summary.json":
        # What the ledger has lost about a sample it has also lost about money.
        lacking = any(one.kind in {"unrecorded", "paid_undelivered"} for one in reported.values())
        yield from _look_at_summary(storage.read(name), summary, count=len(reported), count_only=lacking)


def _tables_outdated(storage: Storage) -> bool:
    """Whether the last run began after the last summary was written."""
    begun = max((path.name for path in ledger_files(storage.logs(LEDGER))), default="")
    if irregularity(storage, "summary.json"):
        return False
    try:
        summary = orjson.loads(storage.read("summary.json"))
        finished = datetime.fromisoformat(summary["finished_at"]).timestamp()
    except FileNotFoundError:
        return storage.size(MANIFESTS[0]) is None
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return False
    return f"{finished:015.3f}" < begun


def _look_at_failures(stored: Path, expected: Path, files: Sequence[str | None]) -> Iterator[Finding]:
    """Lines that the ledger does not give, and those that are missing.

    `files` are those of samples with a finding of their own: their lines may be there and may be missing.
    """
    try:
        header, theirs = _lines(stored)
    except (csv.Error, UnicodeDecodeError) as error:
        yield Finding("stale", f"can't be read: {error}", stored.name)
        return
    wanted, ours = _lines(expected, marked=header[-1:] == [MARK])
    if header != wanted:
        yield Finding("stale", "has other columns than a run writes", stored.name)
        return
    gone = [file for file in files if file]
    surplus = sum(
        count for line, count in (theirs - ours).items() if not any(file in cell for file in gone for cell in line)
    )
    missing = max(0, (ours - theirs).total() - len(files))
    parts = [(surplus, "holds {} line(s) that the ledger does not give"), (missing, "lacks {} line(s)")]
    said = [text.format(count) for count, text in parts if count]
    if said:
        yield Finding("stale", f"{' and '.join(said)} (edits of your own are kept in set-aside)", stored.name)


def _lines(path: Path, *, marked: bool = True) -> tuple[list[str], _Lines]:
    """Header and lines. Not `marked`: without the last column, which earlier versions did not write."""
    csv.field_size_limit(sys.maxsize)
    with path.open(newline="", encoding="utf-8-sig") as text:
        lines = csv.reader(text, strict=True)
        header = next(lines, [])
        has_mark = header[-1:] == [MARK]
        status = _STATUS + (not has_mark)
        last = -1 if has_mark and not marked else None
        return header[:last], Counter(tuple(_as_not_sent(line, status)[:last]) for line in lines)


def _as_not_sent(line: list[str], status: int) -> list[str]:
    """What a budget left out is to the ledger the same as what was not attempted."""
    if len(line) >= -status and line[status] in _NOT_SENT:
        line[status] = "not_attempted"
    return line


def _look_at_summary(data: bytes, expected: Mapping[str, Any], *, count: int, count_only: bool) -> Iterator[Finding]:
    """`count`: samples with a finding of their own, which a later summary may count otherwise.

    With `count_only` sums of money are not compared.
    """
    name = "summary.json"
    try:
        summary = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        yield Finding("stale", f"can't be read: {error}", name)
        return
    if not isinstance(summary, dict) or not isinstance(summary.get("samples"), dict):
        yield Finding("stale", "is not a summary", name)
        return
    for key in () if count_only else _COUNTED:
        if not _is_about(summary.get(key), expected[key]):
            yield Finding("stale", f"says {key} {summary.get(key)}, the ledger says {expected[key]}", name)
    said, wanted = _by_status(summary["samples"]), _by_status(expected["samples"])
    wrong = [key for key in wanted if not _is_number(said.get(key)) or abs(said[key] - wanted[key]) > count]
    if wrong:
        detail = ", ".join(f"{key} {said.get(key)} (the ledger says {wanted[key]})" for key in wrong)
        yield Finding("stale", f"counts samples otherwise: {detail}", name)


def _by_status(samples: Mapping[str, Any]) -> dict[str, Any]:
    """The counts, with what was never sent counted together."""
    kept = {key: count for key, count in samples.items() if key not in _NOT_SENT}
    unsent = [samples.get(key, 0) for key in _NOT_SENT]
    return kept | {"not sent": sum(unsent) if all(map(_is_number, unsent)) else None}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_about(said: Any, wanted: Any) -> bool:
    """Sums of money are rounded, and may be added up in another order."""
    if _is_number(said) and _is_number(wanted):
        return bool(abs(said - wanted) < (_CENT if isinstance(wanted, float) else 1))
    return bool(said == wanted)
