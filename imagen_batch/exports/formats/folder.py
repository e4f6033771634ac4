"""Writes images under descriptive names for delivery, each with an XMP sidecar.

Metadata goes inside an image only on request and only where no C2PA data is present: any change would make a signed
file count as tampered with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from imagen_batch.errors import InvalidImage, SettingsInvalid
from imagen_batch.exports.documents.xmp import embed, packet
from imagen_batch.exports.job import Job
from imagen_batch.exports.rows.manifest import RunImage, RunManifest
from imagen_batch.images.validate import validate
from imagen_batch.planning.file_names import check_template, stem_from_template
from imagen_batch.text import plural

_DEFAULT = "{name}"


def write(job: Job) -> None:
    """Copy each image, so that editing a delivered file never changes the run's original."""
    template = _check_name_template(job)
    taken: set[bytes] = set()
    signed = 0
    for image in job.stream():
        stem = _find_free_stem(_stem(template, image, job.run), image, taken)
        xmp = packet(image.row)
        signed += _add(job, image, stem, xmp)
        job.target.put(f"{stem}{image.extension}.xmp", xmp)
    if signed:
        job.warnings.append(
            f"{plural(signed, 'image')} took no embedded metadata (signed, or no room): see the sidecars"
        )


def _add(job: Job, image: RunImage, stem: str, xmp: bytes) -> int:
    """Add the image; return 1 if metadata should have been embedded and could not be."""
    if not job.options.embed_metadata:
        job.add(image, f"{stem}{image.extension}", copy=True)
        return 0
    data = job.read(image)
    changed = None if _is_signed(image, data) else embed(data, xmp)
    job.target.put(f"{stem}{image.extension}", changed or data)
    return int(changed is None)


def _is_signed(image: RunImage, data: bytes) -> bool:
    """Return False only if the file certainly has no C2PA data."""
    try:
        return image.row.get("c2pa") is not False or validate(data).c2pa
    except InvalidImage:
        return True


def _check_name_template(job: Job) -> str:
    template = job.options.name_template or _DEFAULT
    try:
        check_template(template, [*job.run.schema.names, "name"])
    except ValueError as error:
        raise SettingsInvalid(f"--name-template {template!r}: {error}") from error
    return template


def _stem(template: str, image: RunImage, run: RunManifest) -> str:
    try:
        return stem_from_template(template, _values(image, run)).removeprefix("images/")
    except ValueError as error:
        raise SettingsInvalid(f"{image.label}: {error}") from error


def _values(image: RunImage, run: RunManifest) -> Mapping[str, Any]:
    """Return the columns as text, and `name`, the name of the image in the run."""
    name = image.file.removeprefix("images/").rsplit(".", 1)[0].replace("/", "_")
    values = {column: run.text(image.row, column) for column in image.row}
    return {**values, "name": name, "id": values.get("id") or values["row"]}


def _find_free_stem(stem: str, image: RunImage, taken: set[bytes]) -> str:
    """Return the stem; if it is taken, add the sample number and then the start of the key."""
    sample, key = f"{stem}_{image.row['sample']:02}", (image.row.get("key") or "")[:8]
    for name in (stem, sample, f"{sample}_{key}", f"{sample}_{image.row['row']:06}_{key}"):
        mark = hashlib.sha256(name.casefold().encode(errors="replace")).digest()[:12]
        if mark not in taken:
            taken.add(mark)
            return name
    raise SettingsInvalid(
        f"{image.label}: the name {stem!r} is taken by another image; use a --name-template with {{row}}"
    )
