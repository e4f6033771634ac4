"""`imagen-batch plan`: prints what a run would do and cost."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from imagen_batch.cli.options import add_run_options
from imagen_batch.cli.settings_sources import settings_from
from imagen_batch.system.streams import print_message, print_result

if TYPE_CHECKING:
    from imagen_batch.cli.strict_parser import Subparsers


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options to the command line."""
    plan = commands.add_parser(
        "plan",
        usage="%(prog)s [options] PROMPTS",
        help="show what a run would do and cost; needs no key, sends nothing, writes nothing",
        description="Show what a run would do and cost. Needs no key, sends nothing, writes nothing.",
    )
    add_run_options(plan)


def run(args: Namespace) -> int:
    """Print what a run would do and cost."""
    from imagen_batch.cli.plan_report import open_preview, plan_json, plan_text  # noqa: PLC0415

    with open_preview(settings_from(args)) as preview:
        format_plan = plan_json if args.as_json else plan_text
        report = format_plan(preview.plan, preview.pending, preview.changes, preview.paces, preview.periods)
    if not args.quiet:
        for warning in preview.plan.warnings:
            print_message(f"warning: {warning}")
        for note in preview.notes:
            print_message(note)
        for question in preview.questions:
            print_message(f"warning: a run asks first, or needs --add or --replace: {question}")
    print_result(report)
    return 0
