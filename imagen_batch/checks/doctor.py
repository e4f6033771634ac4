"""Runs all checks and formats their findings."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from textwrap import wrap

import orjson

from imagen_batch.checks.finding import LEVELS, Finding, ok, problem
from imagen_batch.checks.key_models_clock import check_lifecycle, check_service
from imagen_batch.checks.notifications import check_notifications
from imagen_batch.checks.output_folder import check_place
from imagen_batch.checks.period_budget import check_periods
from imagen_batch.checks.prefect_server import check_prefect
from imagen_batch.checks.proxy_and_shadowing import check_environment, check_proxy, check_shadows
from imagen_batch.checks.run_with_time_limit import LIMIT_S, Check, run_checks
from imagen_batch.errors import InputInvalid, SettingsInvalid
from imagen_batch.inputs.reconcile_with_folder import prepare_plan
from imagen_batch.planning.pending import count_pending
from imagen_batch.providers.catalogue import load_catalogue
from imagen_batch.providers.endpoint_and_credential import GEMINI_HOST
from imagen_batch.reports.input_problems import problems_text
from imagen_batch.settings import Settings
from imagen_batch.text import json_text, one_line, plural, usd_at_most

_WIDTH = 80
_INDENT = 22


@dataclass(frozen=True)
class Need:
    """What a prompt file needs: the models of its rows and space for what is still to be made."""

    models: tuple[str, ...]
    disk_bytes: int | None
    findings: tuple[Finding, ...]


def examine(
    settings: Settings, *, has_prompts: bool, here: Path, env: Mapping[str, str] = os.environ, limit: float = LIMIT_S
) -> list[Finding]:
    """Check everything that a run with these settings needs. Sends no generation and leaves nothing behind."""
    catalogue = load_catalogue(settings.models)
    need = _read_input(settings) if has_prompts else Need((settings.model,), None, ())
    place = settings.folder if has_prompts or settings.out else "outputs"
    base_url = settings.base_url or GEMINI_HOST
    lifecycle = partial(check_lifecycle, catalogue, need.models, settings=settings)
    checks: dict[str, Check] = {
        "service": partial(check_service, settings, catalogue, need.models, env=env),
        "lifecycle": partial(lifecycle, today=datetime.now(UTC).date()),
        "out": partial(check_place, place, needed=need.disk_bytes),
        "prefect": partial(check_prefect, env),
        "proxy": partial(check_proxy, base_url),
        "folder": partial(check_shadows, here),
        "notify": partial(check_notifications, settings),
        "environment": partial(check_environment, env),
    }
    return [*need.findings, *run_checks(checks, limit=limit)]


def exit_code(findings: Iterable[Finding]) -> int:
    """Return 2 if there is a problem, else 0."""
    return 2 if any(finding.level == "problem" for finding in findings) else 0


def findings_text(findings: Sequence[Finding]) -> str:
    """Format the findings for a terminal of 80 columns."""
    counts = Counter(finding.level for finding in findings)
    lines = [line for finding in findings for line in _lines(finding)]
    warnings, problems = plural(counts["warning"], "warning"), plural(counts["problem"], "problem")
    total = f"{counts['ok']} ok, {warnings}, {problems}"
    return "\n".join([*lines, "", f"{total}. No generation was sent; this cost nothing."])


def findings_json(findings: Sequence[Finding]) -> str:
    """Format the findings as one JSON object."""
    counts = Counter(finding.level for finding in findings)
    facts = {
        "schema_version": 1,
        "state": "problem" if counts["problem"] else "warning" if counts["warning"] else "ok",
        "counts": {level: counts[level] for level in LEVELS},
        "findings": [asdict(finding) for finding in findings],
    }
    return json_text(facts, option=orjson.OPT_INDENT_2)


def _lines(finding: Finding) -> list[str]:
    head = f"{finding.level:<8} {finding.name:<12} "
    lines = wrap(finding.text, _WIDTH, initial_indent=head, subsequent_indent=" " * _INDENT, break_on_hyphens=False)
    if finding.advice:
        indent = " " * _INDENT
        lines += wrap(
            finding.advice, _WIDTH, initial_indent=f"{indent}-> ", subsequent_indent=indent, break_on_hyphens=False
        )
    return lines


def _read_input(settings: Settings) -> Need:
    """Plan the prompt file as a run would. A file with problems leaves the other checks possible."""
    fallback = (settings.model,)
    try:
        plan = prepare_plan(settings, today=datetime.now(UTC).date(), confirm=lambda _question: True)
    except InputInvalid as error:
        count = plural(len(error.problems), "problem")
        first = problems_text(error.problems[:1]).splitlines()[0]
        text = f"{count} in {one_line(settings.prompts, 200)}: {one_line(first, 300)}"
        command = one_line(shlex.join(["imagen-batch", "plan", settings.prompts]), 300)
        return Need(fallback, None, (problem("prompts", text, f"see all of them: {command}"),))
    except (SettingsInvalid, OSError) as error:
        finding = problem("prompts", one_line(str(error), 400), "correct that, then try again")
        return Need(fallback, None, (finding,))
    try:
        pending = count_pending(plan)
        share = pending.samples / max(1, plan.samples)
        text = (
            f"{plural(plan.selected_rows, 'row')}, {plural(pending.samples, 'image')} to make "
            f"for up to {usd_at_most(pending.usd)}"
        )
        models = tuple(plan.images_by_model) or fallback
        periods = check_periods(plan.settings, needed=pending.usd)
        return Need(models, int(plan.disk_bytes * share), (ok("prompts", text), *periods))
    finally:
        plan.delete_spool()
