"""Writes `gallery.html`: one static page with style, scripts and data inside."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from imagen_batch.errors import InputInvalid
from imagen_batch.records import Problem
from imagen_batch.review.manifest_items import MANIFEST, History, count_samples, items_from_manifest
from imagen_batch.review.page_data import ItemColumns, chunks, script_json
from imagen_batch.review.plain_items import Piece, has_one_version_each, read_plain_items
from imagen_batch.review.review_csv import REVIEW_FILE, Decision, read_review
from imagen_batch.review.thumbnails import THUMBNAILS, with_thumbnails
from imagen_batch.storage import STATE, Folder, Storage

GALLERY_FILE = "gallery.html"
MAX_ITEMS = 100_000  # of a page: more would make it slow to open and to search
_RUN_ID = f"{STATE}/gallery-id"
# Parts of one script; each may use those before it.
_SCRIPTS = ("dom", "data", "csv", "review", "filters", "grid", "zoom", "viewer", "dialogs", "gallery")
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True, slots=True)
class GallerySummary:
    """The counts of a gallery. `problems` are those of a `review.csv` that could not be used."""

    items: int
    without_thumbnail: int  # images that could not be read
    problems: tuple[Problem, ...] = ()
    total: int = 0  # samples of the run; more than `items` where the page would become too large


def build_gallery(
    folder: Path,
    *,
    title: str | None = None,
    history: History | None = None,
    has_reviews: bool = True,
    progress: Callable[[int], None] = lambda _: None,
    may_make_thumbnail: Callable[[], bool] = lambda: True,
) -> GallerySummary:
    """Write the gallery of a finished run into its folder, with thumbnails and the decisions known so far.

    The run's ledger is read for reviews, unless `has_reviews` is False. `progress` is called with the number of items
    done after each one. Once `may_make_thumbnail` is False no further thumbnails are made; the page shows the images
    themselves where there is none.
    """
    storage = Folder(folder)
    decisions, problems = _read_decisions(folder)
    manifest = folder / MANIFEST
    if not has_reviews and not decisions and not history and has_one_version_each(manifest, limit=MAX_ITEMS):
        pieces = read_plain_items(folder, manifest, limit=MAX_ITEMS, may_make=may_make_thumbnail)
    else:
        in_manifest = items_from_manifest(folder, decisions=decisions, history=history, has_reviews=has_reviews)
        pieces = with_thumbnails(islice(in_manifest, MAX_ITEMS), folder, may_make=may_make_thumbnail)
    items = _report_progress(pieces, progress)
    total = count_samples(manifest)
    title = title or folder.resolve().name
    with storage.write(GALLERY_FILE) as target:
        written = write_gallery(items, target, title=title, run=read_run_id(storage), total=total)
    return replace(written, problems=tuple(problems))


def write_gallery(
    items: Iterable[Piece], target: BinaryIO, *, title: str, run: str, total: int = 0
) -> GallerySummary:
    """Stream the page into `target`; memory holds one chunk of items.

    `total` is the number of samples of the run; if that is more than MAX_ITEMS, the page has a notice that it shows
    only the first ones, which the caller has selected.

    `run` identifies the run, so that the browser finds its decisions again when the page has been written again.
    The page must be in the run folder: files and thumbnails are relative to it.
    """
    counts: Counter[str] = Counter()
    blocks = chunks(_count_items(items, counts))
    page = load_page()
    target.write(page.head(title=title, run=run, notice=_notice(total)))
    target.writelines(map(_data_element, islice(blocks, 1)))
    target.write(page.script)
    target.writelines(map(_data_element, blocks))
    target.write(page.tail)
    return GallerySummary(counts["items"], counts["without_thumbnail"], total=max(total, counts["items"]))


def _notice(total: int) -> str | None:
    if total <= MAX_ITEMS:
        return None
    return f"This page shows the first {MAX_ITEMS:,} of {total:,} samples. manifest.csv has all of them."


@dataclass(frozen=True, slots=True)
class Page:
    """The page without its data."""

    template: str  # up to the data; with placeholders for title and run
    script: bytes
    tail: bytes

    def head(self, *, title: str, run: str, notice: str | None = None) -> bytes:
        """Return the part before the first data."""
        values = {
            "title": html.escape(title.encode("utf-8", "replace").decode()),
            "run": script_json({"title": title, "run": run, "thumbnails": THUMBNAILS, "notice": notice}),
        }
        return _fill(self.template, values).encode()


@lru_cache(maxsize=1)
def load_page() -> Page:
    """Return the page's assets, combined; its content security policy allows exactly these scripts and styles."""
    folder = files("imagen_batch.review") / "page"
    style = (folder / "gallery.css").read_text("utf-8")
    parts = [(folder / f"{name}.js").read_text("utf-8") for name in _SCRIPTS]
    script = '(() => {\n"use strict";\n' + "\n".join(parts) + "})();\n"
    # Any of these would end the element or change what is hashed.
    assert not re.search(r"</script|<!--|\r", script, re.IGNORECASE)
    assert not re.search(r"</style|\r", style, re.IGNORECASE)
    markup = (folder / "gallery.html").read_text("utf-8")
    before, _, rest = markup.partition("{{data}}")
    middle, _, after = rest.partition("{{more_data}}")
    values = {"policy": _policy(script, style), "style": style, "title": "{{title}}", "run": "{{run}}"}
    return Page(_fill(before, values), _fill(middle, {"script": script}).encode(), after.encode())


def _policy(script: str, style: str) -> str:
    """Return a policy that allows only images beside the page. `connect-src` is for the page served on loopback."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "img-src 'self' file: data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _fill(template: str, values: dict[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)


def _data_element(block: str) -> bytes:
    return b'<script type="application/json" class="items">' + block.encode("ascii") + b"</script>\n"


def _count_items(pieces: Iterable[Piece], counts: Counter[str]) -> Iterator[Piece]:
    for piece in pieces:
        if isinstance(piece, ItemColumns):
            counts["items"] += len(piece)
            images = zip(piece.texts["file"], piece.texts["thumbnail"], strict=True)
            counts["without_thumbnail"] += sum(file is not None and thumbnail is None for file, thumbnail in images)
        else:
            counts["items"] += 1
            counts["without_thumbnail"] += piece.file is not None and piece.thumbnail is None
        yield piece


def _report_progress(pieces: Iterable[Piece], progress: Callable[[int], None]) -> Iterator[Piece]:
    number = 0
    for piece in pieces:
        yield piece
        number += len(piece) if isinstance(piece, ItemColumns) else 1
        progress(number)


def _read_decisions(folder: Path) -> tuple[list[Decision], tuple[Problem, ...]]:
    """Return the decisions of review.csv, and the problems of a file that can't be read, which is ignored."""
    path = folder / REVIEW_FILE
    try:
        return (read_review(path) if path.exists() else []), ()
    except InputInvalid as invalid:
        return [], invalid.problems


def read_run_id(storage: Storage) -> str:
    """Return a random id of the run. It is stored, so that it stays the same when the folder is moved."""
    try:
        return storage.read(_RUN_ID).decode("ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        run = uuid.uuid4().hex
        with storage.write(_RUN_ID) as target:
            target.write(f"{run}\n".encode())
        return run
