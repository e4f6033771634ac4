"""Translates our options to the fields of a dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from imagen_batch.records import Options

OUTPUT_OPTIONS: Final = {"output_mime_type": "mimeType", "compression_quality": "compressionQuality"}
"""The options of the image file, which both dialects spell alike."""


def set_fields(options: Options, names: Mapping[str, str]) -> dict[str, object]:
    """Return the options in `names` (ours -> the wire's) that are set, under the wire's names."""
    values = {wire: getattr(options, ours) for ours, wire in names.items()}
    return {wire: value for wire, value in values.items() if value is not None}


def require_unset(options: Options, names: Sequence[str], *, dialect: str) -> None:
    """Raise ValueError if one of `names` is set: a bug, because the plan has checked what the model accepts."""
    if unsupported := [ours for ours in names if getattr(options, ours) is not None]:
        raise ValueError(f"{dialect} has no field for {', '.join(unsupported)}")
