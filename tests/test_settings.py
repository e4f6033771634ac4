"""The command line precedes the environment, the file and the defaults, and every mistake is named."""

import pytest

from imagen_batch.errors import SettingsInvalid
from imagen_batch.settings import load_settings, make_settings
from tests.support.prompt_files import open_content, rows


def test_each_layer_precedes_the_one_below(tmp_path):
    """The order is command line, environment, file, default."""
    (tmp_path / "imagen-batch.toml").write_text('samples = 2\nconcurrency = 3\nmodel = "from-file"\n')
    env = {"IMAGEN_BATCH_CONCURRENCY": "4", "IMAGEN_BATCH_MODEL": "from-env"}
    settings = load_settings({"prompts": "p.csv", "model": "typed"}, env=env, cwd=tmp_path)
    assert (settings.samples, settings.concurrency, settings.model) == (2, 4, "typed")
    assert settings.max_attempts == 5


def test_without_a_file_the_defaults_hold(tmp_path):
    """No configuration is needed."""
    assert load_settings({"prompts": "p.csv"}, env={}, cwd=tmp_path).samples == 1


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
    """The message names the setting, or lists the known ones."""
    with pytest.raises(SettingsInvalid, match=said):
        make_settings({"prompts": "p.csv", **wrong})


def test_a_broken_file_is_named(tmp_path):
    """The message has its path."""
    (tmp_path / "imagen-batch.toml").write_text("samples = \n")
    with pytest.raises(SettingsInvalid, match=r"imagen-batch\.toml"):
        load_settings({"prompts": "p.csv"}, env={}, cwd=tmp_path)


def test_a_rehearsal_has_a_separate_folder():
    """A rehearsal never mixes with images that were paid for."""
    assert make_settings({"prompts": "a/book.csv"}).folder == "outputs/book"
    assert make_settings({"prompts": "a/book.csv", "provider": "simulator"}).folder == "outputs/book-rehearsal"
    assert make_settings({"prompts": "-"}).folder == "outputs/stdin"
    assert make_settings({"prompts": "a/book.csv", "out": "x/y"}).folder == "x/y"


def test_values_are_normalized_when_they_are_read():
    """People type `1k`, `Allow-Adult` and `failed filtered`."""
    settings = make_settings(
        {"prompts": "p", "image_size": "1k", "person_generation": "Allow-Adult", "retry": "failed, filtered"}
    )
    assert (settings.image_size, settings.person_generation) == ("1K", "allow_adult")
    assert settings.retry == ("failed", "filtered")


def test_no_setting_holds_a_secret():
    """Settings are stored and shown: they have no field for a key."""
    assert not [
        name for name in type(make_settings({"prompts": "p"})).model_fields if name in {"api_key", "key", "token"}
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("image_size", "0.5K"),
        ("image_size", "2k"),
        ("person_generation", "don't allow"),
        ("person_generation", "Allow-Adult"),
        ("aspect_ratio", "16 x 9"),
    ],
)
def test_a_value_means_the_same_in_a_cell_and_in_every_layer_of_settings(tmp_path, name, text):
    """Each choice has one parser: what a spreadsheet may contain can be typed as well."""
    (row,) = rows(open_content(tmp_path, f'prompt,{name}\na fox,"{text}"\n'))
    (tmp_path / "imagen-batch.toml").write_text(f'{name} = "{text}"\n')
    typed = {"prompts": "p.csv"}
    layers = [
        load_settings({**typed, name: text}, env={}),
        load_settings(typed, env={f"IMAGEN_BATCH_{name.upper()}": text}),
        load_settings(typed, env={}, cwd=tmp_path),
    ]
    assert {getattr(settings, name) for settings in layers} == {getattr(row.options, name)}
