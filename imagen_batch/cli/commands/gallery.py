"""`imagen-batch gallery`: writes a run's gallery page, or serves it on this machine."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from imagen_batch.cli.options import add_json_option
from imagen_batch.errors import SettingsInvalid
from imagen_batch.system.streams import print_message, print_result
from imagen_batch.text import plural

if TYPE_CHECKING:
    from imagen_batch.cli.strict_parser import Subparsers


_PROGRESS_EVERY = 2000  # samples


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options to the command line."""
    gallery = commands.add_parser(
        "gallery",
        help="write a page for viewing and reviewing a run's images",
        description="Write gallery.html into the folder of a run: look, approve, reject, mark for a redo, and export "
        "the decisions as review.csv. The page works from disk, without a server.",
    )
    gallery.add_argument("folder", metavar="DIR", help="folder of the run")
    gallery.add_argument("--serve", action="store_true", help="serve it on this machine and save decisions at once")
    add_json_option(gallery)


def run(args: Namespace) -> int:
    """Write `gallery.html` into the run's folder; with `--serve` also save decisions as they are made."""
    from imagen_batch.review import build_gallery, serve_gallery  # noqa: PLC0415
    from imagen_batch.storage import is_url  # noqa: PLC0415

    if is_url(args.folder):
        raise SettingsInvalid(f"a gallery needs a local folder: copy {args.folder} first")
    folder = Path(args.folder)
    if not (folder / "manifest.parquet").is_file():
        raise SettingsInvalid(f"No imagen-batch run found in {args.folder}.")
    if args.serve:
        serve_gallery(folder, announce=lambda address: print_message(f"gallery: {address} (Ctrl-C ends it)"))
        return 0
    summary = build_gallery(folder, progress=_show_progress)
    for problem in summary.problems:
        print_message(f"warning: review.csv: {problem.message}")
    page = folder / "gallery.html"
    if args.as_json:
        facts = {"page": str(page), "samples": summary.items, "of": summary.total}
        print_result(json.dumps({"schema_version": 1, **facts, "unreadable": summary.without_thumbnail}))
        return 0
    shown = plural(summary.items, "sample")
    if summary.total > summary.items:
        shown = f"the first {summary.items:,} of {plural(summary.total, 'sample')}"
    print_result(f"{page}: {shown}. Open it in a browser.")
    if summary.without_thumbnail:
        print_message(
            f"warning: {plural(summary.without_thumbnail, 'image')} can't be read: the page shows no thumbnail"
        )
    return 0


def _show_progress(finished: int) -> None:
    """Print the number of samples that are done: thousands of thumbnails take minutes."""
    if finished % _PROGRESS_EVERY == 0:
        print_message(f"{finished:,} samples")
