"""Command line over environment over file over defaults, and every mistake named."""

import pytest

from imagen_batch.errors import SettingsInvalid
from imagen_batch.settings import load_settings, validated


def test_each_layer_beats_the_one_below(tmp_path):
    """Typed over environment over file over default."""
    (tmp_path / "imagen-batch.toml").write_text('samples = 2\nconcurrency = 3\nmodel = "from-file"\n')
    env = {"IMAGEN_BATCH_CONCURRENCY": "4", "IMAGEN_BATCH_MODEL": "from-env"}
    settings = load_settings({"prompts": "p.csv", "model": "typed"}, env=env, here=tmp_path)
    assert (settings.samples, settings.concurrency, settings.model) == (2, 4, "typed")
    assert settings.max_attempts == 5


def test_without_a_file_there_are_the_defaults(tmp_path):
    """No configuration is needed."""
    assert load_settings({"prompts": "p.csv"}, env={}, here=tmp_path).samples == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"samples": 0}, "samples"),
        ({"smaples": 2}, "smaples"),
        ({"provider": "openai"}, "provider"),
        ({"retry": "everything"}, "retry"),
        ({"parameters": {"guidance": 3}}, "guidance_scale"),
        ({"max_cost": -1}, "max_cost"),
    ],
)
def test_a_mistake_is_named(wrong, said):
    """The message holds the setting, or those there are."""
    with pytest.raises(SettingsInvalid, match=said):
        validated({"prompts": "p.csv", **wrong})


def test_a_broken_file_is_named(tmp_path):
    """With its path."""
    (tmp_path / "imagen-batch.toml").write_text("samples = \n")
    with pytest.raises(SettingsInvalid, match=r"imagen-batch\.toml"):
        load_settings({"prompts": "p.csv"}, env={}, here=tmp_path)


def test_the_folder_of_a_rehearsal_is_its_own():
    """A rehearsal never mixes with what was paid for."""
    assert validated({"prompts": "a/book.csv"}).place == "outputs/book"
    assert validated({"prompts": "a/book.csv", "provider": "simulator"}).place == "outputs/book-rehearsal"
    assert validated({"prompts": "-"}).place == "outputs/stdin"
    assert validated({"prompts": "a/book.csv", "out": "x/y"}).place == "x/y"


def test_values_are_normalised_at_the_door():
    """`1k`, `Allow-Adult` and `failed filtered` are what people type."""
    settings = validated(
        {"prompts": "p", "image_size": "1k", "person_generation": "Allow-Adult", "retry": "failed, filtered"}
    )
    assert (settings.image_size, settings.person_generation) == ("1K", "allow_adult")
    assert settings.retry == ("failed", "filtered")


def test_no_setting_holds_a_secret():
    """Settings are stored and shown: there is no place in them for a key."""
    assert not [
        name for name in type(validated({"prompts": "p"})).model_fields if name in {"api_key", "key", "token"}
    ]
