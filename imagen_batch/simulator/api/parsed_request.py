"""Defines a parsed request, the same for both dialects, and the route it came by."""

from __future__ import annotations

from dataclasses import dataclass

from imagen_batch.simulator.api.models.pixel_sizes import Pixels, pixels
from imagen_batch.simulator.api.models.served_models import Model, Verb


@dataclass(frozen=True, slots=True)
class Call:
    """The parts of a request's path."""

    verb: str
    model: str
    version: str  # "v1", "v1beta", "v1beta1"
    project: str | None = None  # None on the Gemini API's paths
    location: str | None = None

    @property
    def vertex(self) -> bool:
        """True on the paths of Vertex AI."""
        return self.project is not None


@dataclass(frozen=True, slots=True)
class ValidRequest:
    """A request that passed all checks, the same for both dialects."""

    verb: Verb
    model: Model
    prompt: str
    aspect_ratio: str
    image_size: str
    first: int = 1  # number of its first sample
    count: int = 1
    seed: int | None = None
    mime_type: str = "image/png"
    quality: int = 75
    parameters: str = "{}"  # JSON text of everything else that decides the image
    reasons: bool = False  # includeRaiReason
    safety: bool = False  # includeSafetyAttributes
    rewrite: bool = False  # enhancePrompt
    thoughts: bool = False  # includeThoughts
    vertex: bool = False  # sent to a path of Vertex AI
    references: int = 0  # reference images in the request
    images: tuple[tuple[str, bytes], ...] = ()  # type and bytes of those that are part of it

    @property
    def numbers(self) -> range:
        """The requested sample numbers."""
        return range(self.first, self.first + self.count)

    @property
    def pixels(self) -> Pixels:
        """Width and height of every image."""
        return pixels(self.model.shapes[self.aspect_ratio], self.image_size)
