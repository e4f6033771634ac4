"""Writes tasks for Label Studio that refer to images by path, so that nothing is uploaded.

In a folder the paths are those of Label Studio's local files, with the export as the document root; in a bucket they
are URLs.
"""

from __future__ import annotations

import json
from urllib.parse import quote

from imagen_batch.exports.formats.imagefolder import image_name
from imagen_batch.exports.job import Job, describing_columns, metadata
from imagen_batch.exports.rows.manifest import rename_clashing
from imagen_batch.storage import is_url

_CONFIG = """<View>
  <Image name="image" value="$image" zoom="true"/>
  <Text name="prompt" value="$prompt"/>
  <Choices name="verdict" toName="image" choice="single" showInline="true">
    <Choice value="good"/>
    <Choice value="bad"/>
  </Choices>
</View>
"""
_READ_ME = """Open this folder in Label Studio

1. Let Label Studio serve this folder:
     export LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true
     export LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=<the absolute path of this folder>
2. Make a project with label_config.xml as its labeling interface.
3. Add the folder `images` as local storage, then import tasks.json.
"""


def write(job: Job) -> None:
    """Write `tasks.json`, `label_config.xml`, a short READ_ME.txt, and the images."""
    job.target.put("label_config.xml", _CONFIG.encode())
    job.target.put("READ_ME.txt", _READ_ME.encode())
    names = describing_columns(job.run)
    renamed = rename_clashing(names, ["image", *(["split"] if job.options.chooses_splits else [])])
    with job.target.write("tasks.json") as tasks:
        tasks.write(b"[")
        for position, image in enumerate(job.stream()):
            name = f"images/{image_name(image, position)}"
            job.add(image, name)
            about = {renamed[name]: cell for name, cell in metadata(image.row, names).items()}
            data = {**about, "prompt": image.row["prompt"] or "", "split": image.split, "image": _path(job, name)}
            task = json.dumps({"id": position + 1, "data": data}, ensure_ascii=False, default=str)
            tasks.write((b",\n" if position else b"\n") + task.encode(errors="replace"))
        tasks.write(b"]\n")


def _path(job: Job, name: str) -> str:
    if is_url(job.target.location):
        return f"{job.target.location.rstrip('/')}/{name}"
    return f"/data/local-files/?d={quote(name)}"
