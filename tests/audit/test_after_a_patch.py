"""After a run for only some rows, a folder is in order: the other rows are no damage."""

import csv

import pytest

from imagen_batch.audit.audit import audit
from imagen_batch.simulator import Simulator
from tests.support.runs import write_csv


@pytest.fixture
def simulator():
    """Start a simulator for each test."""
    with Simulator() as running:
        yield running


@pytest.mark.parametrize("options", [["--max-images", "9"], ["--limit", "1", "--max-images", "9"]])
def test_after_a_patch_of_one_row_an_audit_is_clean(shell, tmp_path, simulator, options):
    """The rows that the file does not name stay unchanged."""
    book = write_csv(tmp_path / "book.csv", [{"prompt": f"prompt {number}"} for number in range(5)])
    out = tmp_path / "out"
    service = ["--provider", "simulator", "--base-url", simulator.url, "--out", out]
    assert shell.run("run", book, *service, "--max-images", 2).code == 6
    with (out / "failures.csv").open(newline="", encoding="utf-8") as file:
        header, first, *_ = csv.reader(file)
    with (out / "failures.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, first])
    assert shell.run("run", out / "failures.csv", *options).code in {0, 3}
    report = audit(out)
    assert report.clean, [str(finding) for finding in report.findings]


def test_added_rows_are_not_cut_by_the_limit_of_an_earlier_run(shell, tmp_path, simulator):
    """--limit concerns one run."""
    service = ["--provider", "simulator", "--base-url", simulator.url, "--out", tmp_path / "out"]
    book = write_csv(tmp_path / "book.csv", [{"prompt": f"prompt {number}"} for number in range(4)])
    assert shell.run("run", book, *service, "--limit", 2).code == 3
    more = write_csv(tmp_path / "more.csv", [{"prompt": f"another {number}"} for number in range(2)])
    shell.run("run", more, *service, "--add")
    assert len(simulator.requests) == 6
