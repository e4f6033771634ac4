"""Translates between our values and the services' JSON. Pure: no clock, no socket.

`predict` and `generate_content` are the two dialects; `classify_errors` reads error replies. The facts about the
services are in docs/service-api.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from imagen_batch.providers.wire import generate_content, predict
from imagen_batch.records import ImageRequest, InputImage, Reply


class Dialect(Protocol):
    """The interface of a dialect's module."""

    @property
    def name(self) -> str:
        """Its key in DIALECTS."""

    @property
    def verb(self) -> str:
        """The part of the URL after the colon."""

    def encode(
        self, request: ImageRequest, *, vertex: bool, references: Sequence[InputImage] = ()
    ) -> dict[str, object]:
        """Return the JSON body to post, with the bytes of the request's reference images.

        Raises ValueError for an option that the dialect has no field for.
        """

    def decode(self, body: bytes, *, requested: int, http_status: int = 200) -> Reply:
        """Return exactly `requested` samples. Raises Transient or Fatal if the body contains no answer."""


DIALECTS: Mapping[str, Dialect] = {"predict": predict, "generate_content": generate_content}
