"""A review determines the next run: marked samples are made again as a further version, and no others."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagen_batch.audit.audit import audit
from imagen_batch.audit.repair import repair
from imagen_batch.errors import InputInvalid
from imagen_batch.inputs.reconcile_with_folder import prepare_plan
from imagen_batch.inputs.stored_input_and_settings import load_settings_to_continue
from imagen_batch.ledger.history import read_history
from imagen_batch.planning.pending import count_pending
from imagen_batch.review.decisions.decisions_to_ledger_changes import Choice, decide
from imagen_batch.review.decisions.named_samples import find_targets
from imagen_batch.review.decisions.record_decisions import apply_review, change_review, remember_applied
from imagen_batch.review.decisions.take_review_into_run import review_of_run
from imagen_batch.review.review_csv import Decision, write_review
from imagen_batch.runs.run import open_run
from imagen_batch.runs.state_from_folder import run_status
from imagen_batch.settings import make_settings
from imagen_batch.simulator import Simulator
from imagen_batch.storage import LEDGER
from tests.support.runs import TODAY, FinishedRun, write_csv

BOOK = [
    {"id": "cover", "prompt": "a cover", "samples": 2},
    {"id": "boat", "prompt": "a boat", "samples": 2},
    {"id": "weir", "prompt": "a weir [[sim:blocked_prompt]]", "samples": 1},
]


@pytest.fixture(scope="module")
def sim():
    """A simulator that counts its requests."""
    with Simulator() as running:
        yield running


def go(source, sim, **chosen):
    """Run the file as the command line does, up to Prefect."""
    folder = source.parent / "out"
    base = {"prompts": str(source), "out": str(folder), "provider": "simulator", "base_url": sim.url}
    return carry_out(make_settings({**base, "wait_initial": 0.0, "concurrency": 8, **chosen}))


def carry_out(chosen, *, kill_after=None):
    """Carry out a run; with `kill_after`, only that many of its requests are sent, and it never ends."""
    decisions, review = review_of_run(chosen, lambda _text: None)
    plan = prepare_plan(chosen, today=TODAY, decisions=decisions)
    with open_run(plan, env={}) as run:
        if review is not None:
            remember_applied(run.context.store.storage, review)
        for stage in run.stages():
            for shard in stage:
                run.generate_shard(shard[:kill_after])
                if kill_after is not None:
                    return None
        return FinishedRun(run.finish(), Path(chosen.folder))


def review(folder, action, *names, **choice):
    """Decide as the command does."""
    decision = Choice(action, **choice)
    return change_review(
        str(folder), lambda plan, history: decide(find_targets(names, plan, history), decision, history)
    )


def sent(sim, act):
    """Return the result of `act`, and the prompts that were sent meanwhile."""
    before = len(sim.requests)
    result = act()
    return result, [prompt_of(received) for received in sim.requests[before:]]


def prompt_of(received):
    return json.loads(received.body)["contents"][0]["parts"][0]["text"]


def images(folder):
    """Return the bytes of every image, by name."""
    return {path.name: path.read_bytes() for path in (folder / "images").rglob("*") if path.is_file()}


def by_name(ran):
    """Return the manifest's rows by id and sample."""
    return {(row["id"], row["sample"]): row for row in ran.rows}


@pytest.fixture
def book(tmp_path, sim):
    """A finished run of three rows, one of them refused."""
    source = write_csv(tmp_path / "book.csv", BOOK)
    go(source, sim)
    return source


def test_only_marked_samples_are_made_and_the_earlier_version_stays(book, sim):
    """One mark has an edited prompt, one has none: there are two requests, two new files and no other change."""
    folder = book.parent / "out"
    before = images(folder)
    review(folder, "redo", "boat:1", prompt="a boat at night", seed=7)
    review(folder, "redo", "cover:2")
    ran, prompts = sent(sim, lambda: go(book, sim, redo=True))
    assert sorted(prompts) == ["a boat at night", "a cover"]
    assert images(folder).items() >= before.items()
    assert len(images(folder)) == len(before) + 2
    rows = by_name(ran)
    boat = rows["boat", 1]
    assert (boat["version"], boat["prompt"], boat["seed"], boat["review"]) == (2, "a boat at night", 7, None)
    assert boat["file"].endswith("_v2.jpg")
    assert boat["cost_usd"] > rows["boat", 2]["cost_usd"] * 1.5  # both versions were paid for
    assert rows["cover", 1]["version"] == 1
    assert audit(folder).clean


def test_a_mark_is_consumed_by_one_version(book, sim):
    """Neither another --redo nor the same review makes anything again."""
    folder = book.parent / "out"
    review(folder, "redo", "boat:1")
    go(book, sim, redo=True)
    for chosen in ({"redo": True}, {}, {"retry": ("failed", "missing")}):
        assert sent(sim, lambda chosen=chosen: go(book, sim, **chosen))[1] == []


def test_a_redo_killed_before_its_answer_continues_as_the_same_version(book, sim):
    """The order is in the ledger before anything is sent; a later run without --redo sends what is left."""
    folder = book.parent / "out"
    for name in ("boat:1", "boat:2", "cover:1"):
        review(folder, "redo", name)
    _, first = sent(sim, lambda: carry_out(load_settings_to_continue(folder, {"redo": True}), kill_after=1))
    ran, later = sent(sim, lambda: carry_out(load_settings_to_continue(folder, {})))
    assert (len(first), len(later)) == (1, 2)
    assert Counter(row["version"] for row in ran.rows) == {2: 3, 1: 2}
    assert sent(sim, lambda: go(book, sim, redo=True))[1] == []


def test_a_redo_that_is_refused_leaves_the_earlier_image_and_is_reported(book, sim):
    """The manifest keeps version 1 and states the result of the redo; the exit code is 3."""
    folder = book.parent / "out"
    review(folder, "reject", "weir")
    review(folder, "redo", "boat:1", prompt="no [[sim:blocked_prompt]]")
    ran = go(book, sim, redo=True)
    row = by_name(ran)["boat", 1]
    assert (row["status"], row["version"], row["review"], row["error_kind"]) == ("ok", 1, "redo", "redo_filtered")
    assert "version 2 was refused; the earlier image stays" in row["error"]
    assert ran.summary.exit_code == 3
    assert ran.summary.open_redos == 1
    assert sent(sim, lambda: go(book, sim, redo=True))[1] == []  # it would be refused again
    review(folder, "redo", "boat:1", prompt="yes")
    assert by_name(go(book, sim, redo=True))["boat", 1]["version"] == 3


def test_an_approved_sample_is_locked(book, sim):
    """It is not made again, even if its file was deleted or it was marked before."""
    folder = book.parent / "out"
    review(folder, "redo", "cover:1")
    review(folder, "approve", "cover")
    row = by_name(FinishedRun(run_status(folder), folder))["cover", 1]
    (folder / row["file"]).unlink()
    for chosen in ({"redo": True}, {"retry": ("missing", "failed", "filtered")}):
        _, prompts = sent(sim, lambda chosen=chosen: go(book, sim, **chosen))
        assert "a cover" not in prompts
    [group] = [group for group, _ in run_status(folder).causes if group.error_kind == "approved_missing"]
    assert group.rows == [1]
    assert [finding.kind for finding in audit(folder).findings] == ["missing"]
    assert repair(folder).samples_to_remake == ()


def test_a_rejected_image_may_be_deleted(book, sim):
    """It is neither a failure nor made again, and the audit has nothing to report."""
    folder = book.parent / "out"
    review(folder, "reject", "boat:2", "weir")
    row = by_name(FinishedRun(run_status(folder), folder))["boat", 2]
    (folder / row["file"]).unlink()
    ran, prompts = sent(sim, lambda: go(book, sim, retry=("missing", "failed", "filtered")))
    assert prompts == []
    row = by_name(ran)["boat", 2]
    assert (row["status"], row["file"], row["review"]) == ("ok", None, "rejected")
    assert audit(folder).clean
    assert run_status(folder).counts["failed"] == 0


@pytest.mark.parametrize("with_ids", [True, False])
def test_approved_images_of_an_edited_row_stay(tmp_path, sim, with_ids):
    """The other samples of the row are made from the new text."""
    rows = BOOK[:2] if with_ids else [{**row, "id": ""} for row in BOOK[:2]]
    source, folder = write_csv(tmp_path / "book.csv", rows), tmp_path / "out"
    go(source, sim)
    review(folder, "approve", "2:1")
    before = images(folder)
    write_csv(source, [rows[0], {**rows[1], "prompt": "a ship"}])
    ran, prompts = sent(sim, lambda: go(source, sim))
    assert prompts == ["a ship"]
    assert [(row["prompt"], row["review"]) for row in ran.rows[2:]] == [("a boat", "approved"), ("a ship", None)]
    assert images(folder).items() >= before.items()
    assert audit(folder).clean


def test_the_plan_says_that_approved_images_of_edited_rows_stay(book, sim):
    """It names the command that makes them from the new text."""
    folder = book.parent / "out"
    review(folder, "approve", "boat")
    write_csv(book, [BOOK[0], {**BOOK[1], "prompt": "a ship"}])
    plan = prepare_plan(
        make_settings({"prompts": str(book), "out": str(folder), "provider": "simulator"}), today=TODAY
    )
    assert any("2 approved images of edited rows stay as approved" in notice for notice in plan.notices)
    assert count_pending(plan).samples == 0


def test_an_upgrade_makes_approved_images_larger_and_keeps_the_approved_one(book, sim):
    """The approved image stays in the tables until the larger one is approved; the row keys do not change."""
    folder = book.parent / "out"
    review(folder, "approve", "cover:1")
    ran, prompts = sent(sim, lambda: go(book, sim, upgrade="2K"))
    assert prompts == ["a cover"]
    row = by_name(ran)["cover", 1]
    assert (row["version"], row["review"], row["width"]) == (1, "approved", 1024)
    assert sent(sim, lambda: go(book, sim, upgrade="2K"))[1] == []
    review(folder, "approve", "cover:1")
    row = by_name(FinishedRun(run_status(folder), folder))["cover", 1]
    assert (row["version"], row["review"], row["width"], row["image_size"]) == (2, "approved", 2048, "2K")
    assert sent(sim, lambda: go(book, sim, upgrade="2K"))[1] == []


def test_a_lost_version_is_made_again_as_that_version(book, sim):
    """It has its edited prompt; version 1, whose file exists, is not made again."""
    folder = book.parent / "out"
    review(folder, "redo", "boat:1", prompt="a boat at night")
    row = by_name(go(book, sim, redo=True))["boat", 1]
    (folder / row["file"]).unlink()
    ran, prompts = sent(sim, lambda: go(book, sim, retry=("missing",)))
    assert prompts == ["a boat at night"]
    assert by_name(ran)["boat", 1]["version"] == 2
    assert by_name(ran)["boat", 1]["status"] == "ok"
    assert audit(folder).clean


def test_an_image_of_a_killed_redo_is_recovered(book, sim):
    """The ledger loses the result of a version after its file was staged: the next run finds it and pays nothing."""
    folder = book.parent / "out"
    review(folder, "redo", "boat:1")
    row = by_name(go(book, sim, redo=True))["boat", 1]
    ledger = max((folder / LEDGER).iterdir())
    lines = ledger.read_bytes().splitlines(keepends=True)
    remaining = [line for line in lines if not (b'"t":"done"' in line and row["key"].encode() in line)]
    assert len(remaining) == len(lines) - 1
    ledger.write_bytes(b"".join(remaining))
    (folder / row["file"]).rename(folder / ".imagen-batch" / "incoming" / f"{row['key']}_1")
    ran, prompts = sent(sim, lambda: go(book, sim))
    assert prompts == []
    assert (by_name(ran)["boat", 1]["version"], by_name(ran)["boat", 1]["sha256"]) == (2, row["sha256"])


def test_limits_apply_to_further_versions(book, sim):
    """A budget for one of two: the other is left, the run exits with 6 and a later run makes it."""
    folder = book.parent / "out"
    review(folder, "redo", "boat")
    images_recorded = read_history(folder / LEDGER).images_recorded
    ran, prompts = sent(sim, lambda: go(book, sim, redo=True, max_images=images_recorded + 1, concurrency=1))
    assert (len(prompts), ran.summary.exit_code) == (1, 6)
    ran, prompts = sent(sim, lambda: go(book, sim, max_images=images_recorded + 2))
    assert len(prompts) == 1


def test_an_option_that_the_model_does_not_take_is_refused_before_anything_is_sent(book, sim):
    """The size of an upgrade is checked like that of a row."""
    review(book.parent / "out", "approve", "cover")
    before = len(sim.requests)
    with pytest.raises(InputInvalid) as raised:
        go(book, sim, upgrade="9K")
    assert {problem.column for problem in raised.value.problems} == {"image_size"}
    assert len(sim.requests) == before


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252"])
def test_forty_rows_reviewed_in_a_spreadsheet_send_exactly_seven_requests(tmp_path, sim, encoding):
    """40 rows x 4: 30 approved, 5 to redo, 2 with an edited prompt, saved with semicolons."""
    source = write_csv(tmp_path / "book.csv", [{"id": f"s{n}", "prompt": f"scene {n}"} for n in range(1, 41)])
    rows = go(source, sim, samples=4).rows
    folder = tmp_path / "out"
    before = images(folder)
    chosen = random.Random(7).sample(rows, 37)
    lines = ["row;id;sample;version;key;decision;prompt;seed;note"]
    for index, row in enumerate(chosen):
        decision = "approved" if index < 30 else "redo"
        prompt = f"étude n° {row['row']} “revue”" if index >= 35 else ""
        lines.append(f"{row['row']};{row['id']};{row['sample']};1;{row['key']};{decision};{prompt};;")
    (folder / "review.csv").write_bytes("\r\n".join(lines).encode(encoding))
    ran, prompts = sent(sim, lambda: go(source, sim, samples=4, redo=True))
    assert len(prompts) == 7
    assert sum(prompt.startswith("étude n°") for prompt in prompts) == 2
    assert Counter(row["review"] for row in ran.rows) == {None: 130, "approved": 30}
    assert Counter(row["version"] for row in ran.rows) == {1: 153, 2: 7}
    assert images(folder).items() >= before.items()
    assert sent(sim, lambda: go(source, sim, samples=4, redo=True))[1] == []


def test_a_review_is_applied_once_and_overrides_no_later_decision(book, sim):
    """Only lines that changed since the file was applied count."""
    folder = book.parent / "out"
    lines = [Decision(row=1, sample=1, decision="approve"), Decision(row=2, sample=1, decision="redo")]
    with (folder / "review.csv").open("w", newline="", encoding="utf-8-sig") as text:
        write_review(lines, text)
    assert len(apply_review(str(folder)).decisions) == 2
    review(folder, "reject", "cover:1")
    with (folder / "review.csv").open("w", newline="", encoding="utf-8-sig") as text:
        write_review([*lines, Decision(row=1, sample=2, decision="approve")], text)
    assert [decided.number for decided in apply_review(str(folder)).decisions] == [2]
    rows = by_name(go(book, sim, redo=True))
    assert (rows["cover", 1]["review"], rows["cover", 2]["review"]) == ("rejected", "approved")
    assert rows["boat", 1]["version"] == 2
    assert apply_review(str(folder)).decisions == ()


def test_every_problem_of_a_review_is_reported_and_nothing_is_applied(book, sim):
    """There is an unknown row, an unknown sample, an approval of a refused sample, and a key of another run."""
    folder = book.parent / "out"
    text = f"row,sample,key,decision\n9,1,,approve\n1,7,,redo\n3,1,,approve\n1,1,{'ab' * 32},redo\n1,2,,approve\n"
    (folder / "review.csv").write_text(text)
    with pytest.raises(InputInvalid) as raised:
        apply_review(str(folder))
    assert [problem.line for problem in raised.value.problems] == [2, 3, 4, 5]
    assert not read_history(folder / LEDGER).reviews
    with pytest.raises(InputInvalid):
        go(book, sim, redo=True)


def test_problems_of_form_and_unknown_rows_of_a_review_are_listed_together(book):
    """Also two in one line: a bad seed for a row that does not exist."""
    folder = book.parent / "out"
    lines = ("1,1,,keep,", "9,1,,approve,", "9,2,,redo,x", "x,1,,approve,", f"1,1,{'ab' * 32},redo,", "1,1,,redo,-1")
    (folder / "review.csv").write_text("row,sample,key,decision,seed\n" + "\n".join(lines) + "\n")
    with pytest.raises(InputInvalid) as raised:
        apply_review(str(folder))
    assert [(problem.line, problem.column) for problem in raised.value.problems] == [
        *((2, "decision"), (3, "row"), (4, "seed"), (4, "row"), (5, "row"), (6, "key"), (7, "seed")),
    ]
    assert not read_history(folder / LEDGER).reviews


def test_names_of_samples_are_checked_together(book):
    """Each problem has a suggestion."""
    folder = book.parent / "out"
    with pytest.raises(InputInvalid) as raised:
        review(folder, "approve", "coverr", "cover:3", "9", "weir:1", "boat:1@4", "boat:1")
    texts = [f"{problem.found}: {problem.message}" for problem in raised.value.problems]
    assert texts[0] == "coverr: no row has this id or number; did you mean cover?"
    assert len(texts) == 5
    assert texts[4].startswith("weir:1: ")
    assert "only an image can be approved" in texts[4]


def test_a_folder_of_an_earlier_version_accepts_decisions(tmp_path, sim):
    """The folder has no review record and no version column."""
    source = write_csv(tmp_path / "book.csv", BOOK[:1])
    go(source, sim)
    review(tmp_path / "out", "approve", "cover:1")
    assert (
        read_history(tmp_path / "out" / LEDGER).reviews.approved(
            next(iter(prepare_plan(load_settings_to_continue(tmp_path / "out", {}), today=TODAY).index))[0], 2
        )
        == 1
    )


def test_accepting_replaces_refused_samples_up_to_the_bound(tmp_path, sim):
    """A row that is refused each time stops at the bound and is listed; a row with enough images is not."""
    rows = [{"id": "good", "prompt": "a fox"}, {"id": "bad", "prompt": "no [[sim:blocked_prompt]]"}]
    source = write_csv(tmp_path / "book.csv", rows)
    ran, prompts = sent(sim, lambda: go(source, sim, accept=2, max_tries=5))
    assert Counter(prompts) == {"a fox": 2, "no [[sim:blocked_prompt]]": 5}
    assert [str(row) for row in ran.summary.short] == ["row 2 (bad): 0 of 2 after 5 samples"]
    assert ran.summary.exit_code == 3
    assert len(ran.rows) == 7
    assert sent(sim, lambda: go(source, sim, accept=2, max_tries=5))[1] == []
    assert audit(tmp_path / "out").clean


def test_a_rejected_sample_is_replaced_with_accept(tmp_path, sim):
    """The refused and rejected ones are no failures once the row has enough others."""
    source, folder = write_csv(tmp_path / "book.csv", [{"id": "fox", "prompt": "a fox"}]), tmp_path / "out"
    assert go(source, sim, accept=2).summary.exit_code == 0
    review(folder, "reject", "fox:1")
    assert run_status(folder).short[0].missing == 1
    ran, prompts = sent(sim, lambda: carry_out(load_settings_to_continue(folder, {})))
    assert (len(prompts), ran.summary.exit_code, len(ran.rows)) == (1, 0, 3)
    review(folder, None, "fox:1")  # nothing leaves the tables
    assert len(FinishedRun(run_status(folder), folder).rows) == 3


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["approve", "reject", "redo", None]), st.sampled_from(["r1:1", "r1:2", "r2:1"])),
        st.tuples(st.just("run"), st.sampled_from([None, 0, 1])),
        st.tuples(st.just("run --redo"), st.sampled_from([None, 0, 1])),
        st.tuples(st.just("run --retry"), st.none()),
        st.tuples(st.just("run --upgrade"), st.none()),
    ),
    min_size=2,
    max_size=9,
)
_CHOSEN = {
    "run": {},
    "run --redo": {"redo": True},
    "run --retry": {"retry": ("failed", "missing", "filtered", "unknown")},
    "run --upgrade": {"upgrade": "2K"},
}


class Book:
    """A run of two rows, with the images that may have been paid for and the files that must not change."""

    def __init__(self, home, sim):
        rows = [{"id": f"r{n}", "prompt": f"{n}", "samples": 2} for n in (1, 2)]
        self.source, self.folder, self.sim = write_csv(home / "book.csv", rows), home / "out", sim
        _, prompts = sent(sim, lambda: go(self.source, sim))
        self.paid = self.allowed = len(prompts)
        self.approved = {}

    def take(self, kind, argument):
        """Take one step."""
        if kind in _CHOSEN:
            chosen = load_settings_to_continue(self.folder, _CHOSEN[kind])
            self.allowed += len(self.approved) * (kind == "run --upgrade")
            self.paid += len(sent(self.sim, lambda: carry_out(chosen, kill_after=argument))[1])
            before = dict(self.approved)
            self.read_approved()
            assert self.approved == before
        else:
            changes = review(self.folder, kind, argument)
            self.allowed += len(changes.decisions) * (kind == "redo")
            self.read_approved()

    def read_approved(self):
        """Note which file stands for each approved sample."""
        history = read_history(self.folder / LEDGER)
        approved = [key for key in history.reviews.reviewed() if history.reviews.is_approved(*key)]
        self.approved = {key: history.details(*key)[0].file for key in approved}


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_no_sequence_of_runs_and_decisions_pays_twice_or_changes_a_file(steps, sim, tmp_path_factory):
    """Each redo mark is paid for once at most, and every version is found in the ledger and on disk."""
    book = Book(tmp_path_factory.mktemp("laws"), sim)
    before = images(book.folder)
    for step in steps:
        book.take(*step)
        assert book.paid <= book.allowed
        after = images(book.folder)
        assert after.items() >= before.items()
        before = after
    book.take("run", None)
    assert len(images(book.folder)) == book.paid
    assert audit(book.folder).clean
    history = read_history(book.folder / LEDGER)
    for base, number in history.reviews.reviewed():
        for version in history.reviews.versions(base, number):
            details = history.recorded_details(version.key, number)
            assert details is None or (book.folder / details[0].file).is_file()


def test_an_edited_row_keeps_approved_replacements_with_accept(tmp_path, sim):
    """A sample beyond the wanted number is in the tables like any other."""
    source, folder = write_csv(tmp_path / "book.csv", [{"id": "fox", "prompt": "a fox"}]), tmp_path / "out"
    go(source, sim, accept=1, max_tries=4)
    review(folder, "reject", "fox:1")
    go(source, sim, accept=1, max_tries=4)
    review(folder, "approve", "fox:2")
    write_csv(source, [{"id": "fox", "prompt": "a vixen"}])
    ran, prompts = sent(sim, lambda: go(source, sim, accept=1, max_tries=4))
    assert [(row["sample"], row["review"], row["prompt"]) for row in ran.rows if row["review"]] == [
        (2, "approved", "a fox")
    ]
    assert prompts == []  # the row has what is wanted


def test_one_sample_of_a_request_with_several_is_made_again_alone(tmp_path, sim):
    """Samples that share a request have the same key in review.csv; the line's sample number distinguishes them."""
    source, folder = write_csv(tmp_path / "book.csv", [{"id": "fox", "prompt": "a fox"}]), tmp_path / "out"
    chosen = {"model": "imagen-4.0-generate-001", "samples": 4}
    rows = go(source, sim, **chosen).rows
    assert len({row["key"] for row in rows}) == 1
    lines = [Decision(row=9, sample=n, key=rows[0]["key"], decision=d) for n, d in ((3, "redo"), (2, "approve"))]
    with (folder / "review.csv").open("w", newline="", encoding="utf-8-sig") as text:
        write_review(lines, text)
    before = len(sim.requests)
    ran = go(source, sim, redo=True, **chosen)
    [request] = sim.requests[before:]
    assert json.loads(request.body)["parameters"]["sampleCount"] == 1
    assert [(row["version"], row["review"]) for row in ran.rows] == [(1, None), (1, "approved"), (2, None), (1, None)]
    assert audit(folder).clean


def test_a_line_without_a_key_is_refused_where_its_id_is_that_of_another_row(book, sim):
    """Rows may have moved since the file was written: nothing is decided about the wrong image."""
    folder = book.parent / "out"
    (folder / "review.csv").write_text("row,id,sample,decision\n1,boat,1,approve\n")
    with pytest.raises(InputInvalid) as raised:
        apply_review(str(folder))
    assert "row 1 has the id 'cover', not 'boat'" in raised.value.problems[0].message
    (folder / "review.csv").write_text("row,id,sample,decision\n1,cover,1,approve\n2,,1,approve\n")
    assert len(apply_review(str(folder)).decisions) == 2


def test_the_advice_about_a_lost_approved_image_names_exactly_that_image(book, sim):
    """Its siblings stay approved."""
    folder = book.parent / "out"
    review(folder, "approve", "cover")
    lost = by_name(go(book, sim))["cover", 1]
    (folder / lost["file"]).unlink()
    steps = go(book, sim).summary.next_steps
    [command] = [step.command for step in steps if "review clear" in step.command]
    assert command.endswith(" 1:1@1")


def test_the_audit_of_a_lost_approved_image_offers_to_make_nothing_again(book, sim):
    """A repair would change nothing: only a person can put the file or the approval back."""
    folder = book.parent / "out"
    review(folder, "approve", "cover:1")
    (folder / by_name(go(book, sim))["cover", 1]["file"]).unlink()
    go(book, sim)
    report = audit(folder)
    [finding] = report.findings
    assert finding.locked
    assert "approved and never made again" in finding.detail
    assert not report.lost
    assert not report.needs_repair


def test_the_advice_about_a_refused_redo_names_the_sample_that_was_marked(book, sim):
    """Not the first sample of its row, which would be paid for as well."""
    folder = book.parent / "out"
    review(folder, "redo", "cover:2", prompt="a cover [[sim:blocked_prompt]]")
    steps = go(book, sim, redo=True).summary.next_steps
    [command] = [step.command for step in steps if "review redo" in step.command]
    assert " 1:2 --prompt " in command
