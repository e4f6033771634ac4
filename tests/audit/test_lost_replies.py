"""A request whose reply was lost is a fact about money: files, ledger and tables agree about it."""

import orjson
import pytest

from imagen_batch.audit.audit import audit
from imagen_batch.cli.dispatch import main
from imagen_batch.simulator import Simulator
from tests.support.runs import IMAGEN, prompts, run


@pytest.fixture
def folder(tmp_path):
    """Return the folder of a run with one image and one lost reply."""
    with Simulator() as sim:
        return run(prompts(tmp_path, "one", "two [[sim:reset_midway*9]]"), sim, model=IMAGEN, max_attempts=2).folder


def test_a_folder_with_a_lost_reply_is_clean(folder, capsys):
    """The amount and the command to send the request again are named, with code 3, and no repair is offered."""
    assert main(["audit", str(folder)]) == 3
    text = capsys.readouterr().out
    assert "clean; 1 image in place and unchanged" in text
    assert "no reply arrived for 1 image, which may have been charged, at most $0.08 in all" in text
    assert f"imagen-batch resume {folder} --retry unknown" in text
    assert "--repair" not in text
    assert "damaged" not in text


def test_the_lost_reply_stays_in_the_findings_for_programs(folder, capsys):
    """Its kind and its price are those of earlier versions."""
    assert main(["audit", str(folder), "--json"]) == 3
    report = orjson.loads(capsys.readouterr().out)
    assert (report["state"], report["counts"]["paid_undelivered"]) == ("clean", 1)
    assert report["findings"][0]["usd"] == 0.08


def test_damage_beside_a_lost_reply_is_counted_alone(folder, capsys):
    """The headline has one finding, and the repair is for it."""
    (folder / "summary.md").unlink()
    assert main(["audit", str(folder)]) == 3
    text = capsys.readouterr().out
    assert "damaged, 1 finding; 1 image checked" in text
    assert f"imagen-batch audit {folder} --repair" in text


def test_an_image_that_the_manifest_lists_and_the_ledger_lost_is_damage(folder):
    """Only the manifest shows that such a sample is not one whose reply was lost."""
    [image] = (folder / "images").iterdir()
    image.unlink()
    [ledger] = (folder / ".imagen-batch" / "ledger").iterdir()
    records = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(line for line in records if b'"ok"' not in line))
    result = audit(folder)
    assert [finding.kind for finding in result.findings] == ["paid_undelivered", "paid_undelivered", "stale"]
    assert not result.clean
