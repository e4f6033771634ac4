"""`imagen-batch gallery`: writes a run's gallery page, or serves it on this machine."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

from imagen_batch.errors import SettingsInvalid
from imagen_batch.review import build_gallery, serve_gallery
from imagen_batch.storage import is_url
from imagen_batch.system.streams import print_message, print_result
from imagen_batch.text import plural


def gallery(args: Namespace) -> int:
    """Write `gallery.html` into the run's folder; with `--serve` also save decisions as they are made."""
    if is_url(args.folder):
        raise SettingsInvalid(f"a gallery needs a local folder: copy {args.folder} first")
    folder = Path(args.folder)
    if not (folder / "manifest.parquet").is_file():
        raise SettingsInvalid(f"No imagen-batch run found in {args.folder}.")
    if args.serve:
        serve_gallery(folder, announce=lambda address: print_message(f"gallery: {address} (Ctrl-C ends it)"))
        return 0
    summary = build_gallery(folder)
    for problem in summary.problems:
        print_message(f"warning: review.csv: {problem.message}")
    page = folder / "gallery.html"
    if args.as_json:
        print_result(json.dumps({"schema_version": 1, "page": str(page), "samples": summary.items}))
    else:
        print_result(f"{page}: {plural(summary.items, 'sample')}. Open it in a browser.")
    return 0
