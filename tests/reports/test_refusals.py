"""Tests that every refusal has advice: the category in words, a setting if one helps, and suspicious words."""

from __future__ import annotations

import pytest

from imagen_batch.providers.wire.support_codes import CATEGORIES
from imagen_batch.records import ManifestRow
from imagen_batch.reports.causes import FailureGroups
from imagen_batch.reports.explain_refusal import Refusal, explain, refusal_in, refusal_of
from tests.support.entries import entry

PEOPLE = Refusal(category="people or face", codes=("39322892",), stage="output", dialect="predict")


@pytest.mark.parametrize("category", sorted(set(CATEGORIES.values())))
def test_every_support_code_has_words_and_only_people_have_a_setting(category: str) -> None:
    """(api: 3.4) A setting can avoid only one of the codes."""
    codes = tuple(code for code, name in CATEGORIES.items() if name == category)
    advice = explain(Refusal(category=category, codes=codes, stage="input", dialect="predict"), "a mole")
    assert advice.words
    assert advice.setting == ("person_generation" if category == "people or face" else None)
    assert advice.text.startswith(f"Refused for {advice.words}. ")


def test_person_generation_is_suggested_only_where_it_is_sent() -> None:
    """(api: 8.1) The Gemini API has no such field."""
    assert explain(PEOPLE).setting == "person_generation"
    gemini = Refusal(category=PEOPLE.category, codes=PEOPLE.codes, dialect="generate_content", provider="gemini")
    assert explain(gemini).setting is None
    assert "does not take it" in explain(gemini).text
    vertex = Refusal(category=PEOPLE.category, codes=PEOPLE.codes, dialect="generate_content", provider="vertex")
    assert explain(vertex).setting == "person_generation"


@pytest.mark.parametrize(
    ("category", "setting"),
    [
        ("SAFETY", "safety_settings"),
        ("HARM_CATEGORY_DANGEROUS_CONTENT", "safety_settings"),
        ("PROHIBITED_CONTENT", None),
        ("BLOCKLIST", None),
        ("MODEL_ARMOR", None),
        ("OTHER", None),
        (None, None),
        ("SOMETHING_NEW", None),
    ],
)
def test_a_blocked_prompt_names_the_thresholds_only_where_there_are_some(category: str | None, setting: str) -> None:
    """(api: 8.1) Categories of harm have thresholds; the filters for prohibited content stay on."""
    advice = explain(Refusal(category=category, stage="input", dialect="generate_content"))
    assert advice.setting == setting
    assert advice.words == advice.words.strip() != ""


def test_the_thresholds_for_images_are_those_of_vertex() -> None:
    """(api: 8.1) The Gemini API refuses these categories."""
    hate = {"category": "HARM_CATEGORY_IMAGE_HATE", "stage": "output", "dialect": "generate_content"}
    assert explain(Refusal(**hate, provider="vertex")).setting == "safety_settings"
    assert explain(Refusal(**hate, provider="gemini")).setting is None


@pytest.mark.parametrize(
    ("category", "prompt", "quoted"),
    [
        ("child", "A little girl and two boys at the river", ['"little girl"', '"boys"']),
        ("violence", "A knight with a bloody sword, dead leaves", ['"bloody"', '"sword"', '"dead"']),
        ("celebrity", "a portrait of Taylor Swift on a boat", ['"Taylor Swift"']),
        ("third-party content", "A boat, in the style of Studio Ghibli, dusk", ['"in the style of Studio Ghibli"']),
        ("personal information", "a letter to jo@example.com, call +44 20 7946 0958", ['"jo@example.com"', "7946"]),
    ],
)
def test_suspicious_words_are_quoted(category: str, prompt: str, quoted: list[str]) -> None:
    """At most four of them are quoted, as they are in the prompt."""
    hint = explain(Refusal(category=category, stage="input"), prompt).hint
    assert hint.startswith("Look at ")
    assert all(text in hint for text in quoted)


def test_without_a_suspicious_word_the_advice_follows_the_stage() -> None:
    """The prompt is in another language, or the category has no list."""
    assert "prompt itself" in explain(Refusal(category="child", stage="input"), "川辺の子供").hint
    assert "withheld" in explain(Refusal(category="hate", stage="output"), "a mole").hint
    again = explain(Refusal(category="other", finish_reason="IMAGE_SAFETY", stage="output"), "a mole")
    assert "try the same prompt again" in again.hint
    assert again.words == "harmful content in the drawn image", "the finish reason says more than `other`"


def test_hostile_prompts_are_searched_in_linear_time() -> None:
    """A prompt may have up to 150,000 characters of any kind."""
    for text in ("Aa " * 50_000, "1 " * 75_000, "a" * 150_000, "A" * 150_000, "1.(" * 50_000, "of " * 50_000):
        for category in ("celebrity or child", "personal information", "third-party content", "violence"):
            explain(Refusal(category=category), text)


def test_a_row_of_a_table_gives_the_same_advice_as_the_run(tmp_path: object) -> None:
    """The gallery reads the manifest, the summary reads the ledger."""
    row: ManifestRow = entry(
        status="filtered", filter_category="child", filter_codes=("58061214",), filter_stage="input", reason="no"
    )
    columns = {
        "filter_category": "child",
        "filter_codes": "58061214",
        "filter_stage": "input",
        "raiFilteredReason": "no",
        "finishReason": None,
        "provider": "simulator",
        "dialect": "generate_content",
    }
    assert refusal_in(columns) == refusal_of(row)
    assert refusal_in(dict.fromkeys(columns)) == Refusal()


def test_groups_of_refusals_have_advice() -> None:
    """Failures have none: their message is clear."""
    groups = FailureGroups()
    groups.add(entry(1, status="filtered", filter_category="violence", prompt="a gun"))
    groups.add(entry(2, status="failed", error="busy"))
    advice = {group.status: group.advice for group in groups.ranked()}
    assert advice["filtered"] is not None
    assert advice["filtered"].hint == 'Look at "gun" in the prompt.'
    assert advice["failed"] is None
