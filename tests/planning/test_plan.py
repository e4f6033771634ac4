"""The input is looked at once, and what was seen then holds to the end."""

import pytest

from imagen_batch.errors import SettingsInvalid
from imagen_batch.planning.keys import Identities
from imagen_batch.planning.pending import remaining
from imagen_batch.planning.plan import examine
from imagen_batch.settings import validated
from tests.support.runs import TODAY, prompts, write_csv

IMAGEN = "imagen-4.0-generate-001"


def _examined(source, **chosen):
    asked = {"prompts": str(source), "out": str(source.parent / "out"), "provider": "simulator", **chosen}
    return examine(validated(asked), today=TODAY)


def test_each_row_has_the_key_of_its_content(tmp_path):
    """Equal rows are variants, each with a key of its own; whoever counts anew finds the same."""
    rows = [{"prompt": text, "samples": count} for text, count in (("a", 1), ("b", 3), ("a", 2), ("a", 1))]
    examined = _examined(write_csv(tmp_path / "prompts.csv", rows), model=IMAGEN)
    identities = Identities("simulator")
    anew = [
        (identities.base_key(model=one.model.id, prompt=one.prompt, options=one.options), one.samples)
        for one in examined.orders()
    ]
    assert list(examined.asked) == anew
    assert len(set(anew)) == 4
    assert [examined.asked.per_request(row) for row in range(1, 5)] == [4] * 4


def test_rows_beyond_the_limit_are_known_and_not_asked_for(tmp_path):
    """Neither now nor by whoever asks what is left; the tables have them all the same."""
    examined = _examined(prompts(tmp_path, "a", "b", "c"), limit=2)
    assert len(list(examined.asked)) == examined.rows == 3
    assert examined.wanted_rows == examined.requests == remaining(examined).requests == 2


def test_a_file_that_is_edited_while_it_is_read_is_refused(tmp_path):
    """Its rows would be sent under the keys of others."""
    source = prompts(tmp_path, "a", "b")
    examined = _examined(source)
    prompts(tmp_path, "a", "c", "b")
    copy = tmp_path / "copy.csv"
    copy.write_bytes(source.read_bytes())
    with pytest.raises(SettingsInvalid, match="changed while it was read"):
        examined.read_from(copy, examined.settings)


def test_the_run_s_own_copy_may_be_written_anew(tmp_path):
    """So that a run can be repaired from its folder alone."""
    source = prompts(tmp_path, "a", "b")
    examined = _examined(source)
    prompts(tmp_path, "a", "b")
    examined.read_from(source, examined.settings)
    assert [order.prompt for order in examined.orders()] == ["a", "b"]
