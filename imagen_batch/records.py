"""Defines the plain values that lead from a prompt file to a manifest.

    PromptRow -> ImageRequest -> Reply (Image | NoImage ...) -> SampleResult -> ManifestRow

Nothing here reads a file, a clock or the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar, dataclass_transform, get_args

_Value = TypeVar("_Value")

Outcome = Literal["ok", "filtered", "failed", "unknown", "skipped_budget", "not_attempted"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

CostIs = Literal["exact", "estimate", "unknown"]

ImageWarning = Literal["aspect_ratio", "duplicate_bytes", "flat_color", "extra_image"]
IMAGE_WARNINGS: tuple[ImageWarning, ...] = get_args(ImageWarning)
"""Properties of an image that were not requested. Such an image is kept and counted as ok."""


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[_Value]) -> type[_Value]:
    """Make a dataclass that only the type checker treats as frozen.

    Creating an instance of a really frozen dataclass takes three times as long, and a run over a million rows creates
    ten million.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)


@value
class Options:
    """The options of a request besides its prompt. None means not sent: the service decides.

    The names are our own; `providers/wire` maps them to each dialect.
    """

    aspect_ratio: str | None = None  # "16:9"
    image_size: str | None = None  # "512", "1K", "2K", "4K"
    person_generation: str | None = None  # "dont_allow", "allow_adult", "allow_all"
    negative_prompt: str | None = None
    seed: int | None = None
    guidance_scale: float | None = None
    safety_setting: str | None = None  # predict only: "block_only_high", ...
    safety_settings: tuple[tuple[str, str], ...] | None = None  # generate_content: (category, threshold)
    language: str | None = None
    include_safety_attributes: bool | None = None
    output_mime_type: str | None = None  # "image/png", "image/jpeg"
    compression_quality: int | None = None  # 0..100, JPEG only
    add_watermark: bool | None = None
    enhance_prompt: bool | None = None
    thinking_level: str | None = None  # "MINIMAL", "MEDIUM", "HIGH"
    store: bool | None = None  # generate_content: False keeps the exchange out of Google's store
    labels: tuple[tuple[str, str], ...] | None = None  # Vertex billing labels
    references: tuple[str, ...] | None = None  # SHA-256 of each reference image's content, or its URI, as sent


@value
class Reference:
    """A reference image of a row: where its bytes are, and what they are.

    Exactly one of `path`, `file` and `uri` is set, except for an image of the run that is not made yet.
    """

    text: str  # as the user wrote it: a path, a URI, or @id of another row
    mime_type: str = ""  # of the bytes; empty where only the service knows it
    sha256: str | None = None  # None for a URI, and for an image that is not made yet
    bytes: int = 0
    path: str | None = None  # absolute, on this machine
    file: str | None = None  # an image of the run, relative to its folder
    uri: str | None = None  # read by the service itself

    @property
    def is_row_image(self) -> bool:
        """Whether it is the image of another row."""
        return self.text.startswith("@")

    @property
    def identity(self) -> str:
        """The part of a request's identity: the content, or the URI."""
        return self.sha256 or self.uri or self.text


@value
class InputImage:
    """A reference image as it is sent: its bytes, or the URI from which the service reads them."""

    mime_type: str
    data: bytes = b""
    uri: str | None = None


@value
class PromptRow:
    """One record of the input file with checked and typed cells; None where a cell is empty or has no column."""

    row: int  # 1.. in input order
    line: int  # physical line where the record begins, 1..
    prompt: str  # exact, except for trimmed ends
    id: str | None = None
    filename: str | None = None
    model: str | None = None
    samples: int | None = None
    style: str | None = None
    references: tuple[str, ...] = ()  # as written: paths, URIs, @id of other rows
    of_characters: int = 0  # how many of them, at the end, come from the row's characters and not from its cells
    shape: str | None = None  # a named shape; the column stays the user's own
    options: Options = Options()
    cells: Mapping[str, str] = field(default_factory=dict)  # every original column except secrets, by its header
    user: Mapping[str, str] = field(default_factory=dict)  # of those, the columns without a meaning here
    input_prompt: str | None = None  # the row's own text, where a template or a style replaced it
    mark: str | None = None  # in a failures.csv that a run wrote: identifies the row of the run's input


@value
class ImageRequest:
    """The work of one HTTP call: `samples` images of one row, from sample number `first` on."""

    key: str  # 64 hex digits, see planning/keys.py
    base: str  # 64 hex digits: the row key, which does not depend on the sample range
    row: int
    first: int
    samples: int
    model: str
    dialect: str
    prompt: str  # what is sent
    options: Options
    names: tuple[str, ...]  # for each sample: path of its image below the run folder, without extension
    price: float | None  # worst case in USD for one attempt; None where no price is known
    references: tuple[Reference, ...] = ()  # in the order in which they are sent, before the prompt

    @property
    def numbers(self) -> range:
        """The sample numbers of this request."""
        return range(self.first, self.first + self.samples)

    def name(self, number: int) -> str:
        """Return the name of a sample's image, without extension."""
        return self.names[number - self.first]


@value
class ReceivedImage:
    """An image in a reply. `data` is the encoded file, byte for byte as the service sent it."""

    data: bytes
    mime_type: str  # as stated by the service
    finish_reason: str | None = None
    safety: str | None = None  # JSON text of the service's safety attributes or ratings
    note: str | None = None  # text in the same reply: a rewritten prompt, a remark


@value
class NoImage:
    """A sample for which the reply has no image. A value, not an error."""

    outcome: Literal["filtered", "failed"]
    kind: str  # "filtered_input", "filtered_output", "no_image", "bad_request"
    reason: str
    stage: Literal["input", "output"] | None = None
    category: str | None = None
    codes: tuple[str, ...] = ()
    finish_reason: str | None = None
    safety: str | None = None
    again: int = 0  # how many more attempts of the same request may help (api: 8.4)


@value
class TokenUsage:
    """The tokens that a reply states as used; the basis of an exact price."""

    prompt: int = 0
    image: int = 0
    text: int = 0  # text output and thoughts


@value
class Reply:
    """The decoded reply to one attempt: exactly one entry for each requested sample, in sample order."""

    samples: tuple[ReceivedImage | NoImage, ...]
    http_status: int
    usage: TokenUsage | None = None  # None where the service does not count tokens
    model_version: str | None = None
    prompt_safety: str | None = None  # JSON text: the "Positive Prompt" entry of Imagen
    spare: tuple[ReceivedImage, ...] = ()  # images beyond the requested ones; they are paid for as well
    response_id: str | None = None


@value
class SampleResult:
    """The result of one sample, as in the ledger and in the manifest."""

    number: int
    status: Outcome
    file: str | None = None  # relative to the run folder, "/" between segments
    mime_type: str | None = None  # of the bytes
    width: int | None = None
    height: int | None = None
    bytes: int | None = None
    sha256: str | None = None
    c2pa: bool | None = None
    reason: str | None = None  # the service's own words about a filtered sample
    filter_stage: str | None = None
    filter_category: str | None = None
    filter_codes: tuple[str, ...] = ()
    finish_reason: str | None = None
    safety: str | None = None
    error: str | None = None
    error_kind: str | None = None
    note: str | None = None  # the service's text beside an image; only in the ledger
    cost_usd: float | None = None
    cost_is: CostIs | None = None
    warnings: tuple[str, ...] = ()  # of IMAGE_WARNINGS; a later version may know more


@value
class RequestTrace:
    """The course of a request, the same for all its samples. Times are seconds since the epoch."""

    key: str
    attempts: int = 0
    http_status: int | None = None  # of the last attempt with a reply
    latency_s: float | None = None  # of the last attempt
    sent_at: float | None = None  # of the first attempt
    finished_at: float | None = None
    model_version: str | None = None  # as the last reply states it
    response_id: str | None = None
    prompt_tokens: int | None = None  # of the request
    output_tokens: int | None = None  # image, text and thoughts
    run_id: str | None = None  # the run that sent the last attempt


@value
class ManifestRow:
    """One row of the manifest: a requested sample, with or without an image."""

    row: PromptRow
    sample: SampleResult
    trace: RequestTrace
    model: str
    provider: str
    dialect: str
    prompt: str  # what was sent or would have been
    options: Options  # the row's options, then the run's
    charged_usd: float | None = None  # by all attempts, where that differs from the sample's own record
    references: tuple[str, ...] = ()  # of the run and of the row, as written
    version: int = 1
    review: str | None = None  # "approved", "rejected", "redo"
    replaced: bool = False  # without an image, and --accept has enough others of the row

    @property
    def cost_usd(self) -> float | None:
        """The cost that was certainly charged for the sample; None for an attempt whose reply was lost."""
        if self.charged_usd is not None:
            return self.charged_usd
        return None if self.sample.cost_is == "unknown" else self.sample.cost_usd


@value
class Move:
    """Assigns the images and records of some samples to the same samples of another row key.

    `facts` is what the images were made from, where that differs from the current row.
    """

    base: str
    source: str  # row key
    numbers: tuple[int, ...]
    facts: Mapping[str, object] | None = None

    def as_record(self) -> dict[str, object]:
        """Return the fields of the ledger record."""
        return {"base": self.base, "from": self.source, "numbers": self.numbers, **(self.facts or {})}


@value
class Problem:
    """One defect of the input, with all that is needed to find and fix it."""

    line: int | None
    column: str | None
    found: str | None
    message: str  # names the mistake and the allowed values


Limit = Literal["max_cost", "max_cost_per_run", "max_images", "max_cost_per"]
"""The settings that bound what a run may spend."""

CENT_FRACTION = 1e-9  # sums of prices are floats: a limit of 3 x 0.04 must admit three images
