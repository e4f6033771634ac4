"""`--group-by COLUMN`, and the pixels in the output of `plan`, as a user types the commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagen_batch.simulator import Simulator
from tests.support.runs import write_csv
from tests.support.shell import Shell

ROWS = [
    {"prompt": "a mole", "Chapter": "River", "aspect_ratio": "4:3"},
    {"prompt": "a rat", "Chapter": "River", "aspect_ratio": ""},
    {"prompt": "a toad [[sim:blocked_prompt]]", "Chapter": "Road", "aspect_ratio": "4:3"},
]


@pytest.fixture
def book(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "book.csv", ROWS)


def test_the_column_is_kept_with_the_run_and_can_be_changed_in_status(
    shell: Shell, book: Path, tmp_path: Path
) -> None:
    """`resume` shows the same groups; the cost of this run is shown beside that of the folder."""
    with Simulator() as sim:
        service = ["--provider", "simulator", "--base-url", sim.url, "--out", tmp_path / "out"]
        first_run = shell.run("run", book, *service, "--group-by", "chapter", "--json")
        assert first_run.code == 3
        assert [(group["name"], group["ok"]) for group in first_run.json["groups"]] == [("River", 2), ("Road", 0)]
        assert first_run.json["groups"][0]["cost_usd"] == first_run.json["groups"][0]["run_cost_usd"] > 0
        resumed = shell.run("resume", tmp_path / "out", "--json")
        assert resumed.json["groups"][0]["cost_usd"] == first_run.json["groups"][0]["cost_usd"]
        assert resumed.json["groups"][0]["run_cost_usd"] == 0
        assert "by aspect_ratio" in shell.run("status", tmp_path / "out", "--group-by", "aspect_ratio").out
        assert "(empty)" in shell.run("status", tmp_path / "out", "--group-by", "aspect_ratio").out
        assert "by chapter" in shell.run("status", tmp_path / "out").out
        assert "## By chapter" in (tmp_path / "out" / "summary.md").read_text()
        assert shell.run("status", tmp_path / "out", "--group-by", "page").code == 2
        patched = shell.run("run", tmp_path / "out" / "failures.csv", "--json")
        assert [group["name"] for group in patched.json["groups"]] == ["River", "Road"]


def test_a_missing_column_is_refused_before_anything_is_sent(shell: Shell, book: Path, tmp_path: Path) -> None:
    """Nothing is sent or written."""
    with Simulator() as sim:
        service = ["--provider", "simulator", "--base-url", sim.url, "--out", tmp_path / "out"]
        result = shell.run("run", book, *service, "--group-by", "chaper")
        assert result.code == 2
        assert "did you mean Chapter?" in result.err
        assert sim.requests == ()
    assert not (tmp_path / "out").exists()


def test_the_plan_prints_pixels_and_the_changes_of_a_folder(shell: Shell, book: Path, tmp_path: Path) -> None:
    """Known sizes have their ratio; a shape that the service chooses is described as such."""
    with Simulator() as sim:
        service = ["--provider", "simulator", "--base-url", sim.url, "--out", tmp_path / "out"]
        planned = shell.run("plan", book, *service)
        assert "1200 x 896 (4:3): 2 images; default size, shape chosen by the service: 1 image" in planned.out
        facts = shell.run("plan", book, *service, "--image-size", "2K", "--json").json["pixels"]
        assert [(shape["width"], shape["height"], shape["images"]) for shape in facts] == [
            (2400, 1792, 2),
            (None, None, 1),
        ]
        shell.run("run", book, *service)
        write_csv(book, [{**ROWS[0], "prompt": "a large mole"}, *ROWS[1:]])
        changed = shell.run("plan", book, *service)
        assert "0 new, 1 changed, 0 gone; 1 image of earlier rows stay" in changed.out
