"""Reference images and prompt files that use them."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import orjson
from PIL import Image

from imagen_batch.simulator import Simulator


def image_bytes(color: str = "orange", kind: str = "PNG", size: int = 32) -> bytes:
    """Return a small image of one color."""
    file = io.BytesIO()
    Image.new("RGB", (size, size), color).save(file, kind)
    return file.getvalue()


def write_image(path: Path, color: str = "orange", kind: str = "PNG") -> bytes:
    """Write a small image and return its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = image_bytes(color, kind)
    path.write_bytes(data)
    return data


def parts_sent(sim: Simulator) -> list[list[bytes | str]]:
    """Return the parts of each request in order: the bytes of images, and texts."""
    bodies = [orjson.loads(request.body) for request in sim.requests if request.method == "POST"]
    return [[_content(part) for part in body["contents"][0]["parts"]] for body in bodies]


def prompts_sent(sim: Simulator) -> list[str]:
    """Return the prompt of each request."""
    return [str(parts[-1]) for parts in parts_sent(sim)]


def _content(part: dict[str, dict[str, str]]) -> bytes | str:
    if "inlineData" in part:
        return base64.b64decode(part["inlineData"]["data"], validate=True)
    return part["fileData"]["fileUri"] if "fileData" in part else str(part["text"])
