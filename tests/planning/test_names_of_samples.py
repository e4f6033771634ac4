"""The user's names for images: one for each sample, and a code where two rows have the same."""

import pytest

from imagen_batch.errors import SettingsInvalid
from tests.support.plans import small_plan


def _names(plan):
    return [
        [planned.image_name(number, "ab" * 32, "cd" * 32) for number in range(1, planned.samples + 1)]
        for planned in plan.planned_rows()
    ]


def test_a_template_with_the_sample_number_names_each_sample(tmp_path):
    """One, two and three of them; nothing is added to the names."""
    rows = [{"prompt": letter, "samples": count} for count, letter in enumerate("abc", 1)]
    plan = small_plan(tmp_path, rows, name_template="{row}-{sample}")
    assert _names(plan) == [["images/1-1"], ["images/2-1", "images/2-2"], ["images/3-1", "images/3-2", "images/3-3"]]
    assert plan.names == ["images/1-1", "images/2-1", "images/3-1"]
    assert plan.row_warnings == ()


def test_a_template_without_the_sample_number_gets_one(tmp_path):
    """Where a row has several samples."""
    rows = [{"prompt": "a", "samples": 1}, {"prompt": "b", "samples": 2}]
    assert _names(small_plan(tmp_path, rows, name_template="{row:03}-{slug}")) == [
        ["images/001-a"],
        ["images/002-b_01", "images/002-b_02"],
    ]


def test_the_second_row_of_a_name_gets_a_code(tmp_path):
    """Part of its row key, and the plan warns about it once."""
    rows = [{"prompt": letter, "filename": "cover"} for letter in "abc"]
    plan = small_plan(tmp_path, rows)
    assert _names(plan) == [["images/cover"], ["images/cover_cdcdcdcd"], ["images/cover_cdcdcdcd"]]
    (warning,) = plan.row_warnings
    assert warning.startswith("file name: an earlier row has the same one")
    assert warning.endswith("(2 rows, first in line 3)")


def test_one_sample_in_common_is_enough_for_a_code(tmp_path):
    """The first row's second sample has the name that the second row asks for."""
    rows = [
        {"prompt": "a", "filename": "cover", "samples": 2},
        {"prompt": "b", "filename": "cover_02", "samples": 1},
    ]
    plan = small_plan(tmp_path, rows)
    assert _names(plan) == [
        ["images/cover_01", "images/cover_02"],
        ["images/cover_02_cdcdcdcd"],
    ]


def test_a_name_that_looks_like_a_part_of_a_split_is_warned_about(tmp_path):
    """Loaders would take it for the part of the data with that name."""
    (warning,) = small_plan(tmp_path, [{"prompt": "a", "filename": "train"}]).row_warnings
    assert warning.startswith("file name: contains 'train'")
    assert small_plan(tmp_path, [{"prompt": "a", "filename": "trainer"}]).row_warnings == ()


def test_a_row_without_a_name_of_its_own_is_named_by_its_number(tmp_path):
    """With the sample and the beginning of the key, also for a single sample."""
    plan = small_plan(tmp_path, [{"prompt": "a"}])
    assert _names(plan) == [["images/000001_01_abababab"]]
    assert not plan.totals.has_names


def test_a_template_with_a_field_that_is_no_column_is_refused(tmp_path):
    """Before any row is read."""
    with pytest.raises(SettingsInvalid, match=r"--name-template: \{chapter\} is not a column here"):
        small_plan(tmp_path, [{"prompt": "a"}], name_template="{chapter}/{row}")
