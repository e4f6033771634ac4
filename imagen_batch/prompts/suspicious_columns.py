"""Finds columns that look like settings but are not sent: those of another tool, or a misspelled name of ours."""

from __future__ import annotations

from collections.abc import Collection
from difflib import SequenceMatcher

from imagen_batch.prompts.column_names import ALIASES, fold

_MIN_SIMILARITY = 0.84  # of SequenceMatcher: "varients" and "variants" are 0.875
_SHORT = 5  # letters: such short names resemble ordinary words (mode, speed), so only swapped letters count
_COUNT = "; the number of images is read from a column samples"
_RATIO = "; the shape is read from a column aspect_ratio, the size from image_size"

# Names of settings in other image tools and services. Words that are also ordinary headings are left out.
_SETTINGS: dict[str, str] = {
    **dict.fromkeys(("width", "height", "dimensions", "orientation"), _RATIO),
    **dict.fromkeys(
        ("num_images", "n_images", "num_outputs", "num_samples", "batch_size", "batch_count", "n_iter"), _COUNT
    ),
    **dict.fromkeys(("negative", "neg_prompt"), "; what to leave out is read from a column negative_prompt"),
    **dict.fromkeys(
        (
            *("steps", "num_steps", "inference_steps", "num_inference_steps", "sampling_steps", "sampling_method"),
            *("sampler", "sampler_name", "scheduler", "cfg", "cfg_scale", "guidance", "clip_skip", "eta"),
            *("denoise", "denoising_strength", "image_strength", "prompt_strength", "checkpoint", "vae"),
            *("lora", "loras", "controlnet", "control_image", "init_image", "input_image", "mask_image"),
            *("hires_fix", "upscaler", "tiling", "stylize", "sref", "cref", "oref", "style_preset"),
            *("quality", "output_format", "response_format", "output_quality", "moderation", "input_fidelity"),
            *("safety_tolerance", "prompt_upsampling", "temperature", "top_p", "top_k", "seed_mode"),
        ),
        "",
    ),
    **{
        name: f"; for the whole run: --parameter {name}=VALUE"
        for name in (
            *("guidance_scale", "safety_setting", "output_mime_type", "compression_quality"),
            *("add_watermark", "enhance_prompt", "thinking_level", "include_safety_attributes"),
        )
    },
}
_REFERENCES = ("reference_image", "ref_image")
# Ordinary headings that resemble a name of ours.
_ORDINARY = {"sample", "variant", "reference", "position", "revolution", "example", "examples", "amount"}


def column_warning(header: str, roles: Collection[str]) -> str | None:
    """Return the warning for one of the user's own columns; None if it needs none. `roles` are already assigned."""
    name = fold(header)
    if name in _REFERENCES:
        return (
            f"column {header!r} looks like reference images, but is not sent; they are read from a column references"
        )
    if name in _SETTINGS:
        return f"column {header!r} looks like a setting that is not sent; it is kept as your own{_SETTINGS[name]}"
    known = _closest_name(name, roles)
    if known is not None:
        return f"column {header!r} looks like a typo of {known}; it is kept as your own and not sent"
    return None


def misspelled_role(header: str, roles: Collection[str]) -> str | None:
    """Return the known name that one of the user's own columns probably misspells."""
    name = fold(header)
    return None if name in _SETTINGS or name in _REFERENCES else _closest_name(name, roles)


def _closest_name(name: str, roles: Collection[str]) -> str | None:
    """Return the known name that `name` resembles most, if any, of a role that no column has."""
    if name in _ORDINARY:
        return None
    candidates = [alias for role, aliases in ALIASES.items() if role not in roles for alias in aliases]
    similar = [
        (similarity, alias) for alias in candidates if (similarity := _similarity(name, alias)) >= _MIN_SIMILARITY
    ]
    return max(similar)[1] if similar else None


def _similarity(name: str, known: str) -> float:
    if name[:1] != known[:1] or abs(len(name) - len(known)) > 2 or name.startswith(f"{known}_"):
        return 0.0
    if len(known) <= _SHORT:
        return 1.0 if name != known and sorted(name) == sorted(known) else 0.0
    return SequenceMatcher(None, name, known, autojunk=False).ratio()
