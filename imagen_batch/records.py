"""Which plain values travel from a prompt file to a manifest?

    PromptRow -> ImageRequest -> Reply (Picture | Missing ...) -> Sample

Nothing here reads a file, a clock or the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar, dataclass_transform

_Value = TypeVar("_Value")

Outcome = Literal["ok", "filtered", "failed", "unknown", "skipped_budget", "not_attempted"]
OUTCOMES: tuple[Outcome, ...] = ("ok", "filtered", "failed", "unknown", "skipped_budget", "not_attempted")

CostIs = Literal["exact", "estimate", "unknown"]


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[_Value]) -> type[_Value]:
    """A frozen dataclass, but frozen for the type checker alone: really frozen ones take three times as long to make.

    A run over a million rows makes ten million.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)


@value
class Options:
    """What a request asks for besides its prompt. None means: not sent, the service decides.

    Names are ours; `wire/` knows what each dialect calls them.
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


@value
class PromptRow:
    """One record of the input file, cells checked and typed; None where a cell is empty or has no column."""

    row: int  # 1.. in input order
    line: int  # physical line where the record begins, 1..
    prompt: str  # exact, but for trimmed ends
    id: str | None = None
    filename: str | None = None
    model: str | None = None
    samples: int | None = None
    style: str | None = None
    options: Options = Options()
    cells: Mapping[str, str] = field(default_factory=dict)  # every original column but secrets, by its header
    user: Mapping[str, str] = field(default_factory=dict)  # of those, the columns that only the user knows
    mark: str | None = None  # in a failures.csv of ours: which row of the run's input this is


@value
class ImageRequest:
    """One HTTP call's worth of work: `samples` pictures of one row, from sample number `first` on."""

    key: str  # 64 hex digits, see identity.py
    base: str  # 64 hex digits: the same without the sample range
    row: int
    first: int
    samples: int
    model: str
    dialect: str
    prompt: str  # what is sent
    options: Options
    names: tuple[str, ...]  # for each sample: path of its picture below the run folder, without extension
    price: float | None  # worst case in USD for one attempt; None where no price is known

    @property
    def numbers(self) -> range:
        """The sample numbers this request asks for."""
        return range(self.first, self.first + self.samples)

    def name(self, number: int) -> str:
        """The name of a sample's picture, without extension."""
        return self.names[number - self.first]


@value
class Picture:
    """A picture in a reply. `data` is the encoded file, byte for byte as the service made it."""

    data: bytes
    mime_type: str  # what the service says it is
    finish_reason: str | None = None
    safety: str | None = None  # JSON text of the service's safety attributes or ratings
    note: str | None = None  # text that came beside it: a rewritten prompt, a remark


@value
class NoImage:
    """A sample for which a word, or nothing, came in place of a picture. A value, not an error."""

    outcome: Literal["filtered", "failed"]
    kind: str  # "filtered_input", "filtered_output", "no_image", "bad_request"
    reason: str
    stage: Literal["input", "output"] | None = None
    category: str | None = None
    codes: tuple[str, ...] = ()
    finish_reason: str | None = None
    safety: str | None = None
    again: int = 0  # how many more times asking the same may help (api: 8.4)


@value
class TokenUsage:
    """Tokens a reply says it used; the basis of an exact price."""

    prompt: int = 0
    image: int = 0
    text: int = 0  # text output and thoughts


@value
class Reply:
    """What one attempt brought: exactly as many entries as samples were asked for, in sample order."""

    samples: tuple[Picture | NoImage, ...]
    http_status: int
    usage: TokenUsage | None = None  # None where the service does not count tokens
    model_version: str | None = None
    prompt_safety: str | None = None  # JSON text: the "Positive Prompt" entry of Imagen
    spare: tuple[Picture, ...] = ()  # images beyond those asked for; paid for as well


@value
class SampleResult:
    """What became of one sample: the ledger's word, and the manifest's row but for the prompt's side."""

    number: int
    status: Outcome
    file: str | None = None  # relative to the run folder, "/" between segments
    mime_type: str | None = None  # what the bytes are
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
    note: str | None = None  # the service's words beside a picture; stays in the ledger
    cost_usd: float | None = None
    cost_is: CostIs | None = None


@value
class RequestTrace:
    """How a request went, the same for all its samples. Times are seconds since the epoch."""

    key: str
    attempts: int = 0
    http_status: int | None = None  # of the last attempt that was answered
    latency_s: float | None = None  # of the last attempt
    sent_at: float | None = None  # of the first attempt
    finished_at: float | None = None


@value
class ManifestRow:
    """One row of the manifest: a sample asked for, with and without a picture."""

    row: PromptRow
    sample: SampleResult
    trace: RequestTrace
    model: str
    provider: str
    dialect: str
    prompt: str  # what was sent or would have been
    options: Options  # the row's over the run's
    charged_usd: float | None = None  # by all attempts, where that is not what the sample's own record says

    @property
    def cost_usd(self) -> float | None:
        """What was certainly charged for the sample. Nothing is known of an attempt whose reply was lost."""
        if self.charged_usd is not None:
            return self.charged_usd
        return None if self.sample.cost_is == "unknown" else self.sample.cost_usd


@value
class Move:
    """Samples whose images, and whatever else is known of them, hold for samples of another base key from now on.

    `facts` is what the images were made from, where that differs from what the row says now.
    """

    base: str
    source: str  # base key
    numbers: tuple[int, ...]
    facts: Mapping[str, object] | None = None

    def as_record(self) -> dict[str, object]:
        """As the ledger has it."""
        return {"base": self.base, "from": self.source, "numbers": self.numbers, **(self.facts or {})}


@value
class Problem:
    """One defect of the input, told so that it can be found and mended."""

    line: int | None
    column: str | None
    found: str | None
    message: str  # what is wrong and what is allowed


Limit = Literal["max_cost", "max_cost_per_run", "max_images"]
"""The settings that bound what a run may spend."""

CENT_FRACTION = 1e-9  # sums of prices are floats: a wall of 3 x 0.04 must admit three pictures
