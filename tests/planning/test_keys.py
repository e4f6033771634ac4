"""Tests that two requests have the same key if everything that decides the image is the same."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.planning.keys import RowKeys, request_key
from imagen_batch.records import Options

PLAIN = Options()


def _key(provider="gemini", model="m", prompt="p", options=PLAIN):
    return RowKeys(provider).row_key(model=model, prompt=prompt, options=options)


def test_the_same_content_has_the_same_key_in_another_run():
    """A second run finds the images of the first."""
    assert _key() == _key()


def test_everything_that_decides_the_image_is_in_the_key():
    """Provider family, model, prompt and each option give a different key."""
    changed = [
        _key(provider="simulator"),
        _key(model="n"),
        _key(prompt="q"),
        _key(options=Options(aspect_ratio="16:9")),
        _key(options=Options(image_size="16:9")),
        _key(options=Options(seed=0)),
    ]
    assert len({_key(), *changed}) == len(changed) + 1


def test_both_google_hosts_are_one_family():
    """An image made on Vertex is not paid for again on the Gemini API."""
    assert _key(provider="gemini") == _key(provider="vertex")


def test_equal_rows_are_variants():
    """The second row of the same content is another image."""
    row_keys = RowKeys("gemini")
    keys = [row_keys.row_key(model="m", prompt="p", options=Options()) for _ in range(3)]
    assert len(set(keys)) == 3
    assert keys[0] == _key()


@given(st.lists(st.sampled_from("abcdef"), max_size=30), st.randoms())
def test_order_does_not_matter(prompts, random):
    """Reordered rows have exactly the same set of keys."""
    shuffled = list(prompts)
    random.shuffle(shuffled)

    def keys(rows):
        row_keys = RowKeys("gemini")
        return {row_keys.row_key(model="m", prompt=prompt, options=Options()) for prompt in rows}

    assert keys(prompts) == keys(shuffled)


@given(st.text(), st.text())
def test_different_prompts_have_different_keys(one, other):
    """No two prompts share a key."""
    assert (_key(prompt=one) == _key(prompt=other)) == (one == other)


def test_a_request_key_depends_on_the_row_and_the_range_of_samples():
    """Sample 1, samples 1 and 2, and sample 2 are three requests."""
    assert len({request_key("b", 1, 1), request_key("b", 1, 2), request_key("b", 2, 1)}) == 3


def test_an_option_that_is_not_set_does_not_change_the_key():
    """A new option of a later version must not change the keys of old runs."""
    assert _key(options=replace(Options(), seed=None)) == _key()
