"""Tests that the safety ratings of both services are lists of structs in Parquet."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from imagen_batch.audit.audit import audit
from imagen_batch.records import SampleResult
from imagen_batch.reports.tables.columns.safety_ratings import safety_ratings
from imagen_batch.reports.tables.manifest import LATER_COLUMNS
from imagen_batch.simulator import Simulator
from tests.support.runs import IMAGEN, prompts, run

CATEGORY = {"categories": ["a", "b"], "scores": [0.5, 1]}
RATING = {"category": "a", "probabilityScore": 0.25, "blocked": True, "severity": "LOW", "severityScore": 1}
EMPTY = {
    "category": None,
    "probability": None,
    "score": None,
    "severity": None,
    "severity_score": None,
    "blocked": None,
}


def test_a_list_of_ratings_has_an_entry_for_each(tmp_path: Path) -> None:
    """The text stays beside it."""
    with Simulator() as sim:
        done = run(prompts(tmp_path, "a mole"), sim)
    (row,) = done.rows
    assert row["safetyAttributes"].startswith("[")
    assert len(row["safety_ratings"]) >= 4
    assert row["safety_ratings"][0]["category"].startswith("HARM_CATEGORY_")
    assert row["safety_ratings"][0]["probability"] == "NEGLIGIBLE"
    assert audit(done.folder).clean
    assert "safety_ratings" in LATER_COLUMNS
    assert "safety_ratings" not in (done.folder / "manifest.csv").read_text("utf-8").splitlines()[0]


def test_imagens_two_lists_become_one(tmp_path: Path) -> None:
    """Each category has its score."""
    with Simulator() as sim:
        done = run(prompts(tmp_path, "a mole"), sim, model=IMAGEN, parameters={"include_safety_attributes": True})
    ratings = done.rows[0]["safety_ratings"]
    assert ratings
    assert all(rating["category"] and 0 <= rating["score"] <= 1 for rating in ratings)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        (json.dumps(CATEGORY), [{**EMPTY, "category": "a", "score": 0.5}, {**EMPTY, "category": "b", "score": 1.0}]),
        ('{"categories":["a"],"scores":[]}', None),
        (json.dumps([RATING]),
         [{**EMPTY, "category": "a", "score": 0.25, "blocked": True, "severity": "LOW", "severity_score": 1.0}]),
        ('[{"category":7,"blocked":"yes","probability":["x"]},5,null]', [EMPTY]),
        *((text, None) for text in ("", "[]", "{}", "7", "null", "not JSON", "[1,2]", "[" * 2000)),
    ],
)  # fmt: skip
def test_what_a_service_sends_otherwise_is_null(text: str | None, expected: object, tmp_path: Path) -> None:
    """A gateway may send anything; the table is written all the same."""
    found = safety_ratings(SampleResult(1, "ok", safety=text))
    assert (None if found is None else [{**EMPTY, **rating} for rating in found]) == expected


def test_the_column_has_its_type_without_any_rating(tmp_path: Path) -> None:
    """Tables of several runs can be concatenated."""
    with Simulator() as sim:
        done = run(prompts(tmp_path, "a [[sim:bad_request]]"), sim)
    type_ = pq.read_schema(done.folder / "manifest.parquet").field("safety_ratings").type
    assert str(type_).startswith("list<")
    assert done.rows[0]["safety_ratings"] is None
