"""Lists the models that the simulator serves and the options that each accepts. (api: 1, 2.2, 7, 8.2)

Retired models still answer here as they did, so that their dialect can be tested.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from imagen_batch.simulator.api.models import pixel_sizes as sizes

Verb = Literal["predict", "generateContent"]

THINKING = ("MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH")


@dataclass(frozen=True, slots=True)
class Model:
    """The options that one model accepts. `sizes` is empty where a request must not name a size."""

    id: str
    verbs: tuple[Verb, ...]
    shapes: Mapping[str, sizes.Pixels]  # by aspect ratio, at 1K
    sizes: tuple[str, ...] = ()
    max_samples: int = 1  # per request
    mime_type: str = "image/jpeg"
    thinking: tuple[str, ...] = ()  # levels that a request may name
    thinks: bool = False
    tokens: Mapping[str, int] | None = None  # per image, by size
    reference_tokens: int = 1120  # per reference image (api: 7)


def find(model_id: str, *, extra: Collection[str] = ()) -> Model | None:
    """Return the model of that name; `sim-...` and the names in `extra` accept every option."""
    if model_id in MODELS:
        return MODELS[model_id]
    if model_id.startswith("sim-") or model_id in extra:
        return replace(_ANYTHING, id=model_id)
    return None


def _imagen(model_id: str, *, accepted_sizes: tuple[str, ...], max_samples: int = 4) -> Model:
    return Model(model_id, ("predict",), sizes.IMAGEN, accepted_sizes, max_samples=max_samples, mime_type="image/png")


_GENERATE: tuple[Verb, ...] = ("generateContent",)
_TOKENS_FLASH = {"512": 747, "1K": 1120, "2K": 1680, "4K": 2520}

_NANO_1 = Model("gemini-2.5-flash-image", _GENERATE, sizes.GEMINI_2, mime_type="image/png", tokens={"1K": 1290})
_FLASH = Model(
    "gemini-3.1-flash-image",
    _GENERATE,
    sizes.GEMINI_3,
    ("512", "1K", "2K", "4K"),
    thinking=("MINIMAL", "HIGH"),
    thinks=True,
    tokens=_TOKENS_FLASH,
)
_LITE = replace(_FLASH, id="gemini-3.1-flash-lite-image", shapes=sizes.GEMINI_3_NARROW, sizes=("1K",))
_PRO = Model(
    "gemini-3-pro-image",
    _GENERATE,
    sizes.GEMINI_3_NARROW,
    ("1K", "2K", "4K"),
    thinks=True,
    tokens={"1K": 1120, "2K": 1120, "4K": 2000},
    reference_tokens=560,
)
_NANO_2 = Model(
    "gemini-nano-banana-2.1",
    _GENERATE,
    sizes.GEMINI_3,
    ("1K", "2K", "4K"),
    thinking=("MINIMAL", "MEDIUM", "HIGH"),
    thinks=True,
    tokens={"1K": 1120, "2K": 1680, "4K": 3780},
)
_ANYTHING = Model(
    "sim-anything",
    ("predict", "generateContent"),
    sizes.GEMINI_3,
    ("512", "1K", "2K", "4K"),
    max_samples=4,
    thinking=THINKING,
    tokens=_TOKENS_FLASH,
)

MODELS: Mapping[str, Model] = {
    model.id: model
    for model in (
        _imagen("imagen-3.0-generate-002", accepted_sizes=()),
        _imagen("imagen-4.0-generate-001", accepted_sizes=("1K", "2K")),
        _imagen("imagen-4.0-fast-generate-001", accepted_sizes=("1K",)),
        _imagen("imagen-4.0-ultra-generate-001", accepted_sizes=("1K", "2K"), max_samples=1),
        _imagen("imagen-4.0-generate-preview-06-06", accepted_sizes=("1K", "2K")),
        _imagen("imagen-4.0-fast-generate-preview-06-06", accepted_sizes=("1K",)),
        _imagen("imagen-4.0-ultra-generate-preview-06-06", accepted_sizes=("1K", "2K"), max_samples=1),
        _NANO_1,
        replace(_NANO_1, id="gemini-2.5-flash-image-preview"),
        _FLASH,
        replace(_FLASH, id="gemini-3.1-flash-image-preview"),
        _LITE,
        _PRO,
        replace(_PRO, id="gemini-3-pro-image-preview"),
        replace(_PRO, id="nano-banana-pro-preview"),
        _NANO_2,
    )
}
