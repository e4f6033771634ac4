"""Defines the options of the services that have no command-line option of their own."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from imagen_batch.choices import MimeType, SafetySetting
from imagen_batch.settings.field_types import ThinkingLevel


class Parameters(BaseModel):
    """Options of the services without a command-line option: `--parameter NAME=VALUE` or `[parameters]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    guidance_scale: float | None = None
    safety_setting: SafetySetting | None = None
    safety_settings: dict[str, str] | None = None
    language: str | None = None
    include_safety_attributes: bool | None = None
    output_mime_type: MimeType | None = None
    compression_quality: int | None = Field(None, ge=0, le=100)
    add_watermark: bool | None = None
    enhance_prompt: bool | None = None
    thinking_level: ThinkingLevel = None
    store: bool | None = None
    labels: dict[str, str] | None = None
