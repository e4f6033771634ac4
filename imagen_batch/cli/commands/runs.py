"""`imagen-batch runs`: lists all run folders below a root."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from imagen_batch.cli.options import add_json_option
from imagen_batch.system.streams import print_result

if TYPE_CHECKING:
    from imagen_batch.cli.strict_parser import Subparsers


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options to the command line."""
    runs = commands.add_parser(
        "runs",
        help="list all run folders: images, money, state; newest first",
        description="List the run folders below ROOT, newest first. Images are those of the last summary, money is "
        "that of all runs into a folder. States beside those of a summary: running, killed (no summary was "
        "written), damaged (the summary can't be read).",
    )
    runs.add_argument("root", metavar="ROOT", nargs="?", default="outputs", help="default outputs")
    runs.add_argument("--calendar", action="store_true", help="one line for each day, with the days without a run")
    add_json_option(runs)


def run(args: Namespace) -> int:
    """List all runs."""
    from imagen_batch.overview.run_list import list_runs  # noqa: PLC0415
    from imagen_batch.overview.run_table import calendar_text, runs_json, runs_text  # noqa: PLC0415

    root = Path(args.root)
    entries = list_runs(root)
    if args.as_json:
        print_result(runs_json(entries, root))
    else:
        print_result(calendar_text(entries, root) if args.calendar else runs_text(entries, root))
    return 0
