"""Records every exchange as one JSON line in a folder, without credentials."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import orjson

from imagen_batch.simulator.service import Answer
from imagen_batch.simulator.usage_log import ReceivedRequest

_SECRET_HEADERS = {"x-goog-api-key", "authorization", "proxy-authorization", "cookie"}
_KEY = re.compile(r"([?&]key=)[^&]*")


class Journal:
    """Appends to `exchanges.jsonl` in a folder, which is created if necessary."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "exchanges.jsonl"
        self._lock = threading.Lock()

    def __call__(self, received: ReceivedRequest, answer: Answer, status: int) -> None:
        """Record one exchange; `status` is 0 where no reply was sent."""
        line = orjson.dumps(_exchange(received, answer, status), option=orjson.OPT_APPEND_NEWLINE)
        with self._lock, self._path.open("ab") as file:
            file.write(line)


def _exchange(received: ReceivedRequest, answer: Answer, status: int) -> dict[str, object]:
    headers = {name: "..." if name in _SECRET_HEADERS else value for name, value in received.headers.items()}
    return {
        "time": received.time,
        "method": received.method,
        "path": _KEY.sub(r"\1...", received.path),
        "headers": headers,
        "body": received.body.decode("utf-8", "replace"),
        "status": status,
        "fault": answer.fault,
        "reply": None if answer.images else answer.reply.body.decode("utf-8", "replace"),
        "pictures": [{"sample": image.sample, "sha256": image.sha256} for image in answer.images],
    }
