"""An audit compares the data in failures.csv, not its advice, whose wording may change."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from imagen_batch.audit.audit import audit
from imagen_batch.simulator import Simulator
from tests.support.runs import prompts, run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a run with a refused row."""
    with Simulator() as sim:
        return run(prompts(tmp_path, "a mole", "a rat [[sim:blocked_prompt]]"), sim).folder


def _rewrite(folder: Path, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    path = folder / "failures.csv"
    with path.open(newline="", encoding="utf-8") as file:
        lines = [change(line) for line in csv.DictReader(file)]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(lines)
    path.write_bytes(text.getvalue().encode())


def _without(*names: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda line: {name: cell for name, cell in line.items() if name not in names}


@pytest.mark.parametrize(
    "change",
    [
        _without("imagen_batch_advice"),
        _without("imagen_batch_advice", "imagen_batch_row"),
        lambda line: {**line, "imagen_batch_advice": "Refused for other words."},
    ],
    ids=["before the advice", "before the mark", "another wording"],
)
def test_files_of_earlier_versions_are_in_order(folder: Path, change) -> None:
    """Formats only gain fields."""
    _rewrite(folder, change)
    assert audit(folder).clean


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (_without("status"), "its columns are not those that a run writes"),
        (lambda line: {**line, "status": "failed"}, "1 line not in the ledger and 1 line missing"),
        (lambda line: {"imagen_batch_advice": "", **line}, "its columns are not those that a run writes"),
        (lambda line: {**line, "prompt": "another"}, "1 line not in the ledger and 1 line missing"),
    ],
    ids=["no status", "another status", "reordered", "another prompt"],
)
def test_other_changes_are_found(folder: Path, change, detail: str) -> None:
    """The data in the file has to be that of the ledger."""
    _rewrite(folder, change)
    (finding,) = audit(folder).findings
    assert finding.detail.startswith(detail)
