"""Writes a comparison as a static page that shows both images of each sample that changed.

The page has no script, and its content security policy allows only its own style and images beside it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Final
from urllib.parse import quote

from imagen_batch.errors import SettingsInvalid
from imagen_batch.overview.diff.compare import Comparison, Difference
from imagen_batch.overview.diff.report import label, outcome
from imagen_batch.overview.diff.samples import RunSamples, Sample
from imagen_batch.storage import is_url
from imagen_batch.text import plural, printable, usd

MAX_SHOWN: Final = 2000
"""Samples on a page; more would make it slow to open."""

_STYLE = """\
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 1180px; padding: 1.5rem; }
h1 { font-size: 1.4rem; }
table { border-collapse: collapse; }
td, th { padding: .15rem .8rem .15rem 0; text-align: left; vertical-align: top; }
article { border-top: 1px solid #8886; padding: 1rem 0; }
h2 { font-size: 1rem; margin: 0 0 .5rem; }
h2 span { font-weight: normal; opacity: .75; }
.sides { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
figure { margin: 0; min-width: 0; }
figcaption { overflow-wrap: anywhere; }
img { max-width: 100%; max-height: 520px; background: #8882; }
.none { padding: 2rem; background: #8882; text-align: center; }
.changed { background: #fd06; }
"""


def write_page(comparison: Comparison, path: Path) -> None:
    """Write the page at once or not at all. Raises SettingsInvalid for a name that is not one of a page."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise SettingsInvalid(f"--html {path}: the name of a page ends with .html")
    try:
        handle, part = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.", suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.writelines(_page(comparison, path.absolute().parent))
            os.chmod(part, 0o644)  # noqa: PTH101 - as any other page
            Path(part).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(part).unlink()
            raise
    except OSError as error:
        raise SettingsInvalid(f"--html {path}: {error.strerror or error}") from error


def _page(comparison: Comparison, folder: Path) -> Iterator[str]:
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src 'self' file:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    before, after = comparison.before, comparison.after
    yield (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{_safe(_name(before))} and {_safe(_name(after))}</title>\n<style>{_STYLE}</style></head><body>\n"
        "<h1>What changed</h1>\n<table>\n"
        f"<tr><th>A</th>{_run_cells(before)}</tr>\n<tr><th>B</th>{_run_cells(after)}</tr>\n</table>\n"
    )
    yield f"<p>{comparison.same:,} the same, {len(comparison.differences):,} different.</p>\n<table>\n"
    for changes, count in comparison.counts.most_common():
        yield f"<tr><td>{count:,}</td><td>{', '.join(changes)}</td></tr>\n"
    yield "</table>\n"
    for difference in comparison.differences[:MAX_SHOWN]:
        yield from _article(difference, comparison, folder)
    further = len(comparison.differences) - MAX_SHOWN
    if further > 0:
        yield f"<p>This page shows the first {MAX_SHOWN:,}; {plural(further, 'more sample')} changed.</p>\n"
    yield "</body></html>\n"


def _article(difference: Difference, comparison: Comparison, folder: Path) -> Iterator[str]:
    yield (
        f"<article><h2>{_safe(label(difference))} <span>{', '.join(difference.changes)}</span></h2>"
        '<div class="sides">\n'
    )
    for name, run, sample in (("A", comparison.before, difference.before), ("B", comparison.after, difference.after)):
        yield _figure(name, run, sample, difference, folder)
    yield "</div></article>\n"


def _figure(name: str, run: RunSamples, sample: Sample | None, difference: Difference, folder: Path) -> str:
    if sample is None:
        return f'<figure><div class="none">not in {name}</div></figure>\n'
    facts = [
        ("prompt", sample.prompt, "prompt" in difference.changes),
        ("model", sample.model, "model" in difference.changes),
        ("status", outcome(sample), bool({"status", "reason"} & set(difference.changes))),
    ]
    lines = "<br>".join(
        f'<span class="changed">{_safe(text)}</span>' if changed else _safe(text)
        for _, text, changed in facts
        if text
    )
    return f"<figure>{_image(run, sample, folder)}<figcaption>{lines}</figcaption></figure>\n"


def _image(run: RunSamples, sample: Sample, folder: Path) -> str:
    if sample.status != "ok" or sample.file is None:
        return f'<div class="none">{_safe(outcome(sample))}</div>'
    if is_url(run.location):
        return f'<div class="none">{_safe(sample.file)} is in the bucket</div>'
    address = escape(_address(Path(run.location).absolute() / sample.file, folder))
    return f'<a href="{address}"><img loading="lazy" src="{address}" alt="{_safe(sample.prompt)}"></a>'


def _address(file: Path, folder: Path) -> str:
    """Return the address of a file relative to the page. "./" keeps a colon in a name from being a scheme."""
    return "./" + quote(os.fsencode(os.path.relpath(file, folder)))


def _run_cells(run: RunSamples) -> str:
    facts = f"{run.images:,} of {plural(len(run.samples), 'image')}"
    return f"<td>{_safe(run.location)}</td><td>{facts}</td><td>{usd(run.cost_usd)}</td>"


def _name(run: RunSamples) -> str:
    return run.location.rstrip("/").rpartition("/")[2]


def _safe(text: str) -> str:
    return escape(printable(text))
