"""`imagen-batch diff`: shows what changed between two runs of the same rows."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from imagen_batch.cli.options import add_json_option
from imagen_batch.system.streams import print_message, print_result

if TYPE_CHECKING:
    from imagen_batch.cli.strict_parser import Subparsers


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options to the command line."""
    diff = commands.add_parser(
        "diff",
        help="show what changed between two runs: prompt, model, status, images",
        description="Compare two finished runs of the same rows, sample by sample: prompt, model, status and images. "
        "Rows are matched by id, or by number where ids are missing or not unique.",
    )
    diff.add_argument("before", metavar="A", help="folder or URL of the first run")
    diff.add_argument("after", metavar="B", help="folder or URL of the second run")
    diff.add_argument("--html", type=Path, metavar="FILE", help="also write a page with both images of each change")
    add_json_option(diff)


def run(args: Namespace) -> int:
    """Compare two runs."""
    from imagen_batch.overview.diff.compare import compare  # noqa: PLC0415
    from imagen_batch.overview.diff.page import write_page  # noqa: PLC0415
    from imagen_batch.overview.diff.report import comparison_json, comparison_text  # noqa: PLC0415
    from imagen_batch.overview.diff.samples import read_samples  # noqa: PLC0415

    comparison = compare(read_samples(args.before), read_samples(args.after))
    if args.html is not None:
        write_page(comparison, args.html)
        print_message(f"page: {args.html}")
    print_result(comparison_json(comparison) if args.as_json else comparison_text(comparison))
    return 0
