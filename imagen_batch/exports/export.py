"""Exports a run: select, divide into splits, write one format, describe the result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from imagen_batch.errors import SettingsInvalid
from imagen_batch.exports.documents.card import card
from imagen_batch.exports.documents.croissant import croissant
from imagen_batch.exports.formats import FORMATS, Format
from imagen_batch.exports.job import Census, Job
from imagen_batch.exports.options import Options, options_from
from imagen_batch.exports.output.left_out_rows import SideTable, side_table
from imagen_batch.exports.output.target import Target, open_target
from imagen_batch.exports.quality.examine import NOT_HASHED, Report, examine
from imagen_batch.exports.rows.manifest import RunImage, RunManifest, open_manifest
from imagen_batch.exports.rows.prefetch import Prefetch
from imagen_batch.exports.rows.selection import LeftOut, Selection, make_selection
from imagen_batch.exports.tally import Tally

Progress = Callable[[str, int, int], None]
"""Is called with the current step, the number of finished images, and the number of all images."""


@dataclass(frozen=True, slots=True)
class Exported:
    """The result of an export. `left_out` counts rows by reason; `findings` counts images that look wrong.

    `side_table` is the file inside the export with the rows left out.
    """

    to: str
    out: str
    images: int
    splits: dict[str, int]
    left_out: dict[str, int]
    side_table: str
    findings: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def export(
    folder: str | Path,
    *,
    to: str,
    out: str | Path | None = None,
    progress: Progress = lambda _what, _done, _all: None,
    **options: Any,
) -> Exported:
    """Export the run in `folder` (or at a URL) in a format; `options` are the fields of `Options`.

    Raises SettingsInvalid for an option that can't be applied. After any exception the output is as it was before.

    >>> export("outputs/book", to="imagefolder", where="width >= 1024")  # doctest: +SKIP
    """
    chosen = options_from(options)
    if to not in FORMATS:
        raise SettingsInvalid(f"--to {to}: unknown format; known: {', '.join(FORMATS)}")
    run = open_manifest(folder)
    selection, report = _drop_suspects(make_selection(run, chosen, divided=FORMATS[to].divided), chosen, progress)
    census = _take_census(selection)
    if not census.images:
        raise SettingsInvalid(f"no image of {folder} is left to export{_describe_left_out(selection)}")
    location = out or f"{str(folder).rstrip('/')}/export/{to}"
    with open_target(location, {"format": to, "run": Path(str(folder)).name}) as target:
        done = _write(FORMATS[to], selection, _Output(target, chosen, census, report, progress))
    return replace(done, warnings=(*done.warnings, *_shadowing_warnings(done, str(folder))))


@dataclass(frozen=True, slots=True)
class _Output:
    target: Target
    options: Options
    census: Census
    report: Report | None
    progress: Progress


def _shadowing_warnings(done: Exported, folder: str) -> list[str]:
    """Return a warning if the export lies inside the run and so hides it from the image folder builder."""
    inside = done.out.startswith(f"{folder.rstrip('/')}/") or Path(folder).absolute() in Path(done.out).parents
    if not inside or not (FORMATS[done.to].data_files or len(done.splits) > 1 or done.to == "coco"):
        return []
    effect = f"load_dataset('imagefolder', data_dir={folder!r}) now finds this export instead of the run"
    return [
        f"{effect}; load_dataset({folder!r}) still loads the run, and --out DIR writes the export to another folder"
    ]


def _write(format_: Format, selection: Selection, to: _Output) -> Exported:
    run, tally = selection.run, Tally()
    warnings = [NOT_HASHED] if to.report is not None and not to.report.hashed else list[str]()
    prefetch = Prefetch(run)
    with side_table(to.target, run.schema, kind=format_.side_table, safe=to.options.excel_safe) as table:
        images = _select_images(selection, tally, table)
        if format_.reads_in_order and not run.storage.links:
            images = prefetch.through(images)
        job = Job(
            run,
            to.target,
            to.options,
            to.census,
            stream=lambda: _count_images(images, tally, to),
            read=prefetch.take,
            left_out=lambda: (row for row in selection.rows() if isinstance(row, LeftOut)),
            warnings=warnings,
        )
        format_.write(job)
    if to.report is not None and to.options.report:
        to.target.put("report.csv", to.report.csv())
        to.target.put("report.txt", to.report.text().encode())
    _describe(format_, job, tally)
    return Exported(
        format_.name,
        to.target.location,
        tally.images,
        dict(sorted(tally.splits.items())),
        dict(sorted(tally.left_out.items())),
        f"left_out.{format_.side_table}",
        to.report.counts() if to.report else {},
        tuple(warnings),
    )


def _describe(format_: Format, job: Job, tally: Tally) -> None:
    if format_.data_files:
        job.target.put("README.md", card(format_, job, tally).encode(errors="replace"))
    if format_.croissant:
        job.target.put("croissant.json", croissant(format_, job, tally))


def _select_images(selection: Selection, tally: Tally, table: SideTable) -> Iterator[RunImage]:
    """Yield the images; rows left out go into the side table on the way."""
    for row in selection.rows():
        if isinstance(row, LeftOut):
            tally.leave_out(row)
            table.add(row)
        else:
            yield row


def _count_images(images: Iterable[RunImage], tally: Tally, to: _Output) -> Iterator[RunImage]:
    for image in images:
        yield image
        tally.add(image)
        to.progress("exporting", tally.images, to.census.images)


def _drop_suspects(selection: Selection, options: Options, progress: Progress) -> tuple[Selection, Report | None]:
    if not options.report and not options.drop:
        return selection, None
    report = examine(selection, options, progress)
    return replace(selection, dropped=report.dropped(options.drop)), report


def _take_census(selection: Selection) -> Census:
    splits: Counter[str] = Counter()
    extensions: Counter[str] = Counter()
    for image in selection.images():
        splits[image.split] += 1
        extensions[image.extension] += 1
    return Census(dict(sorted(splits.items())), extensions)


def _describe_left_out(selection: Selection) -> str:
    reasons = Counter(row.reason for row in selection.rows() if isinstance(row, LeftOut))
    if not reasons:
        return ": --where keeps no row" if selection.where is not None else ": its manifest is empty"
    return ": " + ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items()))


__all__ = ["Exported", "Options", "Progress", "RunManifest", "export"]
