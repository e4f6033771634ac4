"""What does a valid request ask for, and by which route did it come?"""

from __future__ import annotations

from dataclasses import dataclass

from imagen_batch.simulator.api.catalogue import Model, Verb
from imagen_batch.simulator.api.sizes import Pixels, pixels


@dataclass(frozen=True, slots=True)
class Call:
    """Where a request was sent: the path taken apart."""

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
class Order:
    """A request that passed the door, the same for both dialects."""

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
    parameters: str = "{}"  # JSON text of what else decides the picture
    reasons: bool = False  # includeRaiReason
    safety: bool = False  # includeSafetyAttributes
    rewrite: bool = False  # enhancePrompt
    thoughts: bool = False  # includeThoughts
    vertex: bool = False  # came by a path of Vertex AI
    references: int = 0  # pictures sent along

    @property
    def numbers(self) -> range:
        """The sample numbers asked for."""
        return range(self.first, self.first + self.count)

    @property
    def pixels(self) -> Pixels:
        """Width and height of every picture."""
        return pixels(self.model.shapes[self.aspect_ratio], self.image_size)
