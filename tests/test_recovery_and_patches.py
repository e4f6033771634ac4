"""Recovery finds images of earlier texts and keeps records of moves; a repair keeps the sums and limits of a run."""

import json
import shlex
from unittest.mock import patch

import pyarrow.parquet as pq
import pytest

from imagen_batch.audit.audit import audit
from imagen_batch.cli.dispatch import main
from imagen_batch.errors import LedgerDamaged
from imagen_batch.ledger.history import read_history
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.planning import resolve_rows as plan
from imagen_batch.planning.add_style import with_comma
from imagen_batch.storage import LEDGER, Folder
from tests.support.factories import REQUEST, ok, trace
from tests.support.runs import run, write_csv

STYLED = [{"prompt": f"A fox {number}.", "style": "ink"} for number in range(4)]


def earlier_version():
    """Simulate a version that put a comma behind every prompt."""
    return patch.object(plan, "with_style", lambda prompt, style: with_comma(prompt, style) if style else prompt)


@pytest.mark.parametrize("kept_lines", [0, 3, 5])
def test_images_of_an_earlier_text_are_recovered_under_its_key(tmp_path, sim, kept_lines):
    """This holds even if the ledger has lost all records of the earlier text."""
    source = write_csv(tmp_path / "p.csv", STYLED)
    with earlier_version():
        before = run(source, sim)
    (ledger,) = (before.folder / LEDGER).iterdir()
    ledger.write_bytes(b"".join(ledger.read_bytes().splitlines(keepends=True)[:kept_lines]))
    again = run(source, sim)
    assert len(sim.requests) == 4
    assert [row["prompt"] for row in again.rows] == [row["prompt"] for row in before.rows]
    assert [row["key"] for row in again.rows] == [row["key"] for row in before.rows]
    assert audit(before.folder).clean


def test_an_image_of_an_earlier_text_does_not_replace_a_newer_one(tmp_path, sim):
    """The row has an image under its own key: the older file stays and is not recorded."""
    source = write_csv(tmp_path / "p.csv", STYLED[:1])
    with earlier_version():
        older = run(source, sim)
    data = {path.name: path.read_bytes() for path in (older.folder / "images").iterdir()}
    for path in (older.folder / LEDGER).iterdir():
        path.unlink()
    for path in (older.folder / "images").iterdir():
        path.unlink()
    newer = run(source, sim)
    for name, content in data.items():
        (older.folder / "images" / name).write_bytes(content)
    assert run(source, sim).rows == newer.rows
    assert len(sim.requests) == 2


MOVE = {"base": "ab" * 32, "from": REQUEST.base, "numbers": [1]}


@pytest.mark.parametrize(
    "change",
    [
        {"base": "ab"},
        {"from": 5},
        {"numbers": [0]},
        {"numbers": ["1"]},
        {"prompt": "a text without a model"},
        {"options": []},
    ],
)
def test_a_damaged_record_of_moves_is_reported_and_not_ignored(tmp_path, change):
    """Reading it as a record of a later version would lose what an image was generated from."""
    writer = LedgerWriter(Folder(tmp_path), now=1.0)
    writer.record_moves([{**MOVE, **change}], at=1.0)
    writer.close()
    with pytest.raises(LedgerDamaged, match="line 1, byte 0"):
        read_history(tmp_path / LEDGER)


def test_a_record_of_moves_is_read_completely(tmp_path):
    """Text, model, dialect and options of the image are in the history."""
    (tmp_path / "images").mkdir()
    facts = {"prompt": "old", "model": "m", "dialect": "predict", "options": {"seed": 7}}
    writer = LedgerWriter(Folder(tmp_path), now=1.0)
    writer.record_result(REQUEST, (ok(),), trace())
    writer.record_moves([{**MOVE, **facts}], at=1.0)
    writer.close()
    history = read_history(tmp_path / LEDGER)
    assert history.status(MOVE["base"], 1) == "ok"
    assert history.kept(MOVE["base"], 1) == facts


def run_with_torn_images(shell, tmp_path, sim, *options):
    """Return the folder of a run with four images of which the last two are torn."""
    book = write_csv(tmp_path / "book.csv", [{"prompt": f"animal {number}"} for number in range(4)])
    out = tmp_path / "out"
    given = ("--provider", "simulator", "--base-url", sim.url, "--out", out, *options)
    assert shell.run("run", book, *given).code == 0
    torn = pq.read_table(out / "manifest.parquet").to_pylist()[2:]
    for row in torn:
        (out / row["file"]).write_bytes(b"torn")
    return out, torn


def test_a_repair_pays_no_more_than_its_limit_and_leaves_the_limits_of_the_run(shell, tmp_path, sim):
    """--max-cost of a repair limits this repair; the limits of the run hold, too, and its settings stay."""
    out, torn = run_with_torn_images(shell, tmp_path, sim, "--max-cost", 5)
    settings = (out / ".imagen-batch" / "settings.json").read_bytes()
    price = torn[0]["cost_usd"]
    requests_before = len(sim.requests)
    repaired = shell.run("audit", out, "--repair", "--yes", "--max-cost", round(price * 1.9, 4))
    assert len(sim.requests) == requests_before + 1
    assert repaired.code != 0
    assert (out / ".imagen-batch" / "settings.json").read_bytes() == settings
    assert shell.run("audit", out, "--repair", "--yes").code == 0
    assert len(sim.requests) == requests_before + 2
    assert shell.run("audit", out).code == 0


def test_the_command_that_a_repair_suggests_can_be_pasted_anywhere(shell, tmp_path, sim):
    """It has the whole path of the folder, quoted."""
    out, _ = run_with_torn_images(shell, tmp_path, sim)
    strange = out.rename(tmp_path / "it's here")
    result = shell.run("audit", strange)
    assert f"imagen-batch audit {shlex.quote(str(strange))} --repair" in result.out
    message = shell.run("audit", strange, "--repair").err
    assert f"imagen-batch audit {shlex.quote(str(strange))} --repair --yes --max-cost" in message


def test_a_repair_writes_the_sums_that_a_run_writes(tmp_path, sim):
    """The summary has the same money, attempts and next step as before its loss."""
    source = write_csv(tmp_path / "p.csv", [{"prompt": "one"}, {"prompt": "two [[sim:reset*9]]"}])
    folder = run(source, sim, wait_initial=0.0, max_attempts=2).folder
    before = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").unlink()
    (folder / "manifest.csv").unlink()
    main(["audit", str(folder), "--repair"])
    after = json.loads((folder / "summary.json").read_text())
    same = ("cost_usd", "cost_low_usd", "cost_high_usd", "attempts", "lost_attempts", "older_images", "samples")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert {finding.kind for finding in audit(folder).findings} == {"paid_undelivered"}
