"""Runs commands: parses arguments, calls the package, prints the result and returns the exit code.

Each command imports what it needs, so that `--help` answers at once.
"""

from __future__ import annotations

import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from imagen_batch.cli.arguments import parse
from imagen_batch.cli.exit_codes import end_at_signal_with, exit_code_of
from imagen_batch.errors import SettingsInvalid
from imagen_batch.prompts.sources import is_unicode
from imagen_batch.system.streams import flush_stdout, print_message, print_result, secure_streams

if TYPE_CHECKING:
    from imagen_batch.settings import Settings

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
    """Run the command in `argv`, or that of the process, and return its exit code."""
    secure_streams()
    own_process = argv is None
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv[:1] == ["simulate"]:
        from imagen_batch.simulator import main as simulate  # noqa: PLC0415

        return simulate(argv[1:])
    try:
        code = exit_code_of(partial(_run_command, argv), as_json="--json" in argv)
    finally:
        flush_stdout()
    if own_process:
        end_at_signal_with(code)
    return code


def _run_command(argv: Sequence[str]) -> int:
    _refuse_bad_bytes(argv)
    args = parse(argv)
    args.argv = argv
    commands: dict[str, Callable[[Namespace], int]] = {
        "run": _run,
        "plan": _plan,
        "resume": _resume,
        "status": _status,
        "audit": _audit,
        "gallery": _gallery,
        "export": _export,
        "models": _models,
    }
    return commands[args.command](args)


def _refuse_bad_bytes(argv: Sequence[str]) -> None:
    for word in argv:
        if not is_unicode(word):
            raise SettingsInvalid(f"{word!r} has bytes that are not UTF-8: rename the file or folder")


def _run(args: Namespace) -> int:
    from imagen_batch.cli.run_command import run_and_print  # noqa: PLC0415

    return run_and_print(settings_from(args), args)


def _resume(args: Namespace) -> int:
    from imagen_batch.cli.run_command import run_and_print  # noqa: PLC0415
    from imagen_batch.inputs.snapshot import find_edited_source, load_settings_to_continue  # noqa: PLC0415
    from imagen_batch.reports.next_steps import make_absolute  # noqa: PLC0415

    changes = {name: value for name, value in vars(args).items() if name not in {*_NOT_SETTINGS, "folder"}}
    settings = load_settings_to_continue(args.folder, changes)
    edited = None if "prompts" in changes else find_edited_source(args.folder)
    if edited is not None and not args.quiet:
        command = shlex.join(["imagen-batch", "resume", make_absolute(settings.folder), "--prompts", edited])
        print_message(
            f"note: {edited} has changed since; this run continues with the stored input. To use the file: {command}"
        )
    return run_and_print(settings, args)


def _plan(args: Namespace) -> int:
    from imagen_batch.cli.plan_report import open_preview, plan_json, plan_text  # noqa: PLC0415

    with open_preview(settings_from(args)) as preview:
        format_plan = plan_json if args.as_json else plan_text
        report = format_plan(preview.plan, preview.pending, preview.changes)
    if not args.quiet:
        for warning in preview.plan.warnings:
            print_message(f"warning: {warning}")
        for question in preview.questions:
            print_message(f"warning: a run asks first, or needs --add or --replace: {question}")
    print_result(report)
    return 0


def _status(args: Namespace) -> int:
    from imagen_batch.cli.terminal import use_color  # noqa: PLC0415
    from imagen_batch.reports.render import to_json_text, to_terminal  # noqa: PLC0415
    from imagen_batch.runs.status import run_status  # noqa: PLC0415

    summary = run_status(args.folder)
    print_result(to_json_text(summary) if args.as_json else to_terminal(summary, color=use_color()))
    return 0


def _audit(args: Namespace) -> int:
    from imagen_batch.cli.audit_command import audit_and_print  # noqa: PLC0415

    return audit_and_print(args)


def _models(args: Namespace) -> int:
    from imagen_batch.cli.model_table import models_json, models_text  # noqa: PLC0415
    from imagen_batch.settings import load_settings  # noqa: PLC0415

    env = {name: value for name, value in os.environ.items() if name == "IMAGEN_BATCH_MODELS"}
    own_models = load_settings({"prompts": "-"}, env=env, config=args.config).models
    print_result(models_json(own_models) if args.as_json else models_text(own_models))
    return 0


def settings_from(args: Namespace) -> Settings:
    """Combine what was typed with the environment and the settings file."""
    from imagen_batch.settings import load_settings  # noqa: PLC0415

    given: dict[str, Any] = {name: value for name, value in vars(args).items() if name not in _NOT_SETTINGS}
    if "parameter" in args:
        given["parameters"] = _parse_parameters(args.parameter)
    return load_settings(given, env=os.environ, config=args.config)


def _parse_parameters(pairs: Sequence[str]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise SettingsInvalid(f"--parameter {pair!r}: expected NAME=VALUE")
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def _gallery(args: Namespace) -> int:
    from imagen_batch.cli.gallery_command import gallery  # noqa: PLC0415

    return gallery(args)


def _export(args: Namespace) -> int:
    from imagen_batch.exports.command import export  # noqa: PLC0415

    return export(args)
