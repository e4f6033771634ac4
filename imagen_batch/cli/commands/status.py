"""`imagen-batch status`: prints the state of a run from its ledger."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from imagen_batch.cli.options import add_json_option
from imagen_batch.system.streams import print_result

if TYPE_CHECKING:
    from imagen_batch.cli.strict_parser import Subparsers


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options to the command line."""
    status = commands.add_parser("status", help="show the state of a run from its ledger, also while it is running")
    status.add_argument("folder", metavar="DIR", help="folder or URL of the run")
    status.add_argument("--group-by", metavar="COLUMN", help="images and cost for each value of a column")
    add_json_option(status)


def run(args: Namespace) -> int:
    """Print the state of a run."""
    from imagen_batch.cli.confirm_and_color import use_color  # noqa: PLC0415
    from imagen_batch.reports.render import to_json_text, to_terminal  # noqa: PLC0415
    from imagen_batch.runs.state_from_folder import run_status  # noqa: PLC0415

    summary = run_status(args.folder, group_by=args.group_by)
    print_result(to_json_text(summary) if args.as_json else to_terminal(summary, color=use_color()))
    return 0
