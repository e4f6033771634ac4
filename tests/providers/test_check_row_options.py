"""A row's options are checked against model, dialect and provider: an error, a warning, or nothing."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.providers.catalogue import Model, load_catalogue, unknown_model
from imagen_batch.providers.check_row_options import OptionIssue, check_options, check_row, without_dropped
from imagen_batch.providers.wire import DIALECTS
from imagen_batch.records import Options
from tests.support.factories import request

CATALOGUE = load_catalogue()
PROVIDERS = ("gemini", "vertex", "simulator")
IMAGEN_3, IMAGEN_4 = "imagen-3.0-generate-002", "imagen-4.0-generate-001"
NANO, FLASH_2 = "gemini-nano-banana-2.1", "gemini-2.5-flash-image"


def known(model_id: str) -> Model:
    model = CATALOGUE.get(model_id)
    assert model is not None
    return model


def issues(
    model: str | Model, provider: str, *, prompt: str = "a cat", samples: int = 1, **options: Any
) -> tuple[OptionIssue, ...]:
    model = known(model) if isinstance(model, str) else model
    requested = Options(**options)
    return check_options(model, requested, provider=provider) + check_row(model, samples=samples, prompt=prompt)


def effective(model: Model, options: Options, *, provider: str) -> Options:
    """Return the options that are sent."""
    return without_dropped(options, check_options(model, options, provider=provider))


def only(model: str | Model, provider: str, **options: Any) -> OptionIssue:
    (issue,) = issues(model, provider, **options)
    return issue


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("model", CATALOGUE.ids())
def test_a_row_without_options_is_valid_everywhere(model: str, provider: str) -> None:
    """Only options that are set are checked."""
    assert issues(model, provider, samples=10) == ()


def test_an_unknown_ratio_is_reported_with_the_known_ones() -> None:
    """The message is enough to correct the cell."""
    issue = only(IMAGEN_4, "gemini", aspect_ratio="21:9")
    assert (issue.level, issue.option, issue.found) == ("error", "aspect_ratio", "21:9")
    assert "1:1, 3:4, 4:3, 9:16, 16:9" in issue.message
    assert issues(NANO, "gemini", aspect_ratio="21:9") == ()


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
def test_a_size_that_a_model_does_not_offer_is_an_error(model: str, size: str) -> None:
    """The service would refuse it, or charge for something else."""
    issue = only(model, "simulator", image_size=size)
    assert (issue.level, issue.option, issue.dropped) == ("error", "image_size", False)


def test_512_is_accepted_where_it_is_offered() -> None:
    """One model offers it."""
    assert issues("gemini-3.1-flash-image", "gemini", image_size="512") == ()


@pytest.mark.parametrize("model", [IMAGEN_3, FLASH_2])
def test_the_only_size_of_a_model_without_a_size_field_is_not_sent(model: str) -> None:
    """Requesting the default does no harm, but sending the field would."""
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
def test_options_of_imagen_that_only_vertex_accepts(option: str, value: Any) -> None:
    """They are an error on the Gemini API, a warning in a rehearsal, and fine on Vertex; they are never dropped."""
    options = {"add_watermark": False, option: value} if option == "seed" else {option: value}

    def levels(provider: str) -> list[str]:
        return [issue.level for issue in issues(IMAGEN_3, provider, **options) if issue.option == option]

    assert (levels("gemini"), levels("simulator"), levels("vertex")) == (["error"], ["warning"], [])
    requested = Options(**options)
    assert effective(known(IMAGEN_3), requested, provider="simulator") == requested


def test_imagen_4_accepts_no_negative_prompt_anywhere() -> None:
    """Only older models of Imagen 3 accepted one; switching to Vertex would not help."""
    for provider in ("gemini", "vertex"):
        issue = only(IMAGEN_4, provider, negative_prompt="rain")
        assert issue.level == "error"
        assert "Imagen 3" in issue.message
    assert only(IMAGEN_4, "simulator", negative_prompt="rain").level == "warning"
    assert issues(unknown_model("x", "predict"), "vertex", negative_prompt="rain") == ()


def test_a_seed_for_imagen_on_vertex_needs_the_watermark_off() -> None:
    """The message names the option that has to be set."""
    for others in ({}, {"add_watermark": True}):
        issue = only(IMAGEN_4, "vertex", seed=7, **others)
        assert (issue.level, issue.option) == ("error", "seed")
        assert "add_watermark = false" in issue.message
    assert issues(IMAGEN_4, "vertex", seed=7, add_watermark=False) == ()


def test_a_seed_for_a_gemini_model_is_sent() -> None:
    """Both hosts have the field."""
    assert issues(NANO, "gemini", seed=7) == ()


def test_person_generation_is_a_field_of_vertex_only_for_gemini_models() -> None:
    """Elsewhere the row goes out without it, and the warning says what to do instead."""
    assert issues(NANO, "vertex", person_generation="dont_allow") == ()
    for provider in ("gemini", "simulator"):
        issue = only(NANO, provider, person_generation="dont_allow")
        assert (issue.level, issue.dropped) == ("warning", True)
        assert "write it into the prompt" in issue.message


@pytest.mark.parametrize("model", [IMAGEN_4, NANO])
def test_an_unknown_value_is_an_error(model: str) -> None:
    """This also holds where the option would not be sent: it is a typo."""
    issue = only(model, "gemini", person_generation="adults")
    assert issue.level == "error"
    assert "dont_allow, allow_adult, allow_all" in issue.message


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
def test_options_that_gemini_models_lack_are_dropped_with_a_warning(options: dict[str, Any], provider: str) -> None:
    """The request is sent without them."""
    issue = only(NANO, provider, **options)
    assert (issue.level, issue.dropped) == ("warning", True)
    assert issue.message.startswith("not sent: ")
    requested = Options(**options)
    assert effective(known(NANO), requested, provider=provider) == Options()


def test_labels_of_gemini_models_are_for_vertex() -> None:
    """Its requests have the field; it is not proven that the Gemini API accepts it."""
    labels = (("team", "art"),)
    assert issues(NANO, "vertex", labels=labels) == ()
    assert effective(known(NANO), Options(labels=labels), provider="vertex").labels == labels
    for provider in ("gemini", "simulator"):
        assert only(NANO, provider, labels=labels).dropped
        assert effective(known(NANO), Options(labels=labels), provider=provider) == Options()


def test_store_is_for_the_gemini_api() -> None:
    """Vertex has no such field: a warning, and the dialect leaves it out; the row keeps it, so that its key stays."""
    issue = only(NANO, "vertex", store=False)
    assert (issue.level, issue.option, issue.dropped) == ("warning", "store", False)
    assert issue.message.startswith("not sent: ")
    assert effective(known(NANO), Options(store=False), provider="vertex") == Options(store=False)
    for provider in ("gemini", "simulator"):
        assert issues(NANO, provider, store=False) == ()


def test_categories_of_harm_that_only_vertex_has_are_refused_elsewhere() -> None:
    """The Gemini API would refuse every row; JAILBREAK is known to both."""
    image = (("HARM_CATEGORY_IMAGE_HATE", "BLOCK_NONE"),)
    both = (("HARM_CATEGORY_JAILBREAK", "BLOCK_NONE"),)
    levels = {p: [r.level for r in issues(NANO, p, safety_settings=image)] for p in PROVIDERS}
    assert levels == {"gemini": ["error"], "vertex": [], "simulator": ["warning"]}
    assert all(issues(NANO, provider, safety_settings=both) == () for provider in PROVIDERS)


def test_the_highest_thinking_level_is_not_for_vertex() -> None:
    """Its enum ends with HIGH."""
    model = unknown_model("x", "generate_content")
    assert [issue.level for issue in issues(model, "vertex", thinking_level="XHIGH")] == ["error"]
    assert issues(model, "gemini", thinking_level="XHIGH") == ()


def test_a_negative_prompt_for_a_gemini_model_stays() -> None:
    """A warning says that it becomes part of the prompt, which the dialect sees to."""
    issue = only(NANO, "gemini", negative_prompt="rain")
    assert (issue.level, issue.dropped) == ("warning", False)
    assert "Without:" in issue.message
    requested = Options(negative_prompt="rain")
    assert effective(known(NANO), requested, provider="gemini") == requested


def test_safety_thresholds_of_one_dialect_are_not_those_of_the_other() -> None:
    """They have different meanings, so dropping one would change which images pass."""
    harassment = (("HARM_CATEGORY_HARASSMENT", "BLOCK_ONLY_HIGH"),)
    assert "safety_settings" in only(NANO, "gemini", safety_setting="block_only_high").message
    assert "safety_setting" in only(IMAGEN_4, "gemini", safety_settings=harassment).message
    assert only(IMAGEN_4, "gemini", safety_settings=harassment).level == "error"
    assert issues(NANO, "gemini", safety_settings=harassment) == ()
    assert issues(IMAGEN_4, "gemini", safety_setting="block_only_high") == ()


def test_block_none_is_for_vertex() -> None:
    """Google's own SDK refuses it for the Gemini API."""
    assert only(IMAGEN_4, "gemini", safety_setting="block_none").level == "error"
    assert issues(IMAGEN_4, "vertex", safety_setting="block_none") == ()


def test_the_image_type_can_be_chosen_for_imagen_and_on_vertex() -> None:
    """On the Gemini API, a Gemini model chooses the type."""
    jpeg: dict[str, Any] = {"output_mime_type": "image/jpeg", "compression_quality": 80}
    assert issues(IMAGEN_4, "gemini", **jpeg) == ()
    assert issues(NANO, "vertex", **jpeg) == ()
    assert [issue.dropped for issue in issues(NANO, "gemini", **jpeg)] == [True, True]


@pytest.mark.parametrize("others", [{}, {"output_mime_type": "image/png"}])
def test_a_quality_without_jpeg_is_an_error(others: dict[str, str]) -> None:
    """A PNG has no quality."""
    issue = only(IMAGEN_4, "vertex", compression_quality=80, **others)
    assert (issue.level, issue.option) == ("error", "compression_quality")


def test_a_thinking_level_is_one_that_the_model_has() -> None:
    """Imagen does not think at all, which is no reason to stop a run of both."""
    assert issues(NANO, "gemini", thinking_level="MEDIUM") == ()
    assert "MINIMAL, HIGH" in only("gemini-3.1-flash-image", "gemini", thinking_level="MEDIUM").message
    for model in (FLASH_2, "gemini-3-pro-image"):
        assert "no thinking level" in only(model, "gemini", thinking_level="HIGH").message
    assert only(IMAGEN_4, "gemini", thinking_level="HIGH").dropped


def test_store_means_nothing_to_imagen() -> None:
    """A run-wide `store = false` does not stop its Imagen rows."""
    assert only(IMAGEN_4, "gemini", store=False).dropped
    assert issues(NANO, "gemini", store=False) == ()


@pytest.mark.parametrize(("prompt", "found"), [("word " * 331, "331 words"), ("x" * 1_901, "1901 characters")])
def test_a_long_prompt_for_imagen_is_warned_of(prompt: str, found: str) -> None:
    """Its limit of 480 tokens can only be estimated; Gemini models read far more."""
    (issue,) = issues(IMAGEN_4, "gemini", prompt=prompt)
    assert (issue.level, issue.option, issue.found) == ("warning", "prompt", found)
    assert issues(NANO, "gemini", prompt=prompt) == ()
    assert issues(IMAGEN_4, "gemini", prompt="word " * 330) == ()


def test_a_row_asks_for_at_least_one_image() -> None:
    """There is no upper limit: a large number is divided into several requests."""
    (issue,) = issues(NANO, "gemini", samples=0)
    assert (issue.level, issue.option) == ("error", "samples")


OPTIONS = st.builds(
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


def set_options(options: Options) -> set[str]:
    return {name for name, value in asdict(options).items() if value is not None}


@given(model=ANY_MODEL, options=OPTIONS, provider=st.sampled_from(PROVIDERS))
def test_what_remains_can_be_encoded_by_the_dialect(model: Model, options: Options, provider: str) -> None:
    """Every option is sent unchanged, reported as not sent, or an error: none is dropped silently."""
    issues_found = check_options(model, options, provider=provider)
    sent = effective(model, options, provider=provider)
    refused = {issue.option for issue in issues_found if issue.level == "error"}
    dropped = {issue.option for issue in issues_found if issue.dropped}
    assert set_options(sent) == set_options(options) - dropped
    assert not refused & dropped
    if not refused:
        DIALECTS[model.dialect].encode(request(options=sent), vertex=provider == "vertex")
    assert all(getattr(sent, name) == getattr(options, name) for name in set_options(sent))


@given(model=ANY_MODEL, options=OPTIONS, provider=st.sampled_from(PROVIDERS))
def test_dropping_twice_drops_no_more(model: Model, options: Options, provider: str) -> None:
    """The remaining options have nothing to be dropped, and no new error."""
    once = effective(model, options, provider=provider)
    assert effective(model, once, provider=provider) == once

    def errors(requested: Options) -> set[str]:
        issues_found = check_options(model, requested, provider=provider)
        return {issue.option for issue in issues_found if issue.level == "error"}

    assert errors(once) <= errors(options)
