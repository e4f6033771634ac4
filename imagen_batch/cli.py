"""The command line: parse, call, print, exit code. Nothing else.

What a command needs is imported by that command, so that `--help` answers at once.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any

from imagen_batch.arguments import make_parser, spread_retry
from imagen_batch.errors import FolderBusy, InputInvalid, SettingsInvalid

if TYPE_CHECKING:
    from imagen_batch.findings import Audit
    from imagen_batch.plan import Lack
    from imagen_batch.repair import Repaired
    from imagen_batch.settings import Settings

USAGE, LACKING, INVALID, LATER, INTERRUPTED = 2, 3, 5, 75, 130

_NOT_SETTINGS = {
    "command",
    "line",
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
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv[:1] == ["simulate"]:
        from imagen_batch.simulator import main as simulate  # noqa: PLC0415

        return simulate(argv[1:])
    typed = make_parser().parse_args(spread_retry(argv))
    typed.line = shlex.join(["imagen-batch", *argv])
    commands: dict[str, Callable[[Namespace], int]] = {
        "run": _run,
        "plan": _plan,
        "status": _status,
        "audit": _audit,
        "models": _models,
    }
    try:
        return commands[typed.command](typed)
    except InputInvalid as error:
        return _tell_problems(error, as_json=getattr(typed, "as_json", False))
    except (SettingsInvalid, FolderBusy) as error:
        _say(f"error: {error}")
        if getattr(typed, "as_json", False):
            _print(json.dumps({"schema_version": 1, "state": "refused", "message": str(error)}))
        return USAGE
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED


def _run(typed: Namespace) -> int:
    return _launched(_settings(typed), typed)


def _launched(settings: Settings, typed: Namespace, *, lost: tuple[Lack, ...] | None = None) -> int:
    from flows.launch import Console, launch  # noqa: PLC0415
    from imagen_batch.progress import make_progress  # noqa: PLC0415
    from imagen_batch.report import to_json_text, to_terminal  # noqa: PLC0415

    for number in (signal.SIGTERM, signal.SIGHUP):  # until the flow takes over: leave in good order
        signal.signal(number, _leave)
    mode = "none" if typed.quiet else typed.progress
    console = Console(
        say=(lambda _text: None) if typed.quiet else _say,
        progress=partial(make_progress, mode=mode, verbose=typed.verbose > 0),
        confirm=_confirm(typed),
        command=typed.line,
    )
    summary = launch(settings, console, lost=lost)
    _print(to_json_text(summary) if typed.as_json else to_terminal(summary, color=_color()))
    return summary.exit_code


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _audit(typed: Namespace) -> int:
    from imagen_batch.audit import audit  # noqa: PLC0415
    from imagen_batch.repair import repair  # noqa: PLC0415

    if not typed.repair:
        found = audit(typed.folder)
        _print_audit(found, typed)
        return 0 if found.clean else LACKING
    _say(_audit_text(audit(typed.folder)))
    try:
        repaired = repair(typed.folder, say=_say)
    except OSError as error:
        message = f"the repair stopped: {error.strerror or error}. Nothing is lost: make room, then repair again"
        _say(f"error: {message}")
        if typed.as_json:
            _print(json.dumps({"schema_version": 1, "state": "refused", "message": message}))
        return LATER
    if not repaired.lost:
        _print_audit(repaired.audit, typed)
        return 0 if repaired.audit.clean else LACKING
    return _bought_again(repaired, typed)


def _bought_again(repaired: Repaired, typed: Namespace) -> int:
    """Make again what is lost, if that is wanted."""
    from imagen_batch.keeping import reopened, stored_settings  # noqa: PLC0415
    from imagen_batch.wording import plural  # noqa: PLC0415

    settings, total = stored_settings(typed.folder), repaired
    if typed.max_cost is not None:
        repaired = repaired.within(typed.max_cost, reopened(typed.folder).asked.price)
        wall = repaired.spent + typed.max_cost
        wall = wall if settings.max_cost is None else min(wall, settings.max_cost)
        settings = settings.model_copy(update={"max_cost": wall})
    price = f"at most ${total.usd:.2f}" + (f", and {total.unpriced} without a known price" if total.unpriced else "")
    _say(f"{plural(total.images, 'image')} are lost: to make them again costs {price}")
    if repaired.images < total.images:
        _say(f"--max-cost {typed.max_cost:g} is enough for {repaired.images} of them")
    command = shlex.join(["imagen-batch", "audit", typed.folder, "--repair", "--yes"])
    confirm = _confirm(typed)
    if not repaired.images or not (typed.yes or (confirm and confirm("Make them again?"))):
        _say(f"everything else is repaired; to make them again: {command} --max-cost {_ceiling(total.usd)}")
        _print_audit(repaired.audit, typed)
        return LACKING
    typed.yes = True  # asked already
    return _launched(settings, typed, lost=repaired.lost)


def _ceiling(usd: float) -> str:
    """An amount that is enough, in whole cents."""
    return f"{math.ceil(usd * 100 - 1e-6) / 100:.2f}"


def _audit_text(found: Audit) -> str:
    from imagen_batch.findings import audit_text  # noqa: PLC0415

    return audit_text(found)


def _print_audit(found: Audit, typed: Namespace) -> None:
    from imagen_batch.findings import audit_json  # noqa: PLC0415

    _print(audit_json(found) if typed.as_json else _audit_text(found))


def _plan(typed: Namespace) -> int:
    from datetime import UTC, datetime  # noqa: PLC0415

    from imagen_batch.examine import examine  # noqa: PLC0415
    from imagen_batch.preview import plan_json, plan_text  # noqa: PLC0415
    from imagen_batch.remaining import remaining  # noqa: PLC0415

    examined = examine(_settings(typed), today=datetime.now(UTC).date())
    left = remaining(examined)
    examined.forget_spool()
    if not typed.quiet:
        for warning in examined.warnings:
            _say(f"warning: {warning}")
    _print(plan_json(examined, left) if typed.as_json else plan_text(examined, left))
    return 0


def _status(typed: Namespace) -> int:
    from imagen_batch.report import to_json_text, to_terminal  # noqa: PLC0415
    from imagen_batch.status import look  # noqa: PLC0415

    found = look(typed.folder)
    _print(to_json_text(found) if typed.as_json else to_terminal(found, color=_color()))
    return 0


def _models(typed: Namespace) -> int:
    from imagen_batch.listing import models_json, models_text  # noqa: PLC0415
    from imagen_batch.settings import load_settings  # noqa: PLC0415

    own = load_settings({"prompts": "-"}, env={}, config=typed.config).models
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


def _tell_problems(error: InputInvalid, *, as_json: bool) -> int:
    from imagen_batch.problems import problems_json, problems_text  # noqa: PLC0415

    _say(problems_text(error.problems))
    if as_json:
        _print(problems_json(error.problems))
    return INVALID


def _color() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def _print(text: str) -> None:
    try:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has seen enough; what we return stays true
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(text: str) -> None:
    with suppress(OSError):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
