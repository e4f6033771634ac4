"""The user's cells in manifest.csv are compared as text, and the program's numbers as numbers."""

import pytest

from imagen_batch.audit.audit import audit
from tests.support.damage import CSV, DamagedRun
from tests.support.runs import run, write_csv


@pytest.fixture(scope="module")
def run_copy(tmp_path_factory, sim):
    """Return a run whose code is text that looks like a number, and whose amount is a number."""
    home = tmp_path_factory.mktemp("codes")
    rows = [{"id": "007", "prompt": "a mole", "code": "007", "amount": "7"}]
    return DamagedRun(run(write_csv(home / "p.csv", rows), sim).folder)


@pytest.mark.parametrize(("column", "text"), [("code", "7"), ("id", "7"), ("amount", "7.0")])
def test_another_text_in_a_cell_is_found_though_it_is_the_same_number(run_copy, column, text):
    """A spreadsheet that saved `007` as `7` has changed the cell."""
    before = (run_copy.folder / CSV).read_bytes()
    run_copy.edit(CSV, lambda rows: rows[0].update({column: text}))
    try:
        [finding] = audit(run_copy.folder).findings
    finally:
        (run_copy.folder / CSV).write_bytes(before)
    assert (finding.kind, finding.path) == ("stale", CSV)
    assert f"column {column}" in finding.detail
