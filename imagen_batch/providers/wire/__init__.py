"""How is a request written for a service, and what does its reply say? Pure: no clock, no socket.

`predict` and `generate_content` are the two dialects; `errors` reads what comes instead of an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from imagen_batch.providers.wire import generate_content, predict
from imagen_batch.records import ImageRequest, Reply


class Dialect(Protocol):
    """What each dialect's module offers."""

    @property
    def name(self) -> str:
        """Its key in DIALECTS."""

    @property
    def verb(self) -> str:
        """What follows the colon in the URL."""

    def encode(self, request: ImageRequest, *, vertex: bool) -> dict[str, object]:
        """The JSON body to post. ValueError for an option that the dialect has no words for."""

    def decode(self, body: bytes, *, asked: int, http_status: int = 200) -> Reply:
        """Exactly `asked` samples; Transient or Fatal where the body holds no answer."""


DIALECTS: Mapping[str, Dialect] = {"predict": predict, "generate_content": generate_content}
