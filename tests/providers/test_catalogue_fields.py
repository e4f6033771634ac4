"""A user's tables correct the catalogue, add to it, or are refused with a reason."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, date, datetime

import pytest

from imagen_batch.errors import SettingsInvalid
from imagen_batch.providers.catalogue import ANY_SIZE, Model, TokenPrices, load_catalogue
from imagen_batch.providers.catalogue_fields import _FIELDS
from imagen_batch.records import TokenUsage

TODAY = date(2026, 11, 22)
ULTRA = "imagen-4.0-ultra-generate-001"


def test_a_users_table_corrects_single_fields() -> None:
    """All other fields of the model stay."""
    table = {"samples_per_request": 4, "notes": "asked our account manager"}
    before, after = load_catalogue().get(ULTRA), load_catalogue({ULTRA: table}).get(ULTRA)
    assert before is not None
    assert after is not None
    assert (after.samples_per_request, after.notes) == (4, "asked our account manager")
    assert (after.prices, after.shutdowns) == (before.prices, before.shutdowns)


def test_a_corrected_price_is_not_overruled_by_old_token_prices() -> None:
    """Costs that use the old price must not be called exact."""
    name = "gemini-nano-banana-2.1"
    by_image = load_catalogue({name: {"prices": {"1K": 0.05}}}).get(name)
    assert by_image is not None
    assert by_image.cost(TokenUsage(image=1_120), size="1K", images=1) == (0.05, "estimate")
    assert by_image.worst_price("4K", "") is None
    assert (by_image.price_source, by_image.price_read) == ("the user", None)
    both = {"prices": {"1K": 0.05}, "tokens": {"input": 1, "image": 50.0, "text": 2}}
    by_token = load_catalogue({name: both}).get(name)
    assert by_token is not None
    assert by_token.tokens == TokenPrices(input=1, image=50.0, text=2)


def test_a_users_table_adds_a_model() -> None:
    """Fields that it leaves out are as open as for an unknown model."""
    table = {"dialect": "predict", "prices": {ANY_SIZE: 0.01}, "ratios": ["1:1"]}
    catalogue = load_catalogue({"our-own": table})
    model = catalogue.get("our-own")
    assert model is not None
    assert (model.samples_per_request, model.ratios, model.worst_price("2K", "")) == (4, ("1:1",), 0.01)
    assert catalogue.ids()[-1] == "our-own"


def test_a_table_has_the_same_meaning_as_json() -> None:
    """Settings are passed to other processes, and JSON has no dates."""
    table = {"released": date(2026, 1, 2), "shutdowns": {"gemini": date(2027, 1, 2)}, "sizes": ["1K"]}
    name = "gemini-nano-banana-2.1"
    there = json.loads(json.dumps({name: table | {"prices": {"1K": 1}}}, default=str))
    assert load_catalogue(there).get(name) == load_catalogue({name: table | {"prices": {"1K": 1}}}).get(name)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"dialect": "predict", "price": 1}, ["price: no such field", "prices", "shutdowns"]),
        ({"dialect": "grpc"}, ["dialect", "predict or generate_content", "'grpc'"]),
        ({"sizes": ["1K"]}, ["needs a dialect"]),
        ({"dialect": "predict", "sizes": "1K"}, ["sizes", "a list of texts"]),
        ({"dialect": "predict", "sizes": ["1K"], "prices": {"1k": 0.1}}, ["prices", "'1k'", "1K, any"]),
        ({"dialect": "predict", "prices": {"1K": -1}}, ["prices", "USD"]),
        ({"dialect": "predict", "prices": {"1K": float("nan")}}, ["prices", "USD"]),
        ({"dialect": "predict", "prices": 0.1}, ["prices", "{ 1K = 0.04 }"]),
        ({"dialect": "predict", "tokens": {"input": 1.0}}, ["tokens", "image"]),
        ({"dialect": "predict", "samples_per_request": 0}, ["samples_per_request", "1 or more"]),
        ({"dialect": "predict", "samples_per_request": True}, ["samples_per_request", "1 or more"]),
        ({"dialect": "predict", "shutdowns": {"gemini": "soon"}}, ["shutdowns", "dates"]),
        ({"dialect": "predict", "released": datetime(2026, 8, 17, tzinfo=UTC)}, ["released", "a date like"]),
        ({"dialect": "predict", "released": 2026}, ["released", "a date like"]),
        ({"dialect": "predict", "shutdowns": {"google": TODAY}}, ["shutdowns", "gemini"]),
        ({"dialect": "predict", "thinking_levels": ["high"]}, ["thinking_levels", "HIGH"]),
        ("predict", ["expected a table"]),
    ],
)
def test_a_wrong_table_is_refused_by_model_and_field(table: dict[str, object], words: list[str]) -> None:
    """The message names the model and the field, and what is allowed."""
    with pytest.raises(SettingsInvalid) as caught:
        load_catalogue({"our-own": table})
    assert all(word in str(caught.value) for word in ['models."our-own"', *words])


def test_every_field_of_a_model_can_be_corrected() -> None:
    """A field that no table may contain could be corrected only by a release."""
    assert set(_FIELDS) == {part.name for part in fields(Model)} - {"id"}
