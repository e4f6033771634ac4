"""Compares the tables of a run with its ledger and its input.

All tables are written again into a temporary folder and compared with those of the run. Content that depends on the
time of writing (times in the summary, the text of the README) is not compared.
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
from imagen_batch.audit.table_diff import table_findings
from imagen_batch.audit.wrong_prompt_signs import PlausibilityCheck
from imagen_batch.ledger.files import ledger_files
from imagen_batch.ledger.history import History
from imagen_batch.planning.plan import RunPlan
from imagen_batch.reports.manifest_rows import Results
from imagen_batch.reports.render import to_json
from imagen_batch.reports.summary import RunFacts, SummaryBuilder
from imagen_batch.reports.tables.failures import ADDED, ADVICE, MARK
from imagen_batch.reports.tables.names_of_replaced_files import CARD
from imagen_batch.reports.tables.write import TableWriter
from imagen_batch.runs.rewrite import pending_status
from imagen_batch.storage import LEDGER, Folder, Storage
from imagen_batch.storage.irregular_files import irregularity
from imagen_batch.text import plural

MANIFESTS: Final = ("manifest.parquet", "manifest.csv")
_COMPARED: Final = (*MANIFESTS, "metadata.parquet")
TABLES: Final = (*_COMPARED, "failures.csv", "summary.json", "summary.md", CARD)

_COUNTED: Final = ("attempts", "refused_429", "cost_usd", "cost_low_usd", "cost_high_usd")
_NOT_SENT: Final = frozenset({"not_attempted", "skipped_budget"})
_CENT: Final = 0.01

_Lines = Counter[tuple[str, ...]]


def check_tables(
    storage: Storage, plan: RunPlan, history: History, *, reported: Mapping[SampleId, Finding]
) -> Iterator[Finding]:
    """Yield the findings about tables, and about implausible images, which are found while writing the tables again.

    `reported`: samples that have a finding already, which is more specific than a difference in their rows.
    """
    with tempfile.TemporaryDirectory(prefix="imagen-batch-audit-") as folder:
        plausibility = PlausibilityCheck()
        summary = _write_expected(Path(folder), plan, history, storage, plausibility)
        findings = list(chain(*(_check_table(storage, name, Path(folder), summary, reported) for name in TABLES)))
        findings = findings or list(_find_lost_records(storage, Path(folder), reported))
        if not _tables_outdated(storage):
            yield from findings
        elif findings:  # one cause, one finding
            yield Finding("stale", "the last run ended before it wrote its tables", MANIFESTS[0])
        yield from plausibility.findings(reported)


def _write_expected(
    folder: Path, plan: RunPlan, history: History, storage: Storage, plausibility: PlausibilityCheck
) -> Mapping[str, Any]:
    """Write the tables from the ledger alone; returns the summary."""
    builder = SummaryBuilder.of_run(plan.settings)
    file, provider = plan.file, plan.settings.provider
    with TableWriter(
        Folder(folder), user_columns=plan.user_columns, columns=file.columns, provider=provider
    ) as tables:
        for row in Results(plan, history, storage, pending_status(storage)).recorded_rows():
            tables.add(row)
            builder.add(row)
            plausibility.add(row)
    if tables.unwritten:  # for example on a full disk: nothing can be compared
        [failed, *_] = tables.unwritten
        raise OSError(failed.error_number, f"{folder / failed.name}: {failed.reason}")
    now = datetime.now(UTC)
    facts = RunFacts.from_ledger(history, out=storage.location, provider=provider, started_at=now, finished_at=now)
    return to_json(builder.build(facts))


def _find_lost_records(storage: Storage, folder: Path, reported: Mapping[SampleId, Finding]) -> Iterator[Finding]:
    """Yield the finding about the manifest if it has results of samples whose record the ledger lost.

    Without its record, such a sample looks like one whose reply was lost.
    """
    others = {sample: finding for sample, finding in reported.items() if finding.kind != "paid_undelivered"}
    name = MANIFESTS[0]
    if len(others) < len(reported) and irregularity(storage, name) is None and storage.size(name) is not None:
        yield from table_findings(storage.local(name), folder / name, reported=others)


def _check_table(
    storage: Storage, name: str, folder: Path, summary: Mapping[str, Any], reported: Mapping[SampleId, Finding]
) -> Iterator[Finding]:
    if (kind := irregularity(storage, name)) is not None:
        yield Finding("stale", f"is {kind}, not a table", name)
    elif storage.size(name) is None:
        yield Finding("stale", "is missing", name)
    elif name in _COMPARED:
        yield from table_findings(storage.local(name), folder / name, reported=reported)
    elif name == "failures.csv":
        yield from _check_failures(
            storage.local(name), folder / name, [finding.path for finding in reported.values()]
        )
    elif name == "summary.json":
        # A sample without its record also has no recorded cost.
        incomplete = any(finding.kind in {"unrecorded", "paid_undelivered"} for finding in reported.values())
        yield from _check_summary(storage.read(name), summary, tolerance=len(reported), count_only=incomplete)


def _tables_outdated(storage: Storage) -> bool:
    """Whether the last run began after the last summary was written."""
    last_ledger = max((path.name for path in ledger_files(storage.logs(LEDGER))), default="")
    if irregularity(storage, "summary.json"):
        return False
    try:
        summary = orjson.loads(storage.read("summary.json"))
        finished = datetime.fromisoformat(summary["finished_at"]).timestamp()
    except FileNotFoundError:
        return storage.size(MANIFESTS[0]) is None
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return False
    return f"{finished:015.3f}" < last_ledger


def _check_failures(stored: Path, expected: Path, files: Sequence[str | None]) -> Iterator[Finding]:
    """Yield the finding about lines that are not in the ledger, or missing.

    `files` are those of samples that have a finding already: their lines may be present or missing.
    """
    try:
        expected_header = _read_header(expected)
        status = len(expected_header) - len(ADDED)
        shared = _shared_columns(_read_header(stored), expected_header)
        if shared is None:
            yield Finding("stale", "its columns are not those that a run writes", stored.name)
            return
        theirs, ours = (_read_lines(path, columns=len(shared), status=status) for path in (stored, expected))
    except (csv.Error, UnicodeDecodeError) as error:
        yield Finding("stale", f"can't be read: {error}", stored.name)
        return
    damaged = [file for file in files if file]
    extra = sum(
        count for line, count in (theirs - ours).items() if not any(file in cell for file in damaged for cell in line)
    )
    missing = max(0, (ours - theirs).total() - len(files))
    parts = [(extra, "not in the ledger"), (missing, "missing")]
    texts = [f"{plural(count, 'line')} {text}" for count, text in parts if count]
    if texts:
        yield Finding("stale", f"{' and '.join(texts)} (a repair keeps your edits in set-aside)", stored.name)


def _shared_columns(stored: list[str], expected: list[str]) -> list[str] | None:
    """Return the columns of a failures.csv to compare: without the advice, and without the mark where there is none.

    Earlier versions wrote neither. None where the file has other columns.
    """
    shared = [name for name in stored if name != ADVICE]
    wanted = [name for name in expected if name != ADVICE and (name != MARK or MARK in shared)]
    return shared if shared == wanted and stored[: len(shared)] == shared else None


def _read_header(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8-sig") as text:
        return next(csv.reader(text, strict=True), [])


def _read_lines(path: Path, *, columns: int, status: int) -> _Lines:
    """Return the lines below the header, cut to the first `columns`; `status` is the index of that column."""
    csv.field_size_limit(sys.maxsize)
    with path.open(newline="", encoding="utf-8-sig") as text:
        lines = csv.reader(text, strict=True)
        next(lines, [])
        return Counter(tuple(_normalize_unsent(line, status)[:columns]) for line in lines)


def _normalize_unsent(line: list[str], status: int) -> list[str]:
    """Replace what only the last run knew about an unsent row: the ledger has no record of either.

    These are "skipped_budget" in place of "not_attempted", and the reason why the run left the row out.
    """
    if len(line) > status + 1 and line[status] in _NOT_SENT:
        line[status] = "not_attempted"
        if line[status + 1].startswith("not sent: "):
            line[status + 1] = ""
    return line


def _check_summary(
    data: bytes, expected: Mapping[str, Any], *, tolerance: int, count_only: bool
) -> Iterator[Finding]:
    """Yield the differences between a stored summary and the expected one.

    Counts may differ by `tolerance`, the number of samples that have a finding already. With `count_only`, amounts
    of money are not compared.
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
        if not _is_close(summary.get(key), expected[key]):
            yield Finding("stale", f"{key} is {summary.get(key)}, but {expected[key]} in the ledger", name)
    ours, theirs = _count_by_status(expected["samples"]), _count_by_status(summary["samples"])
    different = [key for key in ours if not _is_number(theirs.get(key)) or abs(theirs[key] - ours[key]) > tolerance]
    if different:
        detail = ", ".join(f"{key} {theirs.get(key)} ({ours[key]} in the ledger)" for key in different)
        yield Finding("stale", f"its counts of samples differ: {detail}", name)


def _count_by_status(samples: Mapping[str, Any]) -> dict[str, Any]:
    """Return the counts, with all unsent samples counted together."""
    sent = {key: count for key, count in samples.items() if key not in _NOT_SENT}
    unsent = [samples.get(key, 0) for key in _NOT_SENT]
    return sent | {"not sent": sum(unsent) if all(map(_is_number, unsent)) else None}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_close(value: Any, expected: Any) -> bool:
    """Whether two values are equal. Amounts of money are rounded, and may be added up in another order."""
    if _is_number(value) and _is_number(expected):
        return bool(abs(value - expected) < (_CENT if isinstance(expected, float) else 1))
    return bool(value == expected)
