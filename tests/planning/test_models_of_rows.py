"""Tests which model a row gets, and how an unknown model is reported."""

import pytest

from imagen_batch.errors import InputInvalid, SettingsInvalid
from tests.support.plans import small_plan
from tests.support.runs import IMAGEN


def test_a_known_model_keeps_its_facts_where_a_dialect_is_given(tmp_path):
    """The dialect is for models that are not in the catalogue."""
    plan = small_plan(tmp_path, [{"prompt": "a", "samples": 4}], dialect="generate_content")
    ((model_id, model),) = plan.models().items()
    assert (model_id, model.dialect, plan.requests) == (IMAGEN, "predict", 1)
    assert plan.totals.unpriced == 0


def test_an_unknown_model_of_a_row_is_reported_with_its_line(tmp_path):
    """The message suggests the model that was probably meant."""
    rows = [{"prompt": "a", "model": ""}, {"prompt": "b", "model": IMAGEN.replace("generate", "generaet")}]
    with pytest.raises(InputInvalid) as caught:
        small_plan(tmp_path, rows)
    (problem,) = caught.value.problems
    assert (problem.line, problem.column, problem.found) == (3, "model", rows[1]["model"])
    assert f"did you mean {IMAGEN}" in problem.message


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_an_unknown_model_of_the_run_is_reported_as_a_setting(tmp_path, rows):
    """It is reported once, however many rows there are."""
    with pytest.raises(SettingsInvalid) as caught:
        small_plan(tmp_path, [{"prompt": "a"}] * rows, model="no-such-model")
    assert str(caught.value).count("no-such-model") == 1


def test_a_name_that_can_not_be_part_of_a_url_is_not_a_model(tmp_path):
    """A dialect does not change that."""
    with pytest.raises(SettingsInvalid, match="unknown model"):
        small_plan(tmp_path, [{"prompt": "a"}], model="../secret", dialect="predict")
