"""Tests that the reason for a missing image is given in words, with what can be done."""

import pytest

from imagen_batch.providers.wire.support_codes import CATEGORIES
from imagen_batch.records import OUTCOMES
from imagen_batch.review.explain_no_image import advise, category_in_words


def refused(**facts):
    return {"status": "filtered", "error_kind": "filtered_output", "filter_stage": "output", **facts}


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"filter_category": "HARM_CATEGORY_SEXUALLY_EXPLICIT"}, "sexually explicit"),
        ({"filter_category": "SAFETY"}, "safety"),
        ({"filter_category": "other"}, "usage policy"),
        ({"filter_category": "celebrity, violence"}, "a known person, violence"),
        ({"finishReason": "IMAGE_RECITATION"}, "too close to an existing work"),
        ({"finishReason": "STOP"}, "image withheld"),
        ({"filter_category": "", "error_kind": None}, None),
        ({"status": "failed", "error_kind": "transient_exhausted", "finishReason": "SAFETY"}, "service error"),
        ({"status": "failed", "error_kind": "a_new_kind"}, "a new kind"),
        ({"status": "ok", "filter_category": "SAFETY"}, None),
    ],
)
def test_the_category_is_given_in_words(facts, words):
    assert category_in_words(refused(**facts)) == words


@pytest.mark.parametrize("category", [*sorted(set(CATEGORIES.values())), "unknown"])
def test_no_category_of_the_services_is_shown_as_a_code(category):
    words = category_in_words(refused(filter_category=category))
    assert words
    assert "_" not in words
    assert words == words.lower()


def test_the_one_refusal_that_a_setting_can_avoid_names_the_setting():
    advice = advise(refused(filter_codes="39322892", filter_category="people or face"))
    assert advice == "Put allow_adult into a person_generation column of this row, or show no people."


def test_the_advice_for_a_refusal_has_the_change_and_the_stage():
    assert advise(refused(filter_category="celebrity")) == (
        "Describe the person by looks and clothes, without a name. "
        "An image was made and withheld. Reword the prompt, or redo it as it is: the next image may pass."
    )
    assert advise(refused(filter_category="SAFETY", filter_stage="input")) == (
        "Reword the prompt: it was refused before an image was made."
    )


def test_the_advice_for_a_missing_file_mentions_the_second_payment():
    assert "pay for it again" in advise({"status": "failed", "error_kind": "file_missing"})


@pytest.mark.parametrize("status", OUTCOMES)
@pytest.mark.parametrize("kind", [None, "", "transient_exhausted", "bad_request", "interrupted", "something new"])
def test_exactly_the_samples_without_an_image_have_advice(status, kind):
    assert (advise({"status": status, "error_kind": kind}) is None) is (status == "ok")


def test_the_advice_for_an_unknown_reply_mentions_a_possible_charge():
    assert "may have been charged" in advise({"status": "unknown", "error_kind": "interrupted"})
