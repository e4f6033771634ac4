"""Which models are there, what does each take, what does a picture cost, and until when does it live?

The facts are data: `models.toml`, each with its source and the day it was read. Tables of the same form in a
user's imagen-batch.toml add models or correct single fields.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from importlib.resources import files
from typing import Any, Final

from imagen_batch.errors import SettingsInvalid
from imagen_batch.providers.catalogue_fields import DIALECT_NAMES, THINKING_LEVELS, DialectName, read_field
from imagen_batch.records import CostIs, TokenUsage

ANY_SIZE: Final = "any"
"""Key of `Model.prices` for every size that has no price of its own."""


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """USD per million tokens. `text` is output: words and thoughts."""

    input: float
    image: float
    text: float


@dataclass(frozen=True, slots=True)
class Model:
    """One model, as its service offers it. Empty `sizes` or `ratios`: not known, anything goes."""

    id: str
    dialect: DialectName
    samples_per_request: int = 1
    sizes: tuple[str, ...] = ()
    sends_size: bool = True  # False: there is one size, and naming it is an error
    default_size: str = "1K"
    ratios: tuple[str, ...] = ()
    default_ratio: str = "1:1"
    thinking_levels: tuple[str, ...] = ()  # empty: no level may be sent
    takes_negative_prompt: bool = True  # predict on Vertex only; elsewhere the question does not arise
    prompt_words: int | None = None  # the end of a longer prompt may be ignored
    prompt_chars: int | None = None
    limits_source: str = ""
    limits_read: date | None = None

    prices: Mapping[str, float] = field(default_factory=dict)  # size, or ANY_SIZE -> USD per picture
    tokens: TokenPrices | None = None  # None: billed by the picture
    thinking_allowance: int = 0  # tokens of thought that the worst case reserves for a picture
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

    def worst_price(self, size: str | None, prompt: str) -> float | None:
        """The most that one picture may cost in USD; None when its price is not known.

        `prompt` is the text that is sent. A tokenizer falls back to bytes for what it does not know, so a
        prompt never has more tokens than UTF-8 bytes.
        """
        price = self._list_price(size)
        if price is None or self.tokens is None:
            return price
        prompt_tokens = len(prompt.encode("utf-8", "surrogatepass"))
        extras = prompt_tokens * self.tokens.input + self.thinking_allowance * self.tokens.text
        return price + extras / 1_000_000

    def cost(self, usage: TokenUsage | None, *, size: str | None, pictures: int) -> tuple[float | None, CostIs]:
        """What a reply with so many `pictures` costs in USD, and how sure that is.

        Exact only from counted tokens. A reply with pictures that counts no image tokens did not count them
        all: then, as for models billed by the picture, the list price is the best estimate. A refused picture
        is not charged, only the tokens that were counted.
        """
        if self.tokens is not None and usage is not None and (usage.image > 0 or pictures == 0):
            parts = (
                usage.prompt * self.tokens.input,
                usage.image * self.tokens.image,
                usage.text * self.tokens.text,
            )
            return sum(parts) / 1_000_000, "exact"
        price = self._list_price(size)
        if price is None:
            return None, "unknown"
        return pictures * price, "estimate"

    def retired(self, provider: str, today: date) -> date | None:
        """The day since which `provider` no longer serves the model; None while no such day has come."""
        shutdown = self.shutdowns.get(provider)
        return shutdown if shutdown is not None and shutdown <= today else None

    def _list_price(self, size: str | None) -> float | None:
        return self.prices.get(size or self.default_size, self.prices.get(ANY_SIZE))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All known models, in the order of the file. `default` is the id that a run uses when none is named."""

    default: str
    models: Mapping[str, Model]

    def get(self, model_id: str) -> Model | None:
        return self.models.get(model_id)

    def ids(self) -> tuple[str, ...]:
        return tuple(self.models)

    def __iter__(self) -> Iterator[Model]:
        return iter(self.models.values())


def load_catalogue(extra: Mapping[str, Mapping[str, object]] | None = None) -> Catalogue:
    """The catalogue with the user's `[models."id"]` tables over it. A given field replaces the old one whole.

    Raises SettingsInvalid naming model, field and what is allowed.
    """
    own = tomllib.loads(files("imagen_batch.providers").joinpath("models.toml").read_text("utf-8"))
    models: dict[str, Model] = {}
    for tables in (own["models"], extra or {}):
        for model_id, table in tables.items():
            models[model_id] = _amended(models.get(model_id), model_id, table)
    return Catalogue(default=own["default"], models=models)


def unknown_model(model_id: str, dialect: DialectName) -> Model:
    """A model of which only the dialect is known: no price, and no limit but the dialect's own."""
    if dialect == "predict":
        return Model(model_id, dialect, samples_per_request=4)
    return Model(model_id, dialect, thinking_levels=THINKING_LEVELS)


def override_price(model: Model, usd: float) -> Model:
    """`model` at `usd` per picture of any size. Token prices go: they would contradict it."""
    return replace(model, prices={ANY_SIZE: usd}, tokens=None, price_source="the user", price_read=None)


def _amended(base: Model | None, model_id: str, table: object) -> Model:
    if not isinstance(table, Mapping):
        raise SettingsInvalid(f'models."{model_id}": expected a table of fields, found {table!r}')
    values: dict[str, Any] = {name: read_field(model_id, name, found) for name, found in table.items()}
    if "tokens" in values:
        values["tokens"] = TokenPrices(**values["tokens"])
    if base is None:
        if "dialect" not in values:
            raise SettingsInvalid(f'models."{model_id}" is new, so it needs a dialect: {" or ".join(DIALECT_NAMES)}')
        base = unknown_model(model_id, values["dialect"])
    elif "prices" in values:
        # The old token prices would contradict the new ones, and win: they make a cost "exact".
        values = {"tokens": None, "price_source": "the user", "price_read": None} | values
    model = replace(base, **values)
    _refuse_prices_of_other_sizes(model)
    return model


def _refuse_prices_of_other_sizes(model: Model) -> None:
    sizes = (*model.sizes, ANY_SIZE)
    if model.sizes and (others := [size for size in model.prices if size not in sizes]):
        raise SettingsInvalid(f'models."{model.id}".prices: {others[0]!r} is none of its sizes: {", ".join(sizes)}')
