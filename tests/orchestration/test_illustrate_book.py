"""The flow that makes a book stops for the review of the sheets and goes on after it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from imagen_batch import read_manifest
from imagen_batch import run as run_book
from imagen_batch.simulator import Simulator
from tests.support.cli import environment

FLOW = Path(__file__).parents[2] / "flows" / "illustrate_book.py"
BOOK = """\
id,shape,characters,samples,prompt
mole-sheet,sheet,Mole,2,a sheet of Mole
rat-sheet,sheet,Rat,1,a sheet of Rat
river,spread,Mole; Rat,1,the river
"""
CHARACTERS = "name,description,references\nMole,a mole,@mole-sheet\nRat,a water rat,@rat-sheet\n"


@pytest.fixture(name="book")
def _book(tmp_path: Path) -> Path:
    """A book of two sheets and a scene."""
    folder = tmp_path / "book"
    folder.mkdir()
    (folder / "book.csv").write_text(BOOK)
    (folder / "people.csv").write_text(CHARACTERS)
    (folder / "imagen-batch.toml").write_text('characters = "people.csv"\nimage_size = "1K"\n')
    return folder


@pytest.fixture(scope="module", name="flow")
def _flow() -> ModuleType:
    """The module of the flow."""
    spec = importlib.util.spec_from_file_location("illustrate_book", FLOW)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_paths_of_the_book_hold_in_any_folder(flow: ModuleType, book: Path) -> None:
    """What the caller leaves empty comes from the book's file."""
    job = flow.job_settings(book, out="images", provider="simulator", max_cost=None)
    assert job["characters"] == str(book / "people.csv")
    assert (job["image_size"], job["out"], job["redo"]) == ("1K", "images", True)
    assert "max_cost" not in job


def test_sheets_are_the_rows_of_that_shape(flow: ModuleType, book: Path) -> None:
    """Their row numbers are returned: the first stage is limited to these."""
    assert flow.sheet_rows(book) == {"mole-sheet": 1, "rat-sheet": 2}


def test_the_first_image_of_each_sheet_is_approved_once(flow: ModuleType, book: Path, tmp_path: Path) -> None:
    """A sheet with an approved image is left alone, and a second call does nothing."""
    out, sheets = str(tmp_path / "out"), ["mole-sheet", "rat-sheet"]
    with Simulator() as sim:
        run_book(**flow.job_settings(book, out=out, provider="simulator", base_url=sim.url))
    assert flow.sheets_without_approval(out, sheets) == sheets
    assert flow.approve_first_images(out, sheets)
    assert flow.sheets_without_approval(out, sheets) == []
    assert not flow.approve_first_images(out, sheets)
    manifest = read_manifest(out).query("review == 'approved'")
    assert list(manifest["id"] + ":" + manifest["sample"].astype(str)) == ["mole-sheet:1", "rat-sheet:1"]


def test_parameters_are_described_for_the_form(flow: ModuleType) -> None:
    """Prefect's page shows these texts."""
    described = flow.illustrate_book.parameters.properties
    assert set(described) == {"book", "out", "provider", "max_cost", "approve_sheets"}
    assert all(len(each["description"]) > 20 for each in described.values())


@pytest.mark.prefect
def test_the_flow_stops_for_the_review_and_goes_on(book: Path, tmp_path: Path, prefect_server, prefect_home) -> None:
    """The state says what to do; with the sheets approved everything is made."""
    out = tmp_path / "out"
    served = {"PREFECT_API_URL": prefect_server.url, "PREFECT_HOME": str(prefect_home)}

    def flow(*more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(FLOW), str(book), "--out", str(out), *more]
        return subprocess.run(
            command, cwd=tmp_path, env=environment(served), capture_output=True, text=True, timeout=120, check=False
        )

    stopped = flow()
    assert stopped.returncode == 3, stopped.stderr
    assert stopped.stdout.startswith("SheetsToReview: Approve one image of each sheet")
    assert f"imagen-batch review approve {out} mole-sheet:1" in stopped.stdout
    assert set(read_manifest(out).query("status == 'ok'")["id"]) == {"mole-sheet", "rat-sheet"}
    finished = flow("--approve-sheets")
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("Completed: 4 ok")
