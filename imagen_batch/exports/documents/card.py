"""Writes the dataset card: contents, provenance, and the fields that the publisher has to fill in."""

from __future__ import annotations

import json

from imagen_batch.exports.escaping import one_line
from imagen_batch.exports.formats import Format
from imagen_batch.exports.job import Job, describing_columns
from imagen_batch.exports.tally import Tally
from imagen_batch.reports.tables.dataset_size_category import size_category
from imagen_batch.text import plural


def card(format_: Format, job: Job, tally: Tally) -> str:
    """Return the whole `README.md`."""
    parts = (_front(format_, job, tally), _contents(job, tally), _models(tally), _columns(job), _left_out(tally))
    return "\n".join((*parts, _provenance(tally), _license(job)))


def title(job: Job) -> str:
    """Return the title given, or the name of the run."""
    name = job.run.storage.location.rstrip("/").rsplit("/", 1)[-1]
    return one_line(job.options.title or name) or "Images from prompts"


def _front(format_: Format, job: Job, tally: Tally) -> str:
    assert format_.data_files is not None
    files = "".join(
        f"  - split: {split}\n    path: {json.dumps(format_.data_files(split))}\n" for split in sorted(tally.splits)
    )
    return (
        "---\n"
        f"pretty_name: {json.dumps(title(job), ensure_ascii=False)}\n"
        f"license: {json.dumps(one_line(job.options.license or 'unknown'))}\n"
        "task_categories:\n- text-to-image\n"
        f"size_categories:\n- {size_category(tally.images)}\n"
        "tags:\n- synthetic\n- generated-images\n"
        f"configs:\n- config_name: default\n  data_files:\n{files}---\n"
    )


def _contents(job: Job, tally: Tally) -> str:
    rows = "".join(
        f"| {split} | {count:,} | {tally.split_bytes[split] / 1e6:,.1f} MB |\n"
        for split, count in sorted(tally.splits.items())
    )
    types = ", ".join(f"{count:,} {name.removeprefix('.')}" for name, count in sorted(tally.types.items()))
    return (
        f"# {title(job)}\n\n{_maker(tally)}\n\n{plural(tally.images, 'image')} ({types}).\n\n"
        f"| split | images | size |\n|---|---:|---:|\n{rows}"
    )


def _is_simulated(tally: Tally) -> bool:
    return set(tally.providers) == {"simulator"}


def _maker(tally: Tally) -> str:
    if _is_simulated(tally):
        return "**Drawn by a simulator**, not by an image model: a rehearsal of names, sizes and prompts."
    return "Images generated from text prompts by image models. Every image comes with the prompt as it was sent."


def _models(tally: Tally) -> str:
    rows = "".join(f"| {one_line(model)} | {count:,} |\n" for model, count in sorted(tally.models.items()))
    notes = [f"{tally.estimated:,} of the prices are estimates"] if tally.estimated else []
    notes += [f"the price of {plural(tally.cost_unknown, 'image')} is unknown"] if tally.cost_unknown else []
    note = f" ({'; '.join(notes)})" if notes else ""
    each = tally.cost_usd / max(1, tally.images - tally.cost_unknown)
    words = "The simulator charges nothing; the images would cost" if _is_simulated(tally) else "The images cost"
    return (
        f"## Models and prices\n\n| model | images |\n|---|---:|\n{rows}\n"
        f"{words} {tally.cost_usd:,.2f} USD to generate, {each:.4f} USD each{note}.\n"
    )


def _columns(job: Job) -> str:
    names = describing_columns(job.run)
    rows = "".join(
        f"| `{one_line(name).replace('`', chr(39)).replace('|', '/')}` | {job.run.schema.field(name).type} "
        f"| {'prompt file' if name in job.run.user_columns else 'run'} |\n"
        for name in names
    )
    return f"## Features\n\n| column | type | from |\n|---|---|---|\n| `image` | image | service |\n{rows}"


def _left_out(tally: Tally) -> str:
    if not tally.left_out:
        return "## Left out\n\nNothing: every sample that was selected has an image here.\n"
    reasons = "".join(f"- {reason}: {count:,}\n" for reason, count in sorted(tally.left_out.items()))
    note = "These samples have no image here. `left_out.parquet` has their prompts and reasons."
    return f"## Left out\n\n{note}\n\n{reasons}"


def _provenance(tally: Tally) -> str:
    marks = (
        "The simulator's images say what they are.\n"
        if _is_simulated(tally)
        else "Google states that its image models put an invisible SynthID watermark into every image.\n"
    )
    return (
        "## Provenance\n\nImage data is byte for byte as it was received; `sha256` is its hash. "
        f"{tally.signed:,} of {tally.images:,} images carry C2PA content credentials (found, not verified).\n{marks}"
    )


def _license(job: Job) -> str:
    if job.options.license:
        return f"## License\n\n{one_line(job.options.license)}\n"
    return "## License\n\nTo be filled in by the publisher, here and above (`license`).\n"
