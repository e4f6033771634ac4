"""Tests that the input is checked once, and that a run sends only rows that were checked."""

import pytest

from imagen_batch.errors import SettingsInvalid
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.planning.keys import RowKeys
from imagen_batch.planning.pending import count_pending
from imagen_batch.settings import make_settings
from tests.support.runs import TODAY, prompts, write_csv

IMAGEN = "imagen-4.0-generate-001"


def _plan(source, **chosen):
    values = {"prompts": str(source), "out": str(source.parent / "out"), "provider": "simulator", **chosen}
    return make_plan(make_settings(values), today=TODAY)


def test_each_row_has_the_key_of_its_content(tmp_path):
    """Equal rows are variants, each with its own key; a second count finds the same keys."""
    rows = [{"prompt": text, "samples": count} for text, count in (("a", 1), ("b", 3), ("a", 2), ("a", 1))]
    plan = _plan(write_csv(tmp_path / "prompts.csv", rows), model=IMAGEN)
    row_keys = RowKeys("simulator")
    expected = [
        (row_keys.row_key(model=row.model.id, prompt=row.prompt, options=row.options), row.samples)
        for row in plan.planned_rows()
    ]
    assert list(plan.index) == expected
    assert len(set(expected)) == 4
    assert [plan.index.per_request(row) for row in range(1, 5)] == [4] * 4


def test_rows_beyond_the_limit_are_in_the_plan_and_not_selected(tmp_path):
    """Pending rows do not include them, but the tables contain them."""
    plan = _plan(prompts(tmp_path, "a", "b", "c"), limit=2)
    assert len(list(plan.index)) == plan.rows == 3
    assert plan.selected_rows == plan.requests == count_pending(plan).requests == 2


def test_a_file_that_is_edited_while_it_is_read_is_refused(tmp_path):
    """Its rows would be sent under the keys of other rows."""
    source = prompts(tmp_path, "a", "b")
    plan = _plan(source)
    prompts(tmp_path, "a", "c", "b")
    copy = tmp_path / "copy.csv"
    copy.write_bytes(source.read_bytes())
    with pytest.raises(SettingsInvalid, match="changed while it was read"):
        plan.reading_copy(copy, plan.settings)


def test_the_run_s_own_copy_may_be_written_again(tmp_path):
    """A run can be repaired from its folder alone."""
    source = prompts(tmp_path, "a", "b")
    plan = _plan(source)
    prompts(tmp_path, "a", "b")
    copied = plan.reading_copy(source, plan.settings)
    assert [row.prompt for row in copied.planned_rows()] == ["a", "b"]
