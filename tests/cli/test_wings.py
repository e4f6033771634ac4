"""The commands for a finished run: gallery and export."""

from imagen_batch.simulator import Simulator
from tests.support.runs import prompts, run


def test_a_run_is_exported_and_shown(shell, tmp_path):
    """The commands run through the command line, as a user types them."""
    with Simulator() as simulator:
        run(prompts(tmp_path, "a fox", "a hen"), simulator)
    folder = tmp_path / "out"
    assert shell.run("gallery", folder).code == 0
    assert "a fox" in (folder / "gallery.html").read_text(encoding="utf-8")
    assert shell.run("export", folder, "--to", "captions", "--quiet").code == 0
    captions = sorted(path.read_text(encoding="utf-8") for path in (folder / "export" / "captions").rglob("*.txt"))
    assert [text.strip() for text in captions] == ["a fox", "a hen"]


def test_a_folder_without_a_run_is_refused(shell, tmp_path):
    """Both commands print a sentence."""
    for command in (["gallery", tmp_path], ["export", tmp_path, "--to", "csv"]):
        result = shell.run(*command)
        assert result.code == 2
        assert "Traceback" not in result.err
