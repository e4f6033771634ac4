"""The catalogue is complete, its prices are safe to reserve, and its lifecycle dates are applied."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.cli.model_table import model_rows
from imagen_batch.providers.catalogue import Model, load_catalogue, override_price, unknown_model
from imagen_batch.records import TokenUsage

TODAY = date(2026, 11, 26)
CATALOGUE = load_catalogue()
MODELS = list(CATALOGUE)
FIVE_RATIOS = ("1:1", "3:4", "4:3", "9:16", "16:9")

every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)


def known(model_id: str) -> Model:
    model = CATALOGUE.get(model_id)
    assert model is not None
    return model


def test_the_catalogue_holds_imagen_and_the_gemini_image_models() -> None:
    """These are the four models of the first version, and their successors."""
    assert CATALOGUE.ids() == (
        "imagen-3.0-generate-002",
        "imagen-4.0-generate-001",
        "imagen-4.0-ultra-generate-001",
        "imagen-4.0-fast-generate-001",
        "gemini-2.5-flash-image",
        "gemini-3-pro-image",
        "nano-banana-pro-preview",
        "gemini-3.1-flash-image",
        "gemini-3.1-flash-lite-image",
        "gemini-nano-banana-2.1",
    )


def test_the_default_model_is_current() -> None:
    """A run without --model must not start with a deprecated one."""
    default = known(CATALOGUE.default)
    assert default.id == "gemini-nano-banana-2.1"
    assert not default.deprecated


@every_model
def test_every_fact_has_a_source_and_a_day(model: Model) -> None:
    """A price that nobody can look up again can't be checked."""
    facts = [
        (model.limits_source, model.limits_read),
        (model.price_source, model.price_read),
        (model.lifecycle_source, model.lifecycle_read),
    ]
    assert all(source and read is not None and read <= TODAY for source, read in facts)
    assert model.released is not None


@every_model
def test_every_size_has_a_price_and_the_defaults_are_offered(model: Model) -> None:
    """Every default is a size that the model offers."""
    assert set(model.prices) == set(model.sizes)
    assert all(price > 0 for price in model.prices.values())
    assert model.default_size in model.sizes
    assert model.default_ratio in model.ratios


@every_model
def test_a_successor_is_in_the_catalogue_and_alive(model: Model) -> None:
    """The successor that a message names must be usable."""
    if model.successor is None:
        assert not model.deprecated
        return
    successor = known(model.successor)
    assert not successor.deprecated
    assert all(successor.retirement_date(provider, TODAY) is None for provider in ("gemini", "vertex"))
    assert model.successor_thinking is None or model.successor_thinking in successor.thinking_levels


@every_model
def test_list_prices_agree_with_token_prices(model: Model) -> None:
    """An image's list price is a whole number of image tokens, apart from the rounding on Google's page."""
    if model.tokens is None:
        assert model.dialect == "predict"
        return
    for price in model.prices.values():
        tokens = price * 1_000_000 / model.tokens.image
        assert any(abs(tokens - counted) < 11 for counted in (747, 1_120, 1_290, 1_680, 2_000, 2_520, 3_770))


@pytest.mark.parametrize(
    ("model_id", "samples", "sizes", "sends_size"),
    [
        ("imagen-3.0-generate-002", 4, ("1K",), False),
        ("imagen-4.0-fast-generate-001", 4, ("1K",), True),
        ("imagen-4.0-generate-001", 4, ("1K", "2K"), True),
        ("imagen-4.0-ultra-generate-001", 1, ("1K", "2K"), True),
    ],
)
def test_imagen_models_accept_what_google_documents(
    model_id: str, samples: int, sizes: tuple[str, ...], sends_size: bool
) -> None:
    """These are the samples per request, sizes and ratios of Imagen. (api: 2.2)"""
    model = known(model_id)
    assert (model.samples_per_request, model.sizes, model.sends_size) == (samples, sizes, sends_size)
    assert model.ratios == FIVE_RATIOS


@pytest.mark.parametrize(
    ("model_id", "sizes", "ratios"),
    [
        ("gemini-2.5-flash-image", ("1K",), 10),
        ("gemini-3.1-flash-image", ("512", "1K", "2K", "4K"), 14),
        ("gemini-3.1-flash-lite-image", ("1K",), 10),
        ("gemini-3-pro-image", ("1K", "2K", "4K"), 10),
        ("gemini-nano-banana-2.1", ("1K", "2K", "4K"), 14),
    ],
)
def test_gemini_models_make_one_image_a_request(model_id: str, sizes: tuple[str, ...], ratios: int) -> None:
    """Several candidates are refused, so n images are n requests; every Imagen ratio still works."""
    model = known(model_id)
    assert (model.samples_per_request, model.sizes, len(model.ratios)) == (1, sizes, ratios)
    assert set(FIVE_RATIOS) <= set(model.ratios)


def test_a_model_is_retired_from_its_shutdown_day_on_for_that_provider() -> None:
    """The day before, it still answers; the simulator never retires anything."""
    model = known("imagen-4.0-generate-001")
    shutdown = date(2026, 8, 17)
    assert model.retirement_date("gemini", shutdown - timedelta(days=1)) is None
    assert model.retirement_date("gemini", shutdown) == shutdown
    assert model.retirement_date("vertex", shutdown) == date(2026, 6, 30)
    assert model.retirement_date("simulator", TODAY) is None


def test_the_cost_of_counted_tokens_is_exact() -> None:
    """It is prompt * input + image * image + (text and thoughts) * text, per million."""
    usage = TokenUsage(prompt=9, image=1_120, text=210)
    cost, cost_is = known("gemini-nano-banana-2.1").cost(usage, size="1K", images=1)
    assert cost == pytest.approx((9 * 1.5 + 1_120 * 30 + 210 * 7.5) / 1e6)
    assert cost_is == "exact"


def test_a_refused_gemini_request_costs_the_tokens_it_counted() -> None:
    """The reply has no image, but the prompt was read."""
    cost, cost_is = known("gemini-nano-banana-2.1").cost(TokenUsage(prompt=100), size=None, images=0)
    assert cost == pytest.approx(0.00015)
    assert cost_is == "exact"


def test_without_counted_image_tokens_the_list_price_is_an_estimate() -> None:
    """A proxy that leaves out the modalities must not make an image look almost free."""
    model = known("gemini-nano-banana-2.1")
    for usage in (None, TokenUsage(prompt=9), TokenUsage(prompt=9, text=1_120)):
        assert model.cost(usage, size="2K", images=1) == (0.0504, "estimate")


def test_imagen_is_billed_by_the_image_and_refusals_are_free() -> None:
    """Three images of four and one refusal cost three images."""
    model = known("imagen-4.0-generate-001")
    assert model.cost(None, size=None, images=3) == (0.12, "estimate")
    assert model.cost(None, size="2K", images=0) == (0.0, "estimate")


def test_an_unknown_price_stays_unknown() -> None:
    """It is None, never a zero, which a sum would hide."""
    model = unknown_model("somebody-elses", "predict")
    assert model.worst_price(None, "a cat") is None
    assert model.cost(None, size=None, images=1) == (None, "unknown")


@given(
    model=st.sampled_from(MODELS),
    prompt=st.builds(str.__mul__, st.text(min_size=1), st.integers(1, 500)),
    share=st.sampled_from([0.25, 1.0]),
    data=st.data(),
)
def test_the_worst_price_is_never_below_the_cost(
    model: Model, prompt: str, share: float, data: st.DataObject
) -> None:
    """The reservation covers the image, any tokenization of the prompt, and the thoughts for an image."""
    size = data.draw(st.sampled_from([None, *model.sizes]))
    worst, listed = model.worst_price(size, prompt), model.prices[size or model.default_size]
    assert worst is not None
    usage = None
    if model.tokens is not None:
        usage = TokenUsage(
            prompt=int(len(prompt.encode()) * share),
            image=int(listed * 1_000_000 / model.tokens.image),
            text=model.thinking_allowance,
        )
    cost, _ = model.cost(usage, size=size, images=1)
    assert cost is not None
    assert cost <= worst + 1e-9


def test_a_model_that_thinks_reserves_more_than_was_ever_seen() -> None:
    """The largest reported number is 619 thinking tokens for one image."""
    thinkers = [model for model in MODELS if model.thinking_levels]
    assert thinkers
    assert all(model.thinking_allowance > 619 for model in [*thinkers, known("gemini-3-pro-image")])


def test_a_price_option_holds_for_every_size() -> None:
    """--price makes costs an estimate: the token prices that it contradicts are dropped."""
    model = override_price(known("gemini-nano-banana-2.1"), 0.5)
    assert {model.worst_price(size, "a cat" * 100) for size in (None, "1K", "4K")} == {0.5}
    assert model.cost(TokenUsage(image=1_120), size="4K", images=2) == (1.0, "estimate")


def test_an_unknown_model_has_only_the_limits_of_its_dialect() -> None:
    """With --dialect the user vouches for the model; the service judges the rest."""
    assert unknown_model("a", "predict").samples_per_request == 4
    gemini = unknown_model("b", "generate_content")
    assert (gemini.samples_per_request, gemini.sizes, gemini.ratios) == (1, (), ())
    assert "XHIGH" in gemini.thinking_levels


def test_the_table_of_models_shows_which_ones_are_available() -> None:
    """It has one row per model, and every cell is text."""
    table = {row["id"]: row for row in model_rows(CATALOGUE, TODAY)}
    assert list(table) == list(CATALOGUE.ids())
    assert all(isinstance(cell, str) for row in table.values() for cell in row.values())
    assert table["imagen-4.0-generate-001"]["lifecycle"] == "shut down 2026-08-17"
    assert table["gemini-3.1-flash-image"]["lifecycle"] == "deprecated"
    assert table["gemini-nano-banana-2.1"] == {
        "id": "gemini-nano-banana-2.1",
        "dialect": "generate_content",
        "sizes": "1K 2K 4K",
        "ratios": " ".join(known("gemini-3.1-flash-image").ratios),
        "samples/request": "1",
        "price": "1K $0.0336, 2K $0.0504, 4K $0.1134",
        "lifecycle": "current",
        "successor": "",
    }
    later = {row["id"]: row for row in model_rows(CATALOGUE, date(2027, 4, 1))}
    assert later["gemini-2.5-flash-image"]["lifecycle"] == "shut down 2027-03-15 on Vertex"


def test_importing_the_catalogue_imports_no_large_library() -> None:
    """`--help` must print its text at once."""
    code = (
        "import sys, imagen_batch.providers.catalogue; print({'pandas', 'pydantic', 'requests'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"
