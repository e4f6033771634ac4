"""The command line: parse, call, print, exit code. Nothing else.

What a command needs is imported by that command, so that `--help` answers at once.
"""

from __future__ import annotations

import math
import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from imagen_batch.cli.arguments import anchored, make_parser, spread_retry
from imagen_batch.cli.endings import end_as, ended
from imagen_batch.errors import SettingsInvalid
from imagen_batch.prompts.sources import is_unicode
from imagen_batch.system.streams import flush_stdout, secure_streams
from imagen_batch.system.streams import print_result as _print
from imagen_batch.system.streams import say as _say
from imagen_batch.text import printable_lines

if TYPE_CHECKING:
    from imagen_batch.audit.findings import Audit
    from imagen_batch.audit.repair import Repaired
    from imagen_batch.planning.row_index import PendingRow
    from imagen_batch.settings import Settings

LACKING = 3

_NOT_SETTINGS = {
    "command",
    "argv",
    "api_key",
    "config",
    "yes",
    "as_json",
    "progress",
    "quiet",
    "verbose",
    "parameter",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    secure_streams()
    of_process = argv is None
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv[:1] == ["simulate"]:
        from imagen_batch.simulator import main as simulate  # noqa: PLC0415

        return simulate(argv[1:])
    try:
        code = ended(partial(_obey, argv), as_json="--json" in argv)
    finally:
        flush_stdout()
    if of_process:
        end_as(code)
    return code


def _obey(argv: Sequence[str]) -> int:
    _refuse_bad_bytes(argv)
    typed = make_parser().parse_args(spread_retry(argv))
    typed.argv = argv
    commands: dict[str, Callable[[Namespace], int]] = {
        "run": _run,
        "plan": _plan,
        "resume": _resume,
        "status": _status,
        "audit": _audit,
        "models": _models,
    }
    return commands[typed.command](typed)


def _refuse_bad_bytes(argv: Sequence[str]) -> None:
    for word in argv:
        if not is_unicode(word):
            raise SettingsInvalid(f"{word!r} holds bytes that are not UTF-8: give the file or folder another name")


def _run(typed: Namespace) -> int:
    return _run_with(_settings(typed), typed)


def _resume(typed: Namespace) -> int:
    from imagen_batch.inputs.snapshot import continued, source_edited  # noqa: PLC0415
    from imagen_batch.reports.next_steps import absolute  # noqa: PLC0415

    changes = {name: value for name, value in vars(typed).items() if name not in {*_NOT_SETTINGS, "folder"}}
    settings = continued(typed.folder, changes)
    edited = None if "prompts" in changes else source_edited(typed.folder)
    if edited is not None and not typed.quiet:
        command = shlex.join(["imagen-batch", "resume", absolute(settings.place), "--prompts", edited])
        _say(f"note: {edited} has changed since; this run continues with the stored input. To use it: {command}")
    return _run_with(settings, typed)


def _run_with(settings: Settings, typed: Namespace, *, lost: tuple[PendingRow, ...] | None = None) -> int:
    settings = _host_agreed(settings, typed)
    from imagen_batch.cli.progress import make_progress  # noqa: PLC0415
    from imagen_batch.orchestration.launch import launch  # noqa: PLC0415
    from imagen_batch.reports.render import to_json_text, to_terminal  # noqa: PLC0415
    from imagen_batch.runs.console import Console  # noqa: PLC0415

    mode = "none" if typed.quiet else typed.progress
    console = Console(
        say=(lambda _text: None) if typed.quiet else _say,
        progress=partial(make_progress, mode=mode, verbose=typed.verbose > 0),
        confirm=_confirm(typed),
        command=shlex.join(["imagen-batch", *anchored(typed.argv, typed)]),
    )
    summary = launch(settings, console, lost=lost)
    _print(to_json_text(summary) if typed.as_json else to_terminal(summary, color=_color()))
    return summary.exit_code


def _host_agreed(settings: Settings, typed: Namespace) -> Settings:
    """Settings with a host that the user agreed to, where a file of the current folder chose it."""
    from imagen_batch.providers.endpoints import host_to_agree_to, refuse_unagreed_host  # noqa: PLC0415

    if (host := host_to_agree_to(settings)) is None:
        return settings
    ask = _confirm(typed)
    question = f"{settings.base_url_found_in} sends the API key to {host}, which is not Google's. Go on?"
    if typed.yes or (ask is not None and ask(question)):
        return settings.with_host_agreed()
    refuse_unagreed_host(settings)
    return settings


def _audit(typed: Namespace) -> int:
    from imagen_batch.audit.audit import audit  # noqa: PLC0415
    from imagen_batch.audit.repair import repair  # noqa: PLC0415

    if not typed.repair:
        found = audit(typed.folder)
        _print_audit(found, typed)
        return 0 if found.clean else LACKING
    _say(_audit_text(audit(typed.folder)))
    try:
        repaired = repair(typed.folder, say=_say)
    except OSError as error:
        what = ": ".join(str(part) for part in (error.filename, error.strerror or error) if part is not None)
        said = f"the repair stopped: {what}. Nothing is lost: make room or correct that, then repair again"
        raise OSError(error.errno, said) from error
    if not repaired.lost:
        _print_audit(repaired.audit, typed)
        return 0 if repaired.audit.clean else LACKING
    return _bought_again(repaired, typed)


def _bought_again(repaired: Repaired, typed: Namespace) -> int:
    """Make again what is lost, if that is wanted."""
    from imagen_batch.inputs.snapshot import continued, reload_plan  # noqa: PLC0415
    from imagen_batch.reports.next_steps import absolute  # noqa: PLC0415
    from imagen_batch.text import plural  # noqa: PLC0415

    settings, total = continued(typed.folder, {}), repaired
    if typed.max_cost is not None:
        repaired = repaired.within(typed.max_cost, reload_plan(typed.folder).asked.price)
        own = settings.max_cost_per_run
        wall = typed.max_cost if own is None else min(typed.max_cost, own)
        settings = settings.model_copy(update={"max_cost_per_run": wall})
    price = f"at most ${total.usd:.2f}" + (f", and {total.unpriced} without a known price" if total.unpriced else "")
    _say(f"{plural(total.images, 'image')} are lost: to make them again costs {price}")
    if repaired.images < total.images:
        _say(f"--max-cost {typed.max_cost:g} is enough for {repaired.images} of them")
    command = shlex.join(["imagen-batch", "audit", absolute(typed.folder), "--repair", "--yes"])
    confirm = _confirm(typed)
    if not repaired.images or not (typed.yes or (confirm and confirm("Make them again?"))):
        _say(f"everything else is repaired; to make them again: {command} --max-cost {_ceiling(total.usd)}")
        _print_audit(repaired.audit, typed)
        return LACKING
    typed.yes = True  # asked already
    return _run_with(settings, typed, lost=repaired.lost)


def _ceiling(usd: float) -> str:
    """An amount that is enough, in whole cents."""
    return f"{math.ceil(usd * 100 - 1e-6) / 100:.2f}"


def _audit_text(found: Audit) -> str:
    from imagen_batch.audit.report import audit_text  # noqa: PLC0415

    return audit_text(found)


def _print_audit(found: Audit, typed: Namespace) -> None:
    from imagen_batch.audit.report import audit_json  # noqa: PLC0415

    _print(audit_json(found) if typed.as_json else printable_lines(_audit_text(found)))


def _plan(typed: Namespace) -> int:
    from datetime import UTC, datetime  # noqa: PLC0415

    from imagen_batch.cli.plan_report import plan_json, plan_text  # noqa: PLC0415
    from imagen_batch.inputs.take_input import changes_of, take_input  # noqa: PLC0415
    from imagen_batch.planning.pending import count_pending  # noqa: PLC0415
    from imagen_batch.storage import check_place  # noqa: PLC0415

    today = datetime.now(UTC).date()
    asked: list[str] = []

    def note(question: str) -> bool:
        asked.append(question)
        return True

    plan = take_input(_settings(typed), today=today, confirm=note)
    try:
        check_place(plan.settings.place)
        left, changes = count_pending(plan), changes_of(plan, today=today)
        show = plan_json if typed.as_json else plan_text
        report = show(plan, left, changes)
    finally:
        plan.delete_spool()
    if not typed.quiet:
        for warning in plan.warnings:
            _say(f"warning: {warning}")
        for question in asked:
            _say(f"warning: a run of this asks first, or needs --add or --replace: {question}")
    _print(report)
    return 0


def _status(typed: Namespace) -> int:
    from imagen_batch.reports.render import to_json_text, to_terminal  # noqa: PLC0415
    from imagen_batch.runs.status import run_status  # noqa: PLC0415

    found = run_status(typed.folder)
    _print(to_json_text(found) if typed.as_json else to_terminal(found, color=_color()))
    return 0


def _models(typed: Namespace) -> int:
    from imagen_batch.cli.model_table import models_json, models_text  # noqa: PLC0415
    from imagen_batch.settings import load_settings  # noqa: PLC0415

    tables = {name: value for name, value in os.environ.items() if name == "IMAGEN_BATCH_MODELS"}
    own = load_settings({"prompts": "-"}, env=tables, config=typed.config).models
    _print(models_json(own) if typed.as_json else models_text(own))
    return 0


def _settings(typed: Namespace) -> Settings:
    from imagen_batch.settings import load_settings  # noqa: PLC0415

    given: dict[str, Any] = {name: value for name, value in vars(typed).items() if name not in _NOT_SETTINGS}
    if "parameter" in typed:
        given["parameters"] = _parameters(typed.parameter)
    return load_settings(given, env=os.environ, config=typed.config)


def _parameters(pairs: Sequence[str]) -> dict[str, str]:
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise SettingsInvalid(f"--parameter {wrong[0]!r}: expected NAME=VALUE")
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def _confirm(typed: Namespace) -> Callable[[str], bool] | None:
    """Asks a yes or no of whoever sits at the terminal; None where nobody does or `--yes` was given."""
    if typed.yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    def ask(question: str) -> bool:
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    return ask


def _color() -> bool:
    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    return on_terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
