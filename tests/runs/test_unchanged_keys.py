"""An input without the newer features has the keys, requests and files that it had before them.

`earlier_runs/keys/recorded.json` was written by the version before templates, references and reviews.
"""

import csv
import json
import shutil
from pathlib import Path

import pytest

from tests.support.reviewed_runs import go

HERE = Path(__file__).parent / "earlier_runs" / "keys"
RECORDED = json.loads((HERE / "recorded.json").read_text(encoding="utf-8"))
MODEL = "gemini-3.1-flash-image"


@pytest.fixture
def source(tmp_path):
    """The prompt file: options, names, repeated rows, braces, a column `characters`, a refusal."""
    return Path(shutil.copy(HERE / "rows.csv", tmp_path / "rows.csv"))


def test_requests_are_byte_for_byte_those_of_before(source, sim):
    """Whatever columns the file has that mean something only with a newer option."""
    go(source, sim, model=MODEL)
    sent = sorted([received.path, received.body.decode()] for received in sim.requests if received.method == "POST")
    assert sent == RECORDED["requests"]


def test_keys_and_files_are_those_of_before(source, sim):
    """The manifest has all earlier columns in their order, and the newer ones before the user's own."""
    ran = go(source, sim, model=MODEL)
    with (ran.folder / "manifest.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert [{name: row[name] for name in RECORDED["rows"][0]} for row in rows] == RECORDED["rows"]
    assert [name for name in rows[0] if name in RECORDED["columns"]] == RECORDED["columns"]


def test_no_file_of_a_newer_feature_appears(source, sim):
    """There are neither reference facts nor templates, and the ledger has no field of them."""
    ran = go(source, sim, model=MODEL)
    state = ran.folder / ".imagen-batch"
    assert not (state / "references.json").exists()
    assert not (state / "expansion").exists()
    ledger = b"".join(path.read_bytes() for path in (state / "ledger").iterdir())
    assert not any(word in ledger for word in (b"references", b'"t":"versions"', b'"t":"review"', b'"t":"kept"'))
    sent = len(sim.requests)
    go(source, sim, model=MODEL)
    assert len(sim.requests) == sent
