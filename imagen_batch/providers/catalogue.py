"""Loads the catalogue of models: what each accepts, what its images cost, and when it is shut down.

The facts are data in `models.toml`, each with its source and the day it was read. Tables of the same form in a
user's imagen-batch.toml add models or correct single fields.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from importlib.resources import files
from typing import Any, Final

from imagen_batch.choices import DIALECTS, THINKING_LEVELS, DialectName
from imagen_batch.errors import SettingsInvalid
from imagen_batch.providers.catalogue_fields import read_field
from imagen_batch.records import CostIs, TokenUsage
from imagen_batch.text import plural

NOTICE_DAYS: Final = 30
"""How long before its end a model is named in every summary."""

ANY_SIZE: Final = "any"
"""Key in `Model.prices` for every size without a price of its own."""


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """USD per million tokens. `text` is output: text and thoughts."""

    input: float
    image: float
    text: float


@dataclass(frozen=True, slots=True)
class Model:
    """One model as its service offers it. Empty `sizes` or `ratios` mean unknown: any value is accepted."""

    id: str
    dialect: DialectName
    samples_per_request: int = 1
    sizes: tuple[str, ...] = ()
    sends_size: bool = True  # False: there is only one size, and sending it is an error
    default_size: str = "1K"
    ratios: tuple[str, ...] = ()
    default_ratio: str = "1:1"
    thinking_levels: tuple[str, ...] = ()  # empty: no level may be sent
    takes_negative_prompt: bool = True  # matters only for predict on Vertex
    prompt_words: int | None = None  # the end of a longer prompt may be ignored
    prompt_chars: int | None = None
    max_references: int = 14  # images in one request; 0: it takes none. predict never takes any
    reference_tokens: int = 1120  # input tokens of one reference image
    limits_source: str = ""
    limits_read: date | None = None

    prices: Mapping[str, float] = field(default_factory=dict)  # size, or ANY_SIZE -> USD per image
    tokens: TokenPrices | None = None  # None: billed by the image
    thinking_allowance: int = 0  # tokens of thought that the worst case reserves for an image
    price_source: str = ""
    price_read: date | None = None

    released: date | None = None
    shutdowns: Mapping[str, date] = field(default_factory=dict)  # provider -> first day without the model
    deprecated: bool = False
    successor: str | None = None
    successor_thinking: str | None = None  # the level at which the successor comes closest
    lifecycle_source: str = ""
    lifecycle_read: date | None = None
    notes: str = ""

    @property
    def references_allowed(self) -> int:
        """How many reference images a request may have."""
        return self.max_references if self.dialect == "generate_content" else 0

    def worst_price(self, size: str | None, prompt: str, references: int = 0) -> float | None:
        """Return the most that one image may cost in USD; None when its price is not known.

        `prompt` is the text that is sent. A tokenizer falls back to bytes for what it does not know, so a
        prompt never has more tokens than UTF-8 bytes.
        """
        price = self._list_price(size)
        if price is None or self.tokens is None:
            return price
        prompt_tokens = len(prompt.encode("utf-8", "surrogatepass")) + references * self.reference_tokens
        extras = prompt_tokens * self.tokens.input + self.thinking_allowance * self.tokens.text
        return price + extras / 1_000_000

    def cost(
        self, usage: TokenUsage | None, *, size: str | None, images: int, references: int = 0
    ) -> tuple[float | None, CostIs]:
        """Return what a reply with this number of images costs in USD, and how certain that is.

        Only counted tokens make it exact. A reply with images that reports no image tokens did not count all
        tokens: then, as for models billed by the image, the list price is the best estimate, with the price of
        the reference images. A refused image is not charged, only the tokens that were counted.
        """
        if self.tokens is not None and usage is not None and (usage.image > 0 or images == 0):
            parts = (
                usage.prompt * self.tokens.input,
                usage.image * self.tokens.image,
                usage.text * self.tokens.text,
            )
            return sum(parts) / 1_000_000, "exact"
        price = self._list_price(size)
        if price is None:
            return None, "unknown"
        inputs = self.reference_tokens * self.tokens.input * references / 1_000_000 if self.tokens and images else 0.0
        return images * price + inputs, "estimate"

    def retirement_date(self, provider: str, today: date) -> date | None:
        """Return the first day on which `provider` did not serve the model any more; None if it still does."""
        shutdown = self.shutdowns.get(provider)
        return shutdown if shutdown is not None and shutdown <= today else None

    def end_notice(self, provider: str, today: date) -> str | None:
        """Return a sentence about the announced end, from 30 days ahead; None before that, and once it is past."""
        end = self.shutdowns.get(provider)
        if end is None or not 0 < (days := (end - today).days) <= NOTICE_DAYS:
            return None
        remedy = f"change to its successor {self.successor}" if self.successor else "choose another model"
        return f"{self.id} ends on {end}, in {plural(days, 'day')}: {remedy} before then"

    def _list_price(self, size: str | None) -> float | None:
        return self.prices.get(size or self.default_size, self.prices.get(ANY_SIZE))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All known models, in the order of the file. `default` is the id that a run uses if none is given."""

    default: str
    models: Mapping[str, Model]

    def get(self, model_id: str) -> Model | None:
        return self.models.get(model_id)

    def ids(self) -> tuple[str, ...]:
        return tuple(self.models)

    def __iter__(self) -> Iterator[Model]:
        return iter(self.models.values())


def load_catalogue(extra: Mapping[str, Mapping[str, object]] | None = None) -> Catalogue:
    """Return the catalogue with the user's `[models."id"]` tables applied. A field replaces the old one as a whole.

    Raises SettingsInvalid, which names model, field and the allowed values.
    """
    shipped = tomllib.loads(files("imagen_batch.providers").joinpath("models.toml").read_text("utf-8"))
    models: dict[str, Model] = {}
    for tables in (shipped["models"], extra or {}):
        for model_id, table in tables.items():
            models[model_id] = _apply_table(models.get(model_id), model_id, table)
    return Catalogue(default=shipped["default"], models=models)


def unknown_model(model_id: str, dialect: DialectName) -> Model:
    """Return a model of which only the dialect is known: no price, and no limits but those of the dialect."""
    if dialect == "predict":
        return Model(model_id, dialect, samples_per_request=4)
    return Model(model_id, dialect, thinking_levels=THINKING_LEVELS)


def override_price(model: Model, usd: float) -> Model:
    """Return `model` at `usd` per image of any size. Token prices are removed: they would contradict it."""
    return replace(model, prices={ANY_SIZE: usd}, tokens=None, price_source="the user", price_read=None)


def _apply_table(base: Model | None, model_id: str, table: object) -> Model:
    if not isinstance(table, Mapping):
        raise SettingsInvalid(f'models."{model_id}": expected a table of fields, found {table!r}')
    values: dict[str, Any] = {name: read_field(model_id, name, value) for name, value in table.items()}
    if "tokens" in values:
        values["tokens"] = TokenPrices(**values["tokens"])
    if base is None:
        if "dialect" not in values:
            raise SettingsInvalid(f'models."{model_id}" is new, so it needs a dialect: {" or ".join(DIALECTS)}')
        base = unknown_model(model_id, values["dialect"])
    elif "prices" in values:
        # The old token prices would contradict the new prices and win, because they make a cost "exact".
        values = {"tokens": None, "price_source": "the user", "price_read": None} | values
    model = replace(base, **values)
    _refuse_prices_of_other_sizes(model)
    return model


def _refuse_prices_of_other_sizes(model: Model) -> None:
    sizes = (*model.sizes, ANY_SIZE)
    if model.sizes and (others := [size for size in model.prices if size not in sizes]):
        raise SettingsInvalid(
            f'models."{model.id}".prices: {others[0]!r} is not one of its sizes: {", ".join(sizes)}'
        )
