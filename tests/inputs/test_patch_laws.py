"""Tests that for any edit of failures.csv missing images are paid for once, and existing ones do not change."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagen_batch.audit.audit import audit
from imagen_batch.inputs.changes import Changes, compare_inputs
from imagen_batch.inputs.reconcile_with_folder import prepare_plan
from imagen_batch.inputs.stored_input_and_settings import load_settings_to_continue
from imagen_batch.runs.run import open_run
from imagen_batch.settings import make_settings
from imagen_batch.simulator import Simulator, read_stamp
from tests.support.runs import TODAY, FinishedRun, write_csv

TEXTS = st.sampled_from(["a fox", "a mole", "a rat"])  # few: equal rows are counted, and trade places
REFUSED = " [[sim:blocked_prompt]]"
ROWS = st.lists(st.tuples(TEXTS, st.booleans(), st.integers(1, 2)), min_size=1, max_size=5)
EDITS = st.lists(st.tuples(TEXTS, st.booleans(), st.booleans()), min_size=5, max_size=5)


@pytest.fixture(scope="module")
def sim():
    """A simulator without faults."""
    with Simulator() as simulator:
        yield simulator


def run_with(chosen, folder):
    """Run with these settings."""
    with open_run(prepare_plan(chosen, today=TODAY), env={}) as current:
        for shard in current.shards():
            current.generate_shard(shard)
        return FinishedRun(current.finish(), folder)


def test_rows_with_ends_of_lines_of_every_kind_are_patched(sim, tmp_path):
    """A lone carriage return in a cell of the stored input ends no row of the patched one."""
    notes = ["a\rb", "a\nb", "a\r\nb", "\r"]
    lines = [{"prompt": f"a{note}fox" + REFUSED, "note": note} for note in notes]
    known = {"out": str(tmp_path / "out"), "provider": "simulator", "base_url": sim.url}
    source = write_csv(tmp_path / "book.csv", lines)
    before = run_with(make_settings({"prompts": str(source), **known}), tmp_path / "out")
    patch = [{**row, "prompt": row["prompt"].removesuffix(REFUSED)} for row in before.failures[1:]]
    write_csv(tmp_path / "patch.csv", patch)
    after = run_with(make_settings({"prompts": str(tmp_path / "patch.csv"), **known}), tmp_path / "out")
    assert [row["status"] for row in after.rows] == ["filtered", "ok", "ok", "ok"]
    assert [row["note"] for row in after.rows] == notes


@settings(max_examples=12, deadline=None)
@given(rows=ROWS, edits=EDITS)
def test_a_patch_makes_the_missing_images_and_changes_nothing_else(sim, rows, edits):
    """Some lines are edited, some fail again, some are left out; then the run is resumed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "out"
        lines = [{"prompt": text + REFUSED * refused, "n": count} for text, refused, count in rows]
        source = write_csv(Path(name) / "book.csv", lines)
        known = {"out": str(folder), "provider": "simulator", "base_url": sim.url}
        before = run_with(make_settings({"prompts": str(source), **known}), folder)
        assert audit(folder).clean
        rows_before = {(row["row"], row["sample"]): row for row in before.rows}
        failures = before.failures
        if not failures:
            return
        billed_before = sim.bill.total
        patch, named = [], []
        for line, (text, refused, left_out) in zip(failures, edits, strict=False):
            if not left_out:
                patch.append({**line, "prompt": text + REFUSED * refused})
                named += [] if refused else [int(line["imagen_batch_row"].split("-")[1])]
        if not patch:
            return
        write_csv(folder / "failures.csv", patch)
        after = run_with(make_settings({"prompts": str(folder / "failures.csv")}), folder)
        rows_after = after.rows
        missing = [name for name, row in rows_before.items() if row["status"] != "ok" and name[0] in named]
        assert sim.bill.total - billed_before == len(missing)
        assert [(row["row"], row["sample"]) for row in rows_after] == list(rows_before)
        files = [row["file"] for row in rows_after if row["file"]]
        assert len(files) == len(set(files))
        for row in rows_after:
            old = rows_before[row["row"], row["sample"]]
            if old["status"] == "ok":
                assert (row["file"], row["sha256"], row["prompt"]) == (old["file"], old["sha256"], old["prompt"])
            if row["status"] == "ok":
                assert read_stamp(after.image(row))["prompt"] == row["prompt"]
        assert audit(folder).clean
        run_with(load_settings_to_continue(folder, {}), folder)
        assert [row["file"] for row in after.rows] == [row["file"] for row in rows_after]
        assert sim.bill.total - billed_before == len(missing)


class FakePlan:
    """A plan whose rows have only keys."""

    moves = ()

    def __init__(self, keys):
        self.index = [(f"{key:064x}", 1) for key in keys]


class FakeHistory:
    """A history in which every row has its image."""

    def status(self, _base, _number):
        return "ok"


@given(
    before=st.lists(st.integers(0, 50), unique=True, max_size=20),
    after=st.lists(st.integers(0, 50), unique=True, max_size=20),
)
def test_the_counts_of_new_changed_and_gone_rows_add_up(before, after):
    """Unchanged rows are not counted."""
    changes = compare_inputs(FakePlan(before), FakeHistory(), FakePlan(after))
    both = set(before) & set(after)
    assert changes.new + changes.changed == len(after) - len(both)
    assert changes.gone + changes.changed == changes.images == len(before) - len(both)
    assert compare_inputs(FakePlan(before), FakeHistory(), FakePlan(before)) == Changes(0, 0, 0, 0)
