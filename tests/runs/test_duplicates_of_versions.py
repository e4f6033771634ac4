"""The warning `duplicate_bytes` is about the version of a sample that counts."""

import pytest

from tests.support.reviewed_runs import go, review
from tests.support.runs import write_csv


@pytest.fixture
def source(tmp_path):
    """Two rows."""
    return write_csv(tmp_path / "p.csv", [{"id": "fox", "prompt": "a fox"}, {"id": "owl", "prompt": "an owl"}])


def warnings_of(ran):
    """The warnings by id."""
    return {row["id"]: row["warnings"] for row in ran.rows}


def test_a_version_with_the_image_of_another_row_is_found(source, sim):
    """Both have it."""
    folder = go(source, sim).folder
    review(folder, "redo", "owl", prompt="a fox")
    ran = go(source, sim, redo=True)
    assert ran.rows[0]["sha256"] == ran.rows[1]["sha256"]
    assert warnings_of(ran) == {"fox": "duplicate_bytes", "owl": "duplicate_bytes"}


def test_a_version_is_not_taken_for_the_one_before_it(source, sim):
    """Version 1 of the second row was a duplicate; version 2 is not."""
    write_csv(source, [{"id": "fox", "prompt": "a fox", "seed": ""}, {"id": "owl", "prompt": "a fox", "seed": ""}])
    ran = go(source, sim)
    assert warnings_of(ran) == {"fox": "duplicate_bytes", "owl": "duplicate_bytes"}
    review(ran.folder, "redo", "owl", prompt="an owl")
    assert warnings_of(go(source, sim, redo=True))["owl"] is None
