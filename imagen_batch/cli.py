"""The command line: parse, call, print, exit code. Nothing else.

What a command needs is imported by that command, so that `--help` answers at once.
"""

from __future__ import annotations

import json
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
from imagen_batch.wording import printable_lines

if TYPE_CHECKING:
    from imagen_batch.settings import Settings

USAGE, LACKING, INVALID, INTERRUPTED = 2, 3, 5, 130

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


def _launched(settings: Settings, typed: Namespace) -> int:
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
    summary = launch(settings, console)
    _print(to_json_text(summary) if typed.as_json else to_terminal(summary, color=_color()))
    return summary.exit_code


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _audit(typed: Namespace) -> int:
    from imagen_batch.audit import audit  # noqa: PLC0415
    from imagen_batch.findings import audit_json, audit_text  # noqa: PLC0415
    from imagen_batch.keeping import stored_settings  # noqa: PLC0415
    from imagen_batch.set_aside import set_aside  # noqa: PLC0415

    found = audit(typed.folder)
    if found.clean or not typed.repair:
        _print(audit_json(found) if typed.as_json else printable_lines(audit_text(found)))
        return 0 if found.clean else LACKING
    _say(audit_text(found))
    settings = stored_settings(typed.folder).model_copy(update={"retry": ("missing",)})
    set_aside(found, typed.folder)
    return _launched(settings, typed)


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
        sys.stderr.write(printable_lines(text) + "\n")
        sys.stderr.flush()
