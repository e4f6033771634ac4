"""Rows that refer to images of other rows: made after them, never without them, and again when those change."""

import pytest

from imagen_batch.audit.audit import audit
from imagen_batch.cli import main
from imagen_batch.errors import InputInvalid
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.planning.pending import count_pending
from imagen_batch.runs.state_from_folder import run_status
from imagen_batch.settings import make_settings
from tests.support.reference_files import parts_sent, prompts_sent
from tests.support.runs import TODAY, run, write_csv
from tests.support.workers import run_in_threads


def book(folder, *rows):
    """Write a prompt file of (id, prompt, references, samples)."""
    names = ("id", "prompt", "references", "samples")
    cells = [dict(zip(names, (*row, "", "")[:4], strict=True)) for row in rows]
    return write_csv(folder / "p.csv", cells)


def plan(source, **chosen):
    """Return the plan of a prompt file."""
    return make_plan(make_settings({"prompts": str(source), "provider": "simulator", **chosen}), today=TODAY)


def problems(source):
    """Return the problems of a prompt file as line and message."""
    with pytest.raises(InputInvalid) as refusal:
        plan(source)
    return [(problem.line, problem.message) for problem in refusal.value.problems]


FOX = ("fox", "a fox")
SCENES = (("s1", "scene one", "@fox"), ("s2", "scene two", "@s1;@fox"))


@pytest.mark.parametrize("runner", [run, run_in_threads], ids=["threads", "workers"])
def test_a_row_is_sent_with_the_image_of_the_row_that_it_names(tmp_path, sim, runner):
    """Rows are sent stage by stage, although the scenes come first in the file."""
    ran = runner(book(tmp_path, *SCENES, FOX), sim)
    assert ran.statuses == ["ok"] * 3
    assert prompts_sent(sim) == ["a fox", "scene one", "scene two"]
    scene_one, _, fox = ran.rows
    sent = {parts[-1]: parts[:-1] for parts in parts_sent(sim)}
    assert sent["scene one"] == [ran.image(fox)]
    assert sent["scene two"] == [ran.image(scene_one), ran.image(fox)]
    assert scene_one["references"] == "@fox"
    assert scene_one["references_sha256"] == fox["sha256"]
    assert audit(ran.folder).findings == ()
    assert run_status(ran.folder).counts["ok"] == 3


def test_a_second_run_sends_nothing_and_another_image_makes_exactly_its_rows_again(tmp_path, sim):
    """The key follows from the content of the image."""
    rows = (*SCENES, ("owl", "an owl"), ("s3", "an owl flies", "@owl"))
    run(book(tmp_path, *rows, FOX), sim)
    assert len(sim.requests) == 5
    run(book(tmp_path, *rows, FOX), sim)
    assert len(sim.requests) == 5
    ran = run(book(tmp_path, *rows, ("fox", "a red fox")), sim)
    assert prompts_sent(sim)[5:] == ["a red fox", "scene one", "scene two"]
    assert ran.statuses == ["ok"] * 5
    assert audit(ran.folder).findings == ()


def test_a_copy_of_the_image_is_the_same_reference(tmp_path, sim):
    """The content decides, not the path: a sheet that is kept as a file makes nothing again."""
    ran = run(book(tmp_path, FOX, ("s1", "scene one", "@fox")), sim)
    (tmp_path / "fox.jpg").write_bytes(ran.image(ran.rows[0]))
    assert run(book(tmp_path, FOX, ("s1", "scene one", "fox.jpg")), sim).statuses == ["ok", "ok"]
    assert len(sim.requests) == 2


@pytest.mark.parametrize(("fault", "kind"), [("filtered", "reference_refused"), ("internal_500", "reference_failed")])
def test_a_row_without_its_reference_is_never_sent(tmp_path, sim, fault, kind):
    """Manifest, failures and summary have the reason; the same holds for rows that need it in turn."""
    ran = run(book(tmp_path, *SCENES, ("fox", f"a fox [[sim:{fault}]]"), ("owl", "an owl")), sim, max_attempts=1)
    assert ran.statuses[:2] == ["not_attempted", "not_attempted"]
    assert ran.statuses[3] == "ok"
    assert ran.rows[0]["error_kind"] == kind
    assert "row 3 (fox)" in ran.rows[0]["error"]
    assert ran.rows[1]["error_kind"] == "reference_pending"
    assert {row["id"] for row in ran.failures} == {"s1", "s2", "fox"}
    assert ran.summary.exit_code == 3
    assert any(group.error_kind == kind for group, _ in ran.summary.causes)
    assert not [text for text in prompts_sent(sim) if text.startswith("scene")]
    assert audit(ran.folder).findings == ()
    reworded = run(book(tmp_path, *SCENES, ("fox", "a fox, kindly"), ("owl", "an owl")), sim)
    assert reworded.statuses == ["ok"] * 4


def test_one_of_several_images_has_to_be_approved_or_named(tmp_path, sim):
    """Nothing is sent on a guess. An approval decides; a row that was made keeps its image until then."""
    rows = (("fox", "a fox", "", "2"), ("s1", "scene one", "@fox"), ("s2", "scene two", "@fox#2"))
    ran = run(book(tmp_path, *rows), sim)
    assert ran.statuses == ["ok", "ok", "not_attempted", "ok"]
    assert ran.rows[2]["error_kind"] == "reference_unapproved"
    assert ran.rows[3]["references_sha256"] == ran.rows[1]["sha256"]
    assert main(["review", "approve", str(ran.folder), "fox:1"]) == 0
    ran = run(book(tmp_path, *rows), sim)
    assert ran.statuses == ["ok"] * 4
    assert ran.rows[2]["references_sha256"] == ran.rows[0]["sha256"]


def test_a_row_keeps_the_image_that_it_was_made_with_when_another_one_comes(tmp_path, sim):
    """A paid image stays in the tables."""
    scene = ("s1", "scene one", "@fox")
    ran = run(book(tmp_path, ("fox", "a fox", "", "1"), scene), sim)
    used = ran.rows[0]["sha256"]
    ran = run(book(tmp_path, ("fox", "a fox", "", "3"), scene), sim)
    assert ran.statuses == ["ok"] * 4
    assert ran.rows[3]["references_sha256"] == used
    assert prompts_sent(sim).count("scene one") == 1


def test_references_that_lead_to_no_row_are_refused_with_their_line(tmp_path):
    """There are an unknown id, two rows of one id, the row itself, a sample number that is too large, and circles."""
    rows = (
        *(("a", "x", "@b"), ("b", "x", "@c"), ("c", "x", "@a"), ("d", "x", "@d"), ("e", "x", "@foxx")),
        *(FOX, ("dup", "y"), ("dup", "z"), ("f", "x", "@dup"), ("g", "x", "@fox#2")),
    )
    listed = problems(book(tmp_path, *rows))
    assert [line for line, _ in listed] == [2, 5, 6, 10, 11]
    texts = ("circle: 1 -> 2 -> 3 -> 1", "refers to itself", "no row has the id 'foxx'", "lines 8, 9", "no number 2")
    assert all(text in message for text, (_, message) in zip(texts, listed, strict=True))


def test_a_long_chain_of_rows_needs_no_deep_recursion(tmp_path):
    """A story in which each image continues the one before."""
    rows = [("0", "start"), *((str(n), f"page {n}", f"@{n - 1}") for n in range(1, 3000))]
    pending = count_pending(plan(book(tmp_path, *rows), out=str(tmp_path / "none")))
    assert len(pending.stages) == 3000
    assert pending.requests == 3000


def test_the_plan_prices_all_stages(tmp_path, sim):
    """It leaves out rows that wait for an image that this run does not make."""
    source = book(tmp_path, FOX, *SCENES, ("owl", "an owl [[sim:filtered]]"), ("s3", "an owl flies", "@owl"))
    pending = count_pending(plan(source, out=str(tmp_path / "out")))
    assert [stage.requests for stage in pending.stages] == [2, 2, 1]
    assert sum(stage.usd for stage in pending.stages) == pytest.approx(pending.usd)
    run(source, sim)
    after = count_pending(plan(source, out=str(tmp_path / "out")))
    assert (after.requests, after.made, after.held, after.waiting) == (0, 3, 1, 1)
    retried = count_pending(plan(source, out=str(tmp_path / "out"), retry=("filtered",)))
    assert (retried.requests, retried.waiting) == (2, 0)


def test_the_budget_ends_a_run_between_the_stages(tmp_path, sim):
    """The rest waits for the next run, and nothing is paid for twice."""
    source = book(tmp_path, FOX, *SCENES)
    ran = run(source, sim, max_images=1)
    assert ran.statuses == ["ok", "skipped_budget", "not_attempted"]
    assert ran.summary.exit_code == 6
    assert run(source, sim, max_images=3).statuses == ["ok"] * 3
    assert len(sim.requests) == 3


def test_a_limit_leaves_the_named_row_out(tmp_path, sim):
    """The row that needs it waits."""
    ran = run(book(tmp_path, *SCENES, FOX), sim, limit=2)
    assert ran.statuses == ["not_attempted"] * 3
    assert not sim.requests


def test_equal_rows_with_equal_references_are_variants(tmp_path, sim):
    """Each gets an image of its own, also where the same image has two names."""
    rows = (FOX, ("s1", "scene", "@fox"), ("s2", "scene", "@fox"), ("s3", "scene", "@fox#1"))
    ran = run(book(tmp_path, *rows), sim)
    assert ran.statuses == ["ok"] * 4
    assert len({row["file"] for row in ran.rows}) == 4
    assert len(sim.requests) == 4
    run(book(tmp_path, *rows), sim)
    assert len(sim.requests) == 4
