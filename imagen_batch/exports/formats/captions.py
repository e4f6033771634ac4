"""Writes each image with a `.txt` of the same stem, as trainers of LoRA and other adapters read it."""

from __future__ import annotations

from collections import Counter

from imagen_batch.exports.escaping import one_line
from imagen_batch.exports.job import FOLDER_FILES, Job, numbered_folder

_PER_FOLDER = FOLDER_FILES // 2


def write(job: Job) -> None:
    """Write images and captions, into one folder unless there are splits or too many files."""
    counts: Counter[str] = Counter()
    for image in job.stream():
        folder = _folder(job, image.split, counts[image.split])
        counts[image.split] += 1
        job.add(image, f"{folder}{image.stem}{image.extension}")
        job.target.put(f"{folder}{image.stem}.txt", caption(image.row["prompt"], job.options.trigger).encode())


def caption(prompt: str | None, trigger: str | None) -> str:
    """Return the prompt on one line, after the trigger word and a comma."""
    return ", ".join(part for part in (one_line(trigger or ""), one_line(prompt or "")) if part)


def _folder(job: Job, split: str, position: int) -> str:
    splits = job.census.splits
    folder = f"{split}/" if len(splits) > 1 else ""
    return folder + (f"{numbered_folder(position, per_folder=_PER_FOLDER)}/" if splits[split] > _PER_FOLDER else "")
