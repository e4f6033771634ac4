"""The input is looked at once, and what was seen then holds to the end."""

import pytest

from imagen_batch.errors import SettingsInvalid
from imagen_batch.planning.keys import RowKeys
from imagen_batch.planning.pending import count_pending
from imagen_batch.planning.plan import make_plan
from imagen_batch.settings import validated
from tests.support.runs import TODAY, prompts, write_csv

IMAGEN = "imagen-4.0-generate-001"


def _examined(source, **chosen):
    asked = {"prompts": str(source), "out": str(source.parent / "out"), "provider": "simulator", **chosen}
    return make_plan(validated(asked), today=TODAY)


def test_each_row_has_the_key_of_its_content(tmp_path):
    """Equal rows are variants, each with a key of its own; whoever counts anew finds the same."""
    rows = [{"prompt": text, "samples": count} for text, count in (("a", 1), ("b", 3), ("a", 2), ("a", 1))]
    plan = _examined(write_csv(tmp_path / "prompts.csv", rows), model=IMAGEN)
    identities = RowKeys("simulator")
    anew = [
        (identities.base_key(model=one.model.id, prompt=one.prompt, options=one.options), one.samples)
        for one in plan.orders()
    ]
    assert list(plan.asked) == anew
    assert len(set(anew)) == 4
    assert [plan.asked.per_request(row) for row in range(1, 5)] == [4] * 4


def test_rows_beyond_the_limit_are_known_and_not_asked_for(tmp_path):
    """Neither now nor by whoever asks what is left; the tables have them all the same."""
    plan = _examined(prompts(tmp_path, "a", "b", "c"), limit=2)
    assert len(list(plan.asked)) == plan.rows == 3
    assert plan.wanted_rows == plan.requests == count_pending(plan).requests == 2


def test_a_file_that_is_edited_while_it_is_read_is_refused(tmp_path):
    """Its rows would be sent under the keys of others."""
    source = prompts(tmp_path, "a", "b")
    plan = _examined(source)
    prompts(tmp_path, "a", "c", "b")
    copy = tmp_path / "copy.csv"
    copy.write_bytes(source.read_bytes())
    with pytest.raises(SettingsInvalid, match="changed while it was read"):
        plan.read_from(copy, plan.settings)


def test_the_run_s_own_copy_may_be_written_anew(tmp_path):
    """So that a run can be repaired from its folder alone."""
    source = prompts(tmp_path, "a", "b")
    plan = _examined(source)
    prompts(tmp_path, "a", "b")
    plan.read_from(source, plan.settings)
    assert [order.prompt for order in plan.orders()] == ["a", "b"]
