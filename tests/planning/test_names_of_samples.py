"""Tests the user's names for images: one for each sample, and a code where two rows have the same name."""

import pytest

from imagen_batch.errors import SettingsInvalid
from tests.support.plans import small_plan


def _names(plan):
    return [
        [planned.image_name(number, "ab" * 32, "cd" * 32) for number in range(1, planned.samples + 1)]
        for planned in plan.planned_rows()
    ]


def test_a_template_with_the_sample_number_names_each_sample(tmp_path):
    """Rows have one, two and three samples; nothing is added to the names."""
    rows = [{"prompt": letter, "samples": count} for count, letter in enumerate("abc", 1)]
    plan = small_plan(tmp_path, rows, name_template="{row}-{sample}")
    assert _names(plan) == [["images/1-1"], ["images/2-1", "images/2-2"], ["images/3-1", "images/3-2", "images/3-3"]]
    assert plan.names == ["images/1-1", "images/2-1", "images/3-1"]
    assert plan.row_warnings == ()


def test_a_number_is_added_where_the_template_has_none_and_the_row_has_several_samples(tmp_path):
    """A row with one sample needs no number."""
    rows = [{"prompt": "a", "samples": 1}, {"prompt": "b", "samples": 2}]
    assert _names(small_plan(tmp_path, rows, name_template="{row:03}-{slug}")) == [
        ["images/001-a"],
        ["images/002-b_01", "images/002-b_02"],
    ]


def test_the_second_row_with_a_name_gets_a_code(tmp_path):
    """The code is part of its row key; the plan warns about it once."""
    rows = [{"prompt": letter, "filename": "cover"} for letter in "abc"]
    plan = small_plan(tmp_path, rows)
    assert _names(plan) == [["images/cover"], ["images/cover_cdcdcdcd"], ["images/cover_cdcdcdcd"]]
    (warning,) = plan.row_warnings
    assert warning.startswith("file name: an earlier row has the same one")
    assert warning.endswith("(2 rows, first in line 3)")


def test_a_row_gets_a_code_if_one_of_its_samples_shares_a_name(tmp_path):
    """The first row's second sample has the name that the second row gives."""
    rows = [
        {"prompt": "a", "filename": "cover", "samples": 2},
        {"prompt": "b", "filename": "cover_02", "samples": 1},
    ]
    plan = small_plan(tmp_path, rows)
    assert _names(plan) == [
        ["images/cover_01", "images/cover_02"],
        ["images/cover_02_cdcdcdcd"],
    ]


def test_a_name_with_a_word_that_splits_a_dataset_causes_a_warning(tmp_path):
    """Loaders would take the image for a part of that split."""
    (warning,) = small_plan(tmp_path, [{"prompt": "a", "filename": "train"}]).row_warnings
    assert warning.startswith("file name: contains 'train'")
    assert small_plan(tmp_path, [{"prompt": "a", "filename": "trainer"}]).row_warnings == ()


def test_a_row_without_a_name_of_its_own_is_named_by_its_number(tmp_path):
    """The sample number and the beginning of the key follow, even for a single sample."""
    plan = small_plan(tmp_path, [{"prompt": "a"}])
    assert _names(plan) == [["images/000001_01_abababab"]]
    assert not plan.totals.has_names


def test_a_template_with_a_field_that_is_not_a_column_is_refused(tmp_path):
    """It is refused before any row is read."""
    with pytest.raises(SettingsInvalid, match=r"--name-template: \{chapter\} is not a column here"):
        small_plan(tmp_path, [{"prompt": "a"}], name_template="{chapter}/{row}")


def test_the_names_that_a_template_may_use_are_not_all_listed(tmp_path):
    """A file may have hundreds of columns: the close matches come first."""
    row = {"prompt": "a", "chapter": "1"} | {f"tag_{number:03}": "x" for number in range(200)}
    with pytest.raises(SettingsInvalid) as caught:
        small_plan(tmp_path, [row], name_template="{chaptr}/{row}")
    message = str(caught.value)
    assert "{chaptr} is not a column here; did you mean chapter? The columns are: chapter, " in message
    assert message.endswith(" more columns")
    assert len(message) < 300
