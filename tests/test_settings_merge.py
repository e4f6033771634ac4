"""Tables of settings from different layers are merged key by key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagen_batch.cli.argument_parser import parse
from imagen_batch.cli.dispatch import main
from imagen_batch.cli.settings_sources import settings_from
from imagen_batch.errors import SettingsInvalid
from imagen_batch.providers.catalogue import load_catalogue
from imagen_batch.settings import load_settings, merge

TOML = """\
[parameters]
thinking_level = "MINIMAL"
store = false
[parameters.labels]
team = "art"
[models."gemini-nano-banana-2.1"]
prices = { 1K = 0.04, 2K = 0.06 }
[models."our-model"]
dialect = "predict"
"""


def load(folder: Path, given: dict[str, Any] | None = None, **env: str) -> Any:
    (folder / "imagen-batch.toml").write_text(TOML, "utf-8")
    return load_settings({"prompts": "p.csv", **(given or {})}, env=env, cwd=folder)


def test_a_typed_parameter_keeps_the_others_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the row would become another row, and be paid for again."""
    (tmp_path / "imagen-batch.toml").write_text(TOML, "utf-8")
    monkeypatch.chdir(tmp_path)
    chosen = settings_from(parse(["run", "p.csv", "--parameter", "thinking_level=high"]))
    parameters = chosen.parameters
    assert (parameters.thinking_level, parameters.store, parameters.labels) == ("HIGH", False, {"team": "art"})


def test_the_environment_is_between_command_line_and_file(tmp_path: Path) -> None:
    """It is a JSON object, merged in the same way."""
    table = json.dumps({"store": True, "labels": {"project": "x"}, "language": "en"})
    chosen = load(tmp_path, {"parameters": {"language": "ja"}}, IMAGEN_BATCH_PARAMETERS=table)
    assert chosen.parameters.model_dump(exclude_none=True) == {
        "thinking_level": "MINIMAL",
        "store": True,
        "labels": {"team": "art", "project": "x"},
        "language": "ja",
    }


def test_models_are_merged_as_deeply(tmp_path: Path) -> None:
    """One price of one model, and another model, leave everything else unchanged."""
    table = json.dumps({"gemini-nano-banana-2.1": {"prices": {"2K": 0.05}}, "third": {"dialect": "predict"}})
    catalogue = load_catalogue(load(tmp_path, IMAGEN_BATCH_MODELS=table).models)
    model = catalogue.get("gemini-nano-banana-2.1")
    assert model is not None
    assert dict(model.prices) == {"1K": 0.04, "2K": 0.05}
    assert catalogue.get("our-model")
    assert catalogue.get("third")


@pytest.mark.parametrize("name", ["IMAGEN_BATCH_PARAMETERS", "IMAGEN_BATCH_MODELS"])
@pytest.mark.parametrize("wrong", ["a=b", "[1]", "5", "null", "{"])
def test_a_variable_that_is_no_table_is_named(tmp_path: Path, name: str, wrong: str) -> None:
    """The message says what was expected."""
    with pytest.raises(SettingsInvalid, match=f"{name}.*JSON object"):
        load(tmp_path, **{name: wrong})


def test_an_empty_table_of_the_environment_is_ignored(tmp_path: Path) -> None:
    """This holds for every other variable, too."""
    assert load(tmp_path, IMAGEN_BATCH_PARAMETERS="").parameters.store is False


def test_the_list_of_models_has_those_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """This is as in a run; other variables are ignored."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGEN_BATCH_MODELS", '{"third": {"dialect": "predict"}}')
    monkeypatch.setenv("IMAGEN_BATCH_SAMPLES", "many")
    assert main(["models", "--json"]) == 0
    assert "third" in capsys.readouterr().out


TABLES = st.recursive(
    st.integers() | st.none(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=9
)
LAYERS = st.dictionaries(st.sampled_from("abc"), TABLES, max_size=3)


@settings(deadline=None)
@given(LAYERS, LAYERS, LAYERS)
def test_merging_layers_is_the_same_in_either_grouping(one: Any, two: Any, three: Any) -> None:
    """Nothing is lost, and the layers themselves do not change."""
    before = json.dumps([one, two, three])
    both = merge(one, two)
    assert both.keys() == one.keys() | two.keys()
    assert merge(both, {}) == merge({}, both) == both
    assert merge(both, both) == both
    if all(isinstance(value, dict) for layer in (one, two, three) for value in layer.values()):
        assert merge(merge(one, two), three).keys() == merge(one, merge(two, three)).keys()
    assert json.dumps([one, two, three]) == before
