"""Rows with reference images that are reviewed: each version is sent with its images and paid for once."""

from hashlib import sha256

import pytest

from imagen_batch.audit.audit import audit
from imagen_batch.runs.state_from_folder import run_status
from tests.support.reference_files import write_image
from tests.support.reviewed_runs import counted, go, parts_of, review
from tests.support.runs import FinishedRun, write_csv

FOX = {"id": "fox", "prompt": "a fox", "references": "", "samples": ""}
DEN = {"id": "den", "prompt": "the den", "references": "@fox", "samples": ""}
SNOW = {"id": "snow", "prompt": "the snow", "references": "@den", "samples": ""}
OWL = {"id": "owl", "prompt": "an owl", "references": "", "samples": ""}


def digest(data):
    """The SHA-256 of bytes."""
    return sha256(data).hexdigest()


def rows_of(ran):
    """The manifest's rows by id, of runs with one sample a row."""
    return {row["id"]: row for row in ran.rows}


def is_whole(ran, sim):
    """Whether every view of the folder says that all is there."""
    summary = run_status(ran.folder)
    return audit(ran.folder).clean and summary.counts["ok"] == summary.asked


def test_a_redo_sends_the_bytes_of_the_row_s_references(tmp_path, sim):
    """With an edited prompt; the version's digests are those of what was sent."""
    sheet = write_image(tmp_path / "hat.png")
    source = write_csv(tmp_path / "p.csv", [{"id": "a", "prompt": "a cat", "references": "hat.png"}])
    ran = go(source, sim)
    review(ran.folder, "redo", "a", prompt="a dog", seed=3)
    pending = counted(source, sim, redo=True)
    assert (pending.samples, pending.redone) == (1, 1)
    ran, sent = parts_of(sim, lambda: go(source, sim, redo=True))
    assert sent == [[sheet, "a dog"]]
    (row,) = ran.rows
    assert (row["version"], row["references"], row["references_sha256"]) == (2, "hat.png", digest(sheet))
    assert pending.usd >= row["cost_usd"] / 2
    assert is_whole(ran, sim)
    assert parts_of(sim, lambda: go(source, sim, redo=True))[1] == []


def test_a_redo_of_a_scene_sends_the_image_of_the_other_row(tmp_path, sim):
    """The plan counts it as well, although the row's key follows from that image."""
    source = write_csv(tmp_path / "p.csv", [FOX, DEN])
    ran = go(source, sim)
    review(ran.folder, "redo", "den")
    assert counted(source, sim, redo=True).redone == 1
    fox = ran.image(rows_of(ran)["fox"])
    ran, sent = parts_of(sim, lambda: go(source, sim, redo=True))
    assert sent == [[fox, "the den"]]
    assert rows_of(ran)["den"]["version"] == 2
    assert rows_of(ran)["den"]["references"] == "@fox"
    assert is_whole(ran, sim)


def test_scenes_are_made_again_when_the_new_sheet_is_approved_and_not_before(tmp_path, sim):
    """Exactly those that use it, stage by stage."""
    source = write_csv(tmp_path / "p.csv", [SNOW, DEN, FOX, OWL])
    ran = go(source, sim)
    review(ran.folder, "redo", "fox", prompt="a red fox")
    assert counted(source, sim, redo=True).samples == 1
    ran, sent = parts_of(sim, lambda: go(source, sim, redo=True))
    assert [parts[-1] for parts in sent] == ["a red fox"]
    assert is_whole(ran, sim)
    assert rows_of(ran)["den"]["references_sha256"] != rows_of(ran)["fox"]["sha256"]
    assert parts_of(sim, lambda: go(source, sim, redo=True))[1] == []
    review(ran.folder, "approve", "fox")
    assert counted(source, sim).samples == 2
    ran, sent = parts_of(sim, lambda: go(source, sim))
    assert [parts[-1] for parts in sent] == ["the den", "the snow"]
    assert rows_of(ran)["den"]["references_sha256"] == rows_of(ran)["fox"]["sha256"]
    assert sent[0][0] == ran.image(rows_of(ran)["fox"])
    assert is_whole(ran, sim)
    assert parts_of(sim, lambda: go(source, sim))[1] == []


def test_a_scene_that_was_not_made_uses_the_newest_sheet(tmp_path, sim):
    """Nobody has approved anything, so the newest image counts, as in the tables."""
    source = write_csv(tmp_path / "p.csv", [FOX])
    ran = go(source, sim)
    review(ran.folder, "redo", "fox", prompt="a red fox")
    go(source, sim, redo=True)
    write_csv(source, [FOX, DEN])
    ran, sent = parts_of(sim, lambda: go(source, sim))
    assert sent == [[ran.image(rows_of(ran)["fox"]), "the den"]]
    assert rows_of(ran)["fox"]["version"] == 2


def test_an_approved_scene_stays_when_another_sheet_is_approved(tmp_path, sim):
    """Approved images are not made again, whatever happens to what they were made from."""
    source = write_csv(tmp_path / "p.csv", [FOX, DEN, {**DEN, "id": "snow", "prompt": "snow"}])
    ran = go(source, sim)
    before = rows_of(ran)["den"]
    review(ran.folder, "approve", "den")
    review(ran.folder, "redo", "fox", prompt="a red fox")
    ran = go(source, sim, redo=True)
    review(ran.folder, "approve", "fox")
    ran, sent = parts_of(sim, lambda: go(source, sim))
    assert [parts[-1] for parts in sent] == ["snow"]
    den = rows_of(ran)["den"]
    assert (den["sha256"], den["review"], den["references_sha256"]) == (
        before["sha256"],
        "approved",
        before["references_sha256"],
    )
    assert is_whole(ran, sim)


def test_scenes_of_a_rejected_sheet_stay_in_the_tables_and_no_other_is_made_with_it(tmp_path, sim):
    """They are paid for; whether they are good is another decision."""
    source = write_csv(tmp_path / "p.csv", [FOX, DEN])
    ran = go(source, sim)
    den = rows_of(ran)["den"]
    review(ran.folder, "reject", "fox")
    write_csv(source, [FOX, DEN, {**DEN, "id": "new", "prompt": "new"}])
    ran, sent = parts_of(sim, lambda: go(source, sim))
    assert sent == []
    rows = rows_of(ran)
    assert rows["den"]["sha256"] == den["sha256"]
    assert rows["new"]["status"] == "not_attempted"
    assert rows["new"]["error_kind"] == "reference_pending"


def test_an_upgrade_sends_the_references_of_the_approved_image(tmp_path, sim):
    """Also where the row was edited since, and has other ones now."""
    first, second = write_image(tmp_path / "a.png"), write_image(tmp_path / "b.png", "blue")
    rows = [{"id": "a", "prompt": "a cat", "references": "a.png"}]
    source = write_csv(tmp_path / "p.csv", rows)
    ran = go(source, sim)
    review(ran.folder, "approve", "a")
    write_csv(source, [{"id": "a", "prompt": "a dog", "references": "b.png"}])
    ran, sent = parts_of(sim, lambda: go(source, sim, upgrade="2K"))
    assert sent == [[first, "a cat"]]
    assert second not in sent[0]
    (row,) = ran.rows
    assert (row["version"], row["prompt"], row["references"]) == (1, "a cat", "a.png")
    assert row["references_sha256"] == digest(first)
    review(ran.folder, "approve", "a")
    (row,) = FinishedRun(run_status(ran.folder), ran.folder).rows
    assert (row["version"], row["references"], row["references_sha256"]) == (2, "a.png", digest(first))
    assert audit(ran.folder).clean


@pytest.mark.parametrize("again", ["run", "resume"])
def test_an_approved_image_stays_when_its_reference_file_changes(tmp_path, sim, again):
    """The file of prompts is the same; the others of the sheet are made again."""
    old = write_image(tmp_path / "hat.png")
    rows = [{"id": name, "prompt": name, "references": "hat.png"} for name in ("a", "b")]
    source = write_csv(tmp_path / "p.csv", rows)
    ran = go(source, sim)
    review(ran.folder, "approve", "a")
    new = write_image(tmp_path / "hat.png", "blue")
    given = source if again == "run" else ran.folder / ".imagen-batch" / "input.csv"
    ran, sent = parts_of(sim, lambda: go(given, sim, out=str(ran.folder)))
    assert sent == [[new, "b"]]
    rows = rows_of(ran)
    assert rows["a"]["references_sha256"] == digest(old)
    assert rows["b"]["references_sha256"] == digest(new)
    assert is_whole(ran, sim)
    assert parts_of(sim, lambda: go(given, sim, out=str(ran.folder)))[1] == []


def test_a_sheet_that_accept_replaced_serves_its_scenes(tmp_path, sim):
    """Every reading of the folder finds the second sample, which the input does not ask for."""
    source = write_csv(tmp_path / "p.csv", [{**FOX, "samples": 1}, {**DEN, "samples": 1}])
    ran = go(source, sim, accept=1)
    review(ran.folder, "reject", "fox:1")
    ran = go(source, sim, accept=1)
    fox = [row for row in ran.rows if row["id"] == "fox"]
    assert [row["review"] for row in fox] == ["rejected", None]
    write_csv(source, [{**FOX, "samples": 1}, {**DEN, "samples": 1}, {**DEN, "id": "n", "prompt": "n", "samples": 1}])
    assert counted(source, sim, accept=1).samples == 1
    ran, sent = parts_of(sim, lambda: go(source, sim, accept=1))
    assert sent == [[ran.image(fox[1]), "n"]]
    assert run_status(ran.folder).counts["not_attempted"] == 0
    assert audit(ran.folder).clean


def test_an_approved_scene_stays_when_the_text_of_its_sheet_is_edited(tmp_path, sim):
    """While the new sheet is made, and after it; its other sample is made from the new one."""
    rows = [{**FOX, "samples": 1}, {**DEN, "samples": 2}]
    source = write_csv(tmp_path / "p.csv", rows)
    ran = go(source, sim)
    approved = next(row for row in ran.rows if (row["id"], row["sample"]) == ("den", 1))
    review(ran.folder, "approve", "den:1")
    write_csv(source, [{**rows[0], "prompt": "an old fox"}, rows[1]])
    ran, sent = parts_of(sim, lambda: go(source, sim))
    assert [parts[-1] for parts in sent] == ["an old fox", "the den"]
    fox, first, second = ran.rows
    assert (first["sha256"], first["review"]) == (approved["sha256"], "approved")
    assert first["references_sha256"] == approved["references_sha256"]
    assert second["references_sha256"] == fox["sha256"]
    assert is_whole(ran, sim)
    assert parts_of(sim, lambda: go(source, sim))[1] == []


def test_an_approved_image_stays_when_an_option_of_the_run_changes(tmp_path, sim):
    """It is locked; the other row is made again."""
    source = write_csv(tmp_path / "p.csv", [FOX, OWL])
    ran = go(source, sim)
    review(ran.folder, "approve", "fox")
    ran, sent = parts_of(sim, lambda: go(source, sim, aspect_ratio="16:9"))
    assert sent == [["an owl"]]
    assert rows_of(ran)["fox"]["aspect_ratio"] is None
    assert is_whole(ran, sim)


def test_a_redo_of_a_row_that_waits_for_its_sheet_is_made_after_it(tmp_path, sim):
    """The mark is kept; nothing is sent without the image, and the other rows are made."""
    source = write_csv(tmp_path / "p.csv", [FOX, DEN])
    ran = go(source, sim)
    review(ran.folder, "approve", "den")
    write_csv(source, [{**FOX, "prompt": "an old fox"}, DEN])
    go(source, sim, max_images=2)
    review(ran.folder, "redo", "den", prompt="the new den")
    _, sent = parts_of(sim, lambda: go(source, sim, redo=True))
    assert sent[0][-1] == "an old fox"
    ran, later = parts_of(sim, lambda: go(source, sim, redo=True))
    fox, den = ran.rows
    made = [parts for parts in [*sent, *later] if parts[-1] != "an old fox"]
    assert [parts[0] for parts in made] == [ran.image(fox)]
    assert den["status"] == "ok"
    assert parts_of(sim, lambda: go(source, sim, redo=True))[1] == []


def test_limits_hold_across_stages_and_versions(tmp_path, sim):
    """A redo and the stage after it share the budget of the run; a later run makes the rest once."""
    source = write_csv(tmp_path / "p.csv", [DEN, FOX, OWL])
    ran = go(source, sim)
    price = max(row["cost_usd"] for row in ran.rows) * 1.05
    review(ran.folder, "redo", "owl", prompt="a big owl")
    write_csv(source, [DEN, {**FOX, "prompt": "a blue fox"}, OWL])
    before = len(sim.requests)
    ran = go(source, sim, redo=True, max_cost_per_run=price * 2)
    assert ran.summary.exit_code == 6
    assert len(sim.requests) - before <= 2
    assert ran.summary.facts.run_usd <= price * 2
    ran = go(source, sim)
    assert len(sim.requests) - before == 3
    assert ran.statuses == ["ok"] * 3
    assert is_whole(ran, sim)
