"""A run that says its tables are current has looked at everything that newer features depend on."""

import pytest
from PIL import Image

from imagen_batch.runs.finished.recognize_unchanged_run import find_current_summary, record_finished_run
from tests.support.reviewed_runs import go, review, settings_of
from tests.support.runs import write_csv

FOX = {"id": "fox", "prompt": "a fox", "references": "", "characters": "", "text": "other"}
DEN = {**FOX, "id": "den", "prompt": "the den", "references": "@fox"}


@pytest.fixture
def source(tmp_path):
    """Two rows, one of which uses the image of the other."""
    return write_csv(tmp_path / "p.csv", [FOX, DEN])


def finished(source, sim, **chosen):
    """Finish a run and record that; return its settings."""
    settings = settings_of(source, sim, **chosen)
    record_finished_run(settings, go(source, sim, **chosen).summary)
    return settings


def test_rows_that_use_images_of_others_are_recognized(source, sim):
    """Everything that they depend on is in the folder."""
    assert find_current_summary(finished(source, sim)) is not None


@pytest.mark.parametrize(
    "chosen",
    [
        {"redo": True},
        {"upgrade": "2K"},
        {"accept": 1},
        {"accept": 2},
        {"group_by": "id"},
        {"gallery": False},
        {"prompt_column": "text"},
        {"matrix": ("style=ink",)},
        {"max_cost_per_run": 1.0},
        {"aspect_ratio": "16:9"},
        {"shape": "square"},
        {"on_unknown": "hold"},
    ],
    ids=str,
)
def test_an_option_is_another_run(source, sim, chosen):
    """It may come from the command line, the environment or a file."""
    finished(source, sim)
    assert find_current_summary(settings_of(source, sim, **chosen)) is None


@pytest.mark.parametrize("action", ["approve", "reject", "redo"])
def test_a_decision_is_noticed(source, sim, action):
    """The tables show it."""
    settings = finished(source, sim)
    review(source.parent / "out", action, "fox")
    assert find_current_summary(settings) is None


@pytest.mark.parametrize("name", ["gallery.html", "manifest.csv", "failures.csv"])
def test_a_table_that_is_gone_or_new_is_noticed(source, sim, name):
    """It does not matter who removed or wrote it."""
    settings = finished(source, sim)
    path = source.parent / "out" / name
    if path.exists():
        path.unlink()
    else:
        path.write_text("new")
    assert find_current_summary(settings) is None


def test_runs_that_read_other_files_are_never_recognized(source, sim):
    """A reference image, a template, styles and characters may change without a trace in the folder."""
    folder = source.parent
    Image.new("RGB", (8, 8)).save(folder / "hat.png")
    (folder / "t.txt").write_text("{{ prompt }}!")
    (folder / "s.csv").write_text("name,prompt\nink,ink\n")
    (folder / "c.csv").write_text("name,description\nMole,a mole\n")
    options = {"references": "hat.png", "template": "t.txt", "styles": "s.csv", "characters": "c.csv"}
    for name, file in options.items():
        path = str(folder / file)
        chosen = {name: (path,) if name == "references" else path, "out": str(folder / name)}
        assert find_current_summary(finished(source, sim, **chosen)) is None
    write_csv(source, [{**FOX, "references": "hat.png"}])
    assert find_current_summary(finished(source, sim)) is None
