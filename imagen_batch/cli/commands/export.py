"""`imagen-batch export`: writes a dataset, contact sheets or a delivery folder from a run."""

from __future__ import annotations

import argparse
import json
import re
import sys
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from imagen_batch.cli.options import add_json_option
from imagen_batch.exports.options import FINDINGS
from imagen_batch.text import plural

if TYPE_CHECKING:
    from imagen_batch.cli.strict_parser import Subparsers
    from imagen_batch.exports.export import Exported, Progress

FORMATS = ("imagefolder", "parquet", "webdataset", "captions", "coco", "labelstudio", "csv", "pdf", "folder")
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
_NOT_OPTIONS = {"command", "argv", "line", "folder", "to", "out", "as_json", "quiet"}


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options to the command line."""
    add_arguments(
        commands.add_parser(
            "export",
            usage="%(prog)s [options] DIR --to FORMAT",
            help="write a dataset, contact sheets or a delivery folder from a run",
            description="Write a dataset, contact sheets or a delivery folder from a run.",
        )
    )


def add_arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    parser.add_argument("folder", metavar="DIR", help="the output folder or URL of a run")
    parser.add_argument("--to", required=True, choices=FORMATS, metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("--out", metavar="PATH", help="a folder or URL that the export makes (DIR/export/FORMAT)")
    _add_selection(parser.add_argument_group("Selection", argument_default=SUPPRESS))
    _add_quality(parser.add_argument_group("Images that look wrong", argument_default=SUPPRESS))
    _add_format_options(parser.add_argument_group("Format options", argument_default=SUPPRESS))
    display = parser.add_argument_group("Display")
    add_json_option(display)
    display.add_argument("--quiet", "-q", action="store_true", help="no progress and no messages")


def _add_selection(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--approved", action="store_true", help="only images that a review approved")
    group.add_argument(
        "--where", metavar="EXPR", help="only rows for which this holds: \"chapter == '1' and width >= 1024\""
    )
    group.add_argument(
        "--split", metavar="SHARES", help="train=0.9,test=0.1; rows keep their split when rows are added"
    )
    group.add_argument("--split-by", metavar="COLUMN", help="rows with the same value in it share a split (prompt)")
    group.add_argument("--split-column", metavar="COLUMN", help="a column that names each row's split (split)")


def _add_quality(group: argparse._ArgumentGroup) -> None:
    kinds = ", ".join(FINDINGS)
    group.add_argument("--report", action="store_true", help=f"name them in report.csv and report.txt: {kinds}")
    group.add_argument("--drop", type=_parse_kinds, metavar="KINDS", help="leave them out: a comma list, or all")
    group.add_argument(
        "--near", type=int, metavar="BITS", help="bits of 128 in which near-duplicates may differ (20)"
    )
    group.add_argument("--min-side", type=int, metavar="PIXELS", help="an image with a shorter side is small (256)")


def _add_format_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--copy", action="store_true", help="copy images instead of linking them")
    group.add_argument(
        "--shard-size", type=_parse_size, metavar="SIZE", help="size of a shard of parquet and webdataset (500MB)"
    )
    group.add_argument("--trigger", metavar="WORD", help="captions: a word before every caption")
    group.add_argument("--excel-safe", action="store_true", help="csv: cells can't run as formulas; alters text")
    group.add_argument("--name-template", metavar="TEMPLATE", help="folder: '{chapter:02}/{page:03}_{id}'")
    group.add_argument("--embed-metadata", action="store_true", help="folder: metadata inside unsigned images, too")
    group.add_argument("--group-by", metavar="COLUMN", help="pdf: a section for each value")
    group.add_argument("--per-page", type=int, metavar="N", help="pdf: 1, 2, 4, 6, 9, 12 or 20 images (6)")
    group.add_argument(
        "--font",
        dest="fonts",
        type=Path,
        action="append",
        metavar="FILE",
        help="pdf: a TrueType font for captions; may be repeated",
    )
    group.add_argument("--title", help="pdf and dataset card (the run's name)")
    group.add_argument("--license", metavar="NAME", help="dataset card: for example cc-by-4.0")


def run(arguments: Namespace) -> int:
    """Run the command; returns the exit code. Raises SettingsInvalid and FolderBusy for the caller to print."""
    from imagen_batch.exports.export import export as export_run  # noqa: PLC0415 - `--help` stays fast

    options = {name: value for name, value in vars(arguments).items() if name not in _NOT_OPTIONS}
    options["fonts"] = tuple(options.get("fonts", ()))
    with _progress(silent=arguments.quiet) as progress:
        exported = export_run(arguments.folder, to=arguments.to, out=arguments.out, progress=progress, **options)
    if not arguments.quiet:
        for warning in exported.warnings:
            sys.stderr.write(f"warning: {warning}\n")
    sys.stdout.write(_as_json(exported) if arguments.as_json else _as_text(exported))
    return 0


def _as_json(exported: Exported) -> str:
    facts = {
        "schema_version": 1,
        "state": "exported",
        "to": exported.to,
        "out": exported.out,
        "images": exported.images,
        "splits": exported.splits,
        "left_out": exported.left_out,
        "findings": exported.findings,
        "warnings": list(exported.warnings),
    }
    return json.dumps(facts) + "\n"


def _as_text(exported: Exported) -> str:
    lines = [f"{plural(exported.images, 'image')} exported to {exported.out}"]
    if len(exported.splits) > 1:
        lines.append("  splits: " + ", ".join(f"{name} {count:,}" for name, count in exported.splits.items()))
    if exported.left_out:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in exported.left_out.items())
        lines.append(f"  left out: {reasons} ({exported.side_table} has each row)")
    if exported.findings:
        lines.append("  look wrong: " + ", ".join(f"{count:,} {kind}" for kind, count in exported.findings.items()))
    return "\n".join(lines) + "\n"


@contextmanager
def _progress(*, silent: bool) -> Iterator[Progress]:
    """Yield a progress bar on a terminal, otherwise nothing: an export ends before anyone reads a log."""
    if silent or not sys.stderr.isatty():
        yield lambda _description, _completed, _total: None
        return
    from rich.console import Console  # noqa: PLC0415 - only where a terminal is
    from rich.progress import Progress as Bar  # noqa: PLC0415

    with Bar(console=Console(stderr=True), refresh_per_second=4, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda description, completed, total: bar.update(
            task, description=description, completed=completed, total=total
        )


def _parse_size(text: str) -> int:
    """Parse a size such as `500MB` and return it in bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?)i?B?", text.strip(), re.IGNORECASE)
    if not match:
        raise ArgumentTypeError(f"{text!r} is not a size; write 500MB or 2GB")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def _parse_kinds(text: str) -> tuple[str, ...]:
    """Parse a list such as `identical,flat`, or `all`."""
    return FINDINGS if text.strip() == "all" else tuple(part.strip() for part in text.split(",") if part.strip())
