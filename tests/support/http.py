"""Sends requests to the simulator with the standard library's client, which tolerates no errors."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from imagen_batch.simulator import Simulator

IMAGEN = "imagen-4.0-generate-001"
GEMINI = "gemini-nano-banana-2.1"
VERTEX = "/v1/projects/p/locations/global/publishers/google"
KEY = {"x-goog-api-key": "k"}


@dataclass(frozen=True)
class Reply:
    """A complete reply."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Return the parsed body."""
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """Return the message of an error."""
        return str(self.json["error"]["message"])

    @property
    def images(self) -> list[bytes]:
        """Return every image, decoded, in either dialect."""
        if "predictions" in self.json:
            items = [item.get("bytesBase64Encoded") for item in self.json["predictions"]]
        else:
            parts = [part for one in self.json["candidates"] for part in one["content"].get("parts", [])]
            items = [part.get("inlineData", {}).get("data") for part in parts]
        return [base64.b64decode(item) for item in items if item]


def send(
    sim: Simulator, path: str, body: Any = None, *, headers: Mapping[str, str] = KEY, timeout: float = 5
) -> Reply:
    """Send a request on a new connection; without a body it is a GET."""
    connection = HTTPConnection(urlsplit(sim.url).netloc, timeout=timeout)
    try:
        data = body if isinstance(body, bytes) else json.dumps(body)
        connection.request("GET" if body is None else "POST", path, None if body is None else data, dict(headers))
        reply = connection.getresponse()
        return Reply(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())
    finally:
        connection.close()


def predict(
    sim: Simulator, prompt: str = "a canal", *, model: str = IMAGEN, root: str = "/v1beta", **options: Any
) -> Reply:
    """Send a `:predict` with these parameters, for one sample by default."""
    body = {"instances": [{"prompt": prompt}], "parameters": {"sampleCount": 1, **options}}
    return send(sim, f"{root}/models/{model}:predict", body)


def generate(
    sim: Simulator,
    prompt: str = "a canal",
    *,
    model: str = GEMINI,
    root: str = "/v1beta",
    sample: int = 1,
    config: Mapping[str, Any] | None = None,
    **image: Any,
) -> Reply:
    """Send a `:generateContent` with this imageConfig."""
    generation = {"responseModalities": ["IMAGE"], "imageConfig": image, **(config or {})}
    body = {"contents": [{"role": "user", "parts": [{"text": prompt}]}], "generationConfig": generation}
    return send(
        sim,
        f"{root}/models/{model}:generateContent",
        body,
        headers={**KEY, "x-imagen-batch-sample": str(sample)},
    )
