"""Errors and warnings of the Python functions name arguments of Python, not options of the command line."""

import logging
import re
from pathlib import Path

import pandas as pd
import pytest

from imagen_batch import open_images, plan, read_manifest, run
from imagen_batch.errors import FolderBusy, ImagenBatchError, SettingsInvalid
from imagen_batch.settings.option_names_as_arguments import name_arguments
from imagen_batch.simulator import Simulator
from imagen_batch.storage import open_storage


@pytest.fixture
def in_place(tmp_path, monkeypatch):
    """Use an empty current folder."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("$5 of --max-cost 5 is spent", "$5 of max_cost 5 is spent"),
        ("use --add or --replace", 'use other_input="add" or other_input="replace"'),
        ("then use --retry missing:", 'then use retry="missing":'),
        ("choose with --prompt-column: 'x'", "choose with prompt_column: 'x'"),
        ("run: imagen-batch audit DIR --repair --max-cost 5", "run: imagen-batch audit DIR --repair --max-cost 5"),
        ("(--json lists all)", "(--json lists all)"),
        ("a file named a--out", "a file named a--out"),
        ("two -- dashes and --", "two -- dashes and --"),
    ],
)
def test_options_become_arguments_and_commands_stay(message, expected):
    """A command in a message is typed into a shell."""
    assert name_arguments(message) == expected


@pytest.mark.usefixtures("in_place")
def test_a_second_table_for_a_folder_is_refused_with_the_argument_that_decides():
    """It is called a table, and both values of `other_input` work."""
    first, second = (pd.DataFrame({"prompt": texts}) for texts in (["a mole", "a rat"], ["a toad", "a newt"]))
    with Simulator() as sim:
        settings = {"provider": "simulator", "base_url": sim.url, "out": "o"}
        run(first, **settings)
        with pytest.raises(SettingsInvalid) as caught:
            run(second, **settings)
        assert str(caught.value).startswith("the table is not the input of the run in o: 2 rows with 2 images")
        assert 'other_input="add"' in str(caught.value)
        assert 'other_input="replace"' in str(caught.value)
        assert "--" not in str(caught.value)
        assert run(second, **settings, other_input="add").counts["ok"] == 4


@pytest.mark.usefixtures("in_place")
@pytest.mark.parametrize(
    "settings",
    [
        {"max_cost_per": "30d=2", "budget_root": "elsewhere"},
        {"date": "2026-01-01", "out": "o"},
        {"group_by": "nope"},
        {"matrix": ["x"]},
        {"out": ""},
        {"trim": "5"},
        {"template": "nowhere"},
        {"name_template": "{nope}"},
        {"prompt_column": "nope"},
        {"format": "xlsx"},
    ],
    ids=str,
)
@pytest.mark.parametrize("call", [run, plan])
def test_no_refusal_names_an_option(call, settings):
    """Each of these names its argument."""
    Path("p.csv").write_text("prompt\na mole\n")
    with pytest.raises(ImagenBatchError) as caught:
        call("p.csv", provider="simulator", **settings)
    assert re.search(r"(?<!\w)--\w", str(caught.value)) is None
    assert any(name in str(caught.value) for name in settings)


@pytest.mark.usefixtures("in_place")
def test_no_warning_names_an_option(caplog):
    """The logger of the package gets the same words as the errors."""
    with Simulator() as sim, caplog.at_level(logging.WARNING, "imagen_batch"):
        table = pd.DataFrame({"prompt": ["a mole"], "quality": ["high"]})
        run(table, provider="simulator", base_url=sim.url, matrix=["seed=1,2"], out="o")
    assert caplog.messages
    assert not [message for message in caplog.messages if re.search(r"(?<!\w)--\w", message)]


@pytest.mark.usefixtures("in_place")
def test_a_busy_folder_names_the_argument_out():
    """Another run holds it."""
    Path("p.csv").write_text("prompt\na mole\n")
    with (
        open_storage("o").hold_lock(),
        pytest.raises(FolderBusy, match="wait for it or choose another out"),
    ):
        run("p.csv", provider="simulator", out="o")


@pytest.mark.usefixtures("in_place")
@pytest.mark.parametrize("read", [read_manifest, open_images])
def test_both_readers_say_the_same_about_a_folder_without_a_manifest(read):
    """A folder without a run, a run without its tables, and a damaged table each have one message."""
    with pytest.raises(SettingsInvalid, match=r"No imagen-batch run found in nowhere: it has no manifest\.parquet; "):
        read("nowhere")
    with Simulator() as sim:
        run(pd.DataFrame({"prompt": ["a mole"]}), provider="simulator", base_url=sim.url, out="o")
    manifest = Path("o/manifest.parquet")
    manifest.write_bytes(manifest.read_bytes()[:99])
    with pytest.raises(SettingsInvalid, match=r"^o: manifest\.parquet can't be read: "):
        read("o")
    manifest.unlink()
    with pytest.raises(SettingsInvalid, match=r"The run in o has no manifest\.parquet\. .* audit /.*/o --repair$"):
        read("o")


@pytest.mark.usefixtures("in_place")
def test_a_condition_is_named_like_its_argument():
    """The command's option is --where."""
    with Simulator() as sim:
        run(pd.DataFrame({"prompt": ["a mole"]}), provider="simulator", base_url=sim.url, out="o")
    with pytest.raises(SettingsInvalid, match=r"^where 'promt == 1': "):
        open_images("o", where="promt == 1")
