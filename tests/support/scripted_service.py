"""A server on loopback that answers each request with its next body, and then always with the last one."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson


class Script(ThreadingHTTPServer):
    """Records its requests; `url` is its address."""

    daemon_threads = True

    def __init__(self, bodies: Sequence[bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies = list(bodies)
        self.requests: list[bytes] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Script

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.requests.append(body)
            reply = self.server.bodies[min(len(self.server.requests), len(self.server.bodies)) - 1]
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Log nothing."""


@contextmanager
def answering(*bodies: bytes) -> Iterator[Script]:
    """Run the server while the block runs."""
    server = Script(bodies)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def gemini_reply(*images: bytes, mime_type: str = "image/png", tokens: int | None = 1120) -> bytes:
    """Return a `generateContent` reply with these images, in this order."""
    parts = [{"inlineData": {"mimeType": mime_type, "data": base64.b64encode(data).decode()}} for data in images]
    counts = {
        "promptTokenCount": 2,
        "candidatesTokenCount": tokens,
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": tokens}],
    }
    reply = {"candidates": [{"finishReason": "STOP", "content": {"role": "model", "parts": parts}}]}
    return orjson.dumps(reply | ({"usageMetadata": counts} if tokens else {}))


def imagen_reply(*images: bytes, mime_type: str = "image/png") -> bytes:
    """Return a `predict` reply with these images."""
    items = [{"mimeType": mime_type, "bytesBase64Encoded": base64.b64encode(data).decode()} for data in images]
    return orjson.dumps({"predictions": items})
