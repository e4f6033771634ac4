"""Lists the values that an option may take, each once.

Arguments, settings, cells, row checks and the wire format take them from here. `providers.check_row_options` decides
which of them a single model or service allows.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

ProviderName = Literal["gemini", "vertex", "simulator"]
DialectName = Literal["predict", "generate_content"]
FileFormat = Literal["csv", "tsv", "txt", "jsonl", "xlsx", "ods"]
Retry = Literal["failed", "filtered", "unknown", "missing"]
OnUnknown = Literal["resend", "hold"]
Runner = Literal["threads", "dask", "ray"]
NotifyOn = Literal["failure", "partial", "always"]

ImageSize = Literal["512", "1K", "2K", "4K"]
PersonGeneration = Literal["dont_allow", "allow_adult", "allow_all"]
SafetySetting = Literal["block_none", "block_only_high", "block_medium_and_above", "block_low_and_above"]
Language = Literal["auto", "en", "ja", "ko", "hi", "zh", "pt", "es"]
MimeType = Literal["image/png", "image/jpeg"]
ThinkingLevel = Literal["MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"]

PROVIDERS: Final[tuple[ProviderName, ...]] = get_args(ProviderName)
DIALECTS: Final[tuple[DialectName, ...]] = get_args(DialectName)
FILE_FORMATS: Final[tuple[FileFormat, ...]] = get_args(FileFormat)
RETRIES: Final[tuple[Retry, ...]] = get_args(Retry)
ON_UNKNOWN: Final[tuple[OnUnknown, ...]] = get_args(OnUnknown)
RUNNERS: Final[tuple[Runner, ...]] = get_args(Runner)
NOTIFY_ON: Final[tuple[NotifyOn, ...]] = get_args(NotifyOn)
IMAGE_SIZES: Final[tuple[ImageSize, ...]] = get_args(ImageSize)
PERSON_GENERATIONS: Final[tuple[PersonGeneration, ...]] = get_args(PersonGeneration)
SAFETY_SETTINGS: Final[tuple[SafetySetting, ...]] = get_args(SafetySetting)
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
MIME_TYPES: Final[tuple[MimeType, ...]] = get_args(MimeType)
THINKING_LEVELS: Final[tuple[ThinkingLevel, ...]] = get_args(ThinkingLevel)
