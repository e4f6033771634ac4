"""What a model, a dialect and a provider make of a row's options: an error, a warning, or silence."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.providers.capabilities import CARRIED, OptionIssue, check, effective
from imagen_batch.providers.catalogue import Model, load_catalogue, unknown_model
from imagen_batch.records import Options

CATALOGUE = load_catalogue()
PROVIDERS = ("gemini", "vertex", "simulator")
IMAGEN_3, IMAGEN_4 = "imagen-3.0-generate-002", "imagen-4.0-generate-001"
NANO, FLASH_2 = "gemini-nano-banana-2.1", "gemini-2.5-flash-image"


def known(model_id: str) -> Model:
    model = CATALOGUE.get(model_id)
    assert model is not None
    return model


def remarks(
    model: str | Model, provider: str, *, prompt: str = "a cat", samples: int = 1, **options: Any
) -> tuple[OptionIssue, ...]:
    model = known(model) if isinstance(model, str) else model
    asked = Options(**options)
    return check(model, asked, samples=samples, prompt=prompt, provider=provider)


def only(model: str | Model, provider: str, **options: Any) -> OptionIssue:
    (remark,) = remarks(model, provider, **options)
    return remark


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("model", CATALOGUE.ids())
def test_a_row_that_asks_for_nothing_special_is_fine_everywhere(model: str, provider: str) -> None:
    """Options that are not given are not judged."""
    assert remarks(model, provider, samples=10) == ()


def test_an_unknown_ratio_is_told_with_the_known_ones() -> None:
    """The message is enough to mend the cell."""
    remark = only(IMAGEN_4, "gemini", aspect_ratio="21:9")
    assert (remark.level, remark.option, remark.found) == ("error", "aspect_ratio", "21:9")
    assert "1:1, 3:4, 4:3, 9:16, 16:9" in remark.message
    assert remarks(NANO, "gemini", aspect_ratio="21:9") == ()


@pytest.mark.parametrize(
    ("model", "size"),
    [
        (IMAGEN_4, "4K"),
        ("imagen-4.0-fast-generate-001", "2K"),
        (NANO, "512"),
        (IMAGEN_3, "2K"),
        (FLASH_2, "2K"),
    ],
)
def test_a_size_that_a_model_does_not_make_is_an_error(model: str, size: str) -> None:
    """The service would refuse it, or bill something else."""
    remark = only(model, "simulator", image_size=size)
    assert (remark.level, remark.option, remark.dropped) == ("error", "image_size", False)


def test_512_is_taken_where_it_is_offered() -> None:
    """One model makes it."""
    assert remarks("gemini-3.1-flash-image", "gemini", image_size="512") == ()


@pytest.mark.parametrize("model", [IMAGEN_3, FLASH_2])
def test_the_only_size_of_a_model_without_a_size_field_is_not_sent(model: str) -> None:
    """Asking for what comes anyway does no harm; sending the field would."""
    assert only(model, "gemini", image_size="1K").dropped
    options = Options(image_size="1K", aspect_ratio="1:1")
    assert effective(known(model), options, provider="gemini") == Options(aspect_ratio="1:1")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("seed", 7),
        ("add_watermark", False),
        ("enhance_prompt", False),
        ("labels", (("team", "art"),)),
        ("negative_prompt", "rain"),
    ],
)
def test_imagen_on_the_gemini_api_lacks_what_only_vertex_takes(option: str, value: Any) -> None:
    """An error there, a warning in a rehearsal, nothing to say on Vertex; never dropped."""
    options = {"add_watermark": False, option: value} if option == "seed" else {option: value}

    def levels(provider: str) -> list[str]:
        return [remark.level for remark in remarks(IMAGEN_3, provider, **options) if remark.option == option]

    assert (levels("gemini"), levels("simulator"), levels("vertex")) == (["error"], ["warning"], [])
    asked = Options(**options)
    assert effective(known(IMAGEN_3), asked, provider="simulator") == asked


def test_imagen_4_takes_no_negative_prompt_anywhere() -> None:
    """Only older models of Imagen 3 did; being sent to Vertex for it would be a wild goose chase."""
    for provider in ("gemini", "vertex"):
        remark = only(IMAGEN_4, provider, negative_prompt="rain")
        assert remark.level == "error"
        assert "Imagen 3" in remark.message
    assert only(IMAGEN_4, "simulator", negative_prompt="rain").level == "warning"
    assert remarks(unknown_model("x", "predict"), "vertex", negative_prompt="rain") == ()


def test_a_seed_for_imagen_on_vertex_needs_the_watermark_off() -> None:
    """The message says which option goes with it."""
    for others in ({}, {"add_watermark": True}):
        remark = only(IMAGEN_4, "vertex", seed=7, **others)
        assert (remark.level, remark.option) == ("error", "seed")
        assert "add_watermark = false" in remark.message
    assert remarks(IMAGEN_4, "vertex", seed=7, add_watermark=False) == ()


def test_a_seed_for_a_gemini_model_is_sent() -> None:
    """It has the field on both hosts."""
    assert remarks(NANO, "gemini", seed=7) == ()


def test_person_generation_is_a_field_of_vertex_only_for_gemini_models() -> None:
    """Elsewhere the row goes out without it, and the user is told what to do instead."""
    assert remarks(NANO, "vertex", person_generation="dont_allow") == ()
    for provider in ("gemini", "simulator"):
        remark = only(NANO, provider, person_generation="dont_allow")
        assert (remark.level, remark.dropped) == ("warning", True)
        assert "say it in the prompt" in remark.message


@pytest.mark.parametrize("model", [IMAGEN_4, NANO])
def test_a_word_that_no_service_knows_is_an_error(model: str) -> None:
    """Also where the option would not be sent: a typo is a typo."""
    remark = only(model, "gemini", person_generation="adults")
    assert remark.level == "error"
    assert "dont_allow, allow_adult, allow_all" in remark.message


@pytest.mark.parametrize(
    "options",
    [
        {"guidance_scale": 7.5},
        {"enhance_prompt": True},
        {"language": "en"},
        {"add_watermark": False},
        {"include_safety_attributes": True},
    ],
    ids=lambda options: next(iter(options)),
)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_gemini_models_have_no_word_for_is_dropped_aloud(options: dict[str, Any], provider: str) -> None:
    """A warning that says so, and a request without it."""
    remark = only(NANO, provider, **options)
    assert (remark.level, remark.dropped) == ("warning", True)
    assert remark.message.startswith("not sent: ")
    asked = Options(**options)
    assert effective(known(NANO), asked, provider=provider) == Options()


def test_labels_of_gemini_models_are_for_vertex() -> None:
    """Its requests have the field; that the Gemini API takes it is not proven."""
    labels = (("team", "art"),)
    assert remarks(NANO, "vertex", labels=labels) == ()
    assert effective(known(NANO), Options(labels=labels), provider="vertex").labels == labels
    for provider in ("gemini", "simulator"):
        assert only(NANO, provider, labels=labels).dropped
        assert effective(known(NANO), Options(labels=labels), provider=provider) == Options()


def test_store_is_for_the_gemini_api() -> None:
    """Vertex has no such field: told, and left out by the dialect; the row keeps it, so that its key stays."""
    remark = only(NANO, "vertex", store=False)
    assert (remark.level, remark.option, remark.dropped) == ("warning", "store", False)
    assert remark.message.startswith("not sent: ")
    assert effective(known(NANO), Options(store=False), provider="vertex") == Options(store=False)
    for provider in ("gemini", "simulator"):
        assert remarks(NANO, provider, store=False) == ()


def test_categories_of_harm_that_only_vertex_has_are_refused_elsewhere() -> None:
    """The Gemini API would refuse every row; JAILBREAK is known to both."""
    image = (("HARM_CATEGORY_IMAGE_HATE", "BLOCK_NONE"),)
    both = (("HARM_CATEGORY_JAILBREAK", "BLOCK_NONE"),)
    levels = {p: [r.level for r in remarks(NANO, p, safety_settings=image)] for p in PROVIDERS}
    assert levels == {"gemini": ["error"], "vertex": [], "simulator": ["warning"]}
    assert all(remarks(NANO, provider, safety_settings=both) == () for provider in PROVIDERS)


def test_the_highest_thinking_level_is_not_for_vertex() -> None:
    """Its enum ends at HIGH."""
    model = unknown_model("x", "generate_content")
    assert [remark.level for remark in remarks(model, "vertex", thinking_level="XHIGH")] == ["error"]
    assert remarks(model, "gemini", thinking_level="XHIGH") == ()


def test_a_negative_prompt_for_a_gemini_model_stays() -> None:
    """It is told that it becomes part of the prompt; the dialect writes it there."""
    remark = only(NANO, "gemini", negative_prompt="rain")
    assert (remark.level, remark.dropped) == ("warning", False)
    assert "Without:" in remark.message
    asked = Options(negative_prompt="rain")
    assert effective(known(NANO), asked, provider="gemini") == asked


def test_safety_thresholds_of_one_dialect_are_not_those_of_the_other() -> None:
    """They mean different things, so dropping one would change what is let through."""
    harassment = (("HARM_CATEGORY_HARASSMENT", "BLOCK_ONLY_HIGH"),)
    assert "safety_settings" in only(NANO, "gemini", safety_setting="block_only_high").message
    assert "safety_setting" in only(IMAGEN_4, "gemini", safety_settings=harassment).message
    assert only(IMAGEN_4, "gemini", safety_settings=harassment).level == "error"
    assert remarks(NANO, "gemini", safety_settings=harassment) == ()
    assert remarks(IMAGEN_4, "gemini", safety_setting="block_only_high") == ()


def test_block_none_is_for_vertex() -> None:
    """Google's own SDK refuses it for the Gemini API."""
    assert only(IMAGEN_4, "gemini", safety_setting="block_none").level == "error"
    assert remarks(IMAGEN_4, "vertex", safety_setting="block_none") == ()


def test_the_picture_type_can_be_chosen_for_imagen_and_on_vertex() -> None:
    """On the Gemini API a Gemini model decides itself."""
    jpeg: dict[str, Any] = {"output_mime_type": "image/jpeg", "compression_quality": 80}
    assert remarks(IMAGEN_4, "gemini", **jpeg) == ()
    assert remarks(NANO, "vertex", **jpeg) == ()
    assert [remark.dropped for remark in remarks(NANO, "gemini", **jpeg)] == [True, True]


@pytest.mark.parametrize("others", [{}, {"output_mime_type": "image/png"}])
def test_a_quality_without_jpeg_is_an_error(others: dict[str, str]) -> None:
    """A PNG has none."""
    remark = only(IMAGEN_4, "vertex", compression_quality=80, **others)
    assert (remark.level, remark.option) == ("error", "compression_quality")


def test_a_thinking_level_is_one_that_the_model_has() -> None:
    """Imagen does not think at all, which is no reason to stop a run of both."""
    assert remarks(NANO, "gemini", thinking_level="MEDIUM") == ()
    assert "MINIMAL, HIGH" in only("gemini-3.1-flash-image", "gemini", thinking_level="MEDIUM").message
    for model in (FLASH_2, "gemini-3-pro-image"):
        assert "no thinking level" in only(model, "gemini", thinking_level="HIGH").message
    assert only(IMAGEN_4, "gemini", thinking_level="HIGH").dropped


def test_store_means_nothing_to_imagen() -> None:
    """A run-wide `store = false` does not stop its Imagen rows."""
    assert only(IMAGEN_4, "gemini", store=False).dropped
    assert remarks(NANO, "gemini", store=False) == ()


@pytest.mark.parametrize(("prompt", "found"), [("word " * 331, "331 words"), ("x" * 1_901, "1901 characters")])
def test_a_long_prompt_for_imagen_is_warned_of(prompt: str, found: str) -> None:
    """Its limit of 480 tokens can only be estimated; Gemini models read far more."""
    (remark,) = remarks(IMAGEN_4, "gemini", prompt=prompt)
    assert (remark.level, remark.option, remark.found) == ("warning", "prompt", found)
    assert remarks(NANO, "gemini", prompt=prompt) == ()
    assert remarks(IMAGEN_4, "gemini", prompt="word " * 330) == ()


def test_a_row_asks_for_at_least_one_picture() -> None:
    """There is no upper limit: more than a request takes become several requests."""
    (remark,) = remarks(NANO, "gemini", samples=0)
    assert (remark.level, remark.option) == ("error", "samples")


ASKED = st.builds(
    Options,
    aspect_ratio=st.sampled_from([None, "1:1", "16:9", "8:1", "7:5"]),
    image_size=st.sampled_from([None, "512", "1K", "2K", "4K"]),
    person_generation=st.sampled_from([None, "dont_allow", "allow_all", "adults"]),
    negative_prompt=st.none() | st.text(),
    seed=st.none() | st.integers(0, 2**32 - 1),
    guidance_scale=st.none() | st.floats(0, 20),
    safety_setting=st.sampled_from([None, "block_none", "block_only_high"]),
    safety_settings=st.sampled_from([None, (("HARM_CATEGORY_HARASSMENT", "OFF"),)]),
    language=st.sampled_from([None, "en", "tlh"]),
    include_safety_attributes=st.none() | st.booleans(),
    output_mime_type=st.sampled_from([None, "image/png", "image/jpeg"]),
    compression_quality=st.none() | st.integers(0, 100),
    add_watermark=st.none() | st.booleans(),
    enhance_prompt=st.none() | st.booleans(),
    thinking_level=st.sampled_from([None, "MINIMAL", "MEDIUM", "HIGH"]),
    store=st.none() | st.booleans(),
    labels=st.sampled_from([None, (("team", "art"),)]),
)
ANY_MODEL = st.sampled_from([*CATALOGUE, unknown_model("x", "predict"), unknown_model("y", "generate_content")])


def given_options(options: Options) -> set[str]:
    return {name for name, value in asdict(options).items() if value is not None}


@given(model=ANY_MODEL, options=ASKED, provider=st.sampled_from(PROVIDERS))
def test_what_remains_is_what_the_dialect_can_carry(model: Model, options: Options, provider: str) -> None:
    """Every option is sent as asked, spoken of as not sent, or an error: none gets lost in silence."""
    found = check(model, options, samples=1, prompt="a cat", provider=provider)
    sent = effective(model, options, provider=provider)
    refused = {remark.option for remark in found if remark.level == "error"}
    dropped = {remark.option for remark in found if remark.dropped}
    assert given_options(sent) == given_options(options) - dropped
    assert not refused & dropped
    assert given_options(sent) - refused <= CARRIED[model.dialect]
    assert all(getattr(sent, name) == getattr(options, name) for name in given_options(sent))


@given(model=ANY_MODEL, options=ASKED, provider=st.sampled_from(PROVIDERS))
def test_dropping_twice_drops_no_more(model: Model, options: Options, provider: str) -> None:
    """What was left in has nothing more to be dropped, and no error that was not there before."""
    once = effective(model, options, provider=provider)
    assert effective(model, once, provider=provider) == once

    def errors(asked: Options) -> set[str]:
        said = check(model, asked, samples=1, prompt="a cat", provider=provider)
        return {remark.option for remark in said if remark.level == "error"}

    assert errors(once) <= errors(options)
