"""Tests that prompt and style read like a sentence, and that images of the old text are not made again."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.audit.audit import audit
from imagen_batch.planning import resolve_rows as plan
from imagen_batch.planning.add_style import with_comma, with_style
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.planning.keys import RowKeys
from imagen_batch.planning.pending import count_pending
from imagen_batch.records import Options
from imagen_batch.runs.state_from_folder import run_status
from imagen_batch.settings import make_settings
from imagen_batch.simulator import Simulator, read_stamp
from tests.support.runs import TODAY, run, write_csv


@pytest.mark.parametrize(
    ("prompt", "sent"),
    [
        ("A fox", "A fox, ink"),
        ("A fox.", "A fox. ink"),
        ("A fox!", "A fox! ink"),
        ('He says "Run."', 'He says "Run." ink'),
        ("A fox,", "A fox, ink"),
        ("狐。", "狐。 ink"),
        ("A fox (red)", "A fox (red), ink"),
        ("In this style:", "In this style: ink"),
    ],
)
def test_a_style_follows_punctuation_without_a_comma(prompt, sent):
    """No prompt contains ".,"."""
    assert with_style(prompt, "ink") == sent
    assert with_style(prompt, None) == with_style(prompt, "") == prompt


def _earlier_version():
    """Patch the planner to put a comma after every prompt, as an earlier version did."""
    return patch.object(plan, "with_style", lambda prompt, style: with_comma(prompt, style) if style else prompt)


ROWS = [
    {"prompt": "A fox.", "style": "ink"},
    {"prompt": "An owl", "style": "ink"},
    {"prompt": "A fox.", "style": "ink"},
    {"prompt": "A fox., ink", "style": ""},
]


def test_images_of_an_earlier_version_are_not_bought_again(tmp_path, sim):
    """They keep their text and keys; only a new row gets the better text."""
    source = write_csv(tmp_path / "p.csv", ROWS)
    with _earlier_version():
        before = run(source, sim).rows
    ran = run(source, sim)
    assert len(sim.requests) == 4
    assert ran.rows == before
    assert run_status(ran.folder).counts["ok"] == 4
    assert audit(ran.folder).clean
    more = write_csv(tmp_path / "p.csv", [*ROWS, {"prompt": "A hen.", "style": "ink"}])
    ran = run(more, sim)
    assert len(sim.requests) == 5
    assert ran.rows[4]["prompt"] == "A hen. ink"
    for row in ran.rows:
        assert read_stamp(ran.image(row))["prompt"] == row["prompt"]


def test_a_refusal_of_an_earlier_version_is_tried_again_under_its_key(tmp_path):
    """A row keeps one text in every version."""
    with Simulator(faults=[{"match": "*", "fault": "finish_IMAGE_SAFETY", "times": 1}]) as sim:
        source = write_csv(tmp_path / "p.csv", ROWS[:1])
        with _earlier_version():
            first = run(source, sim)
        assert first.statuses == ["filtered"]
        key = first.rows[0]["key"]
        assert run(source, sim).statuses == ["filtered"]
        again = run(source, sim, retry="filtered")
    assert again.statuses == ["ok"]
    assert (again.rows[0]["key"], again.rows[0]["prompt"]) == (key, "A fox., ink")


def test_a_fresh_folder_gets_the_better_text_and_keeps_it(tmp_path, sim):
    """This holds even if a row contains the exact text of an earlier version."""
    source = write_csv(tmp_path / "p.csv", ROWS)
    first = run(source, sim)
    assert [row["prompt"] for row in first.rows] == ["A fox. ink", "An owl, ink", "A fox. ink", "A fox., ink"]
    before = first.rows
    assert run(source, sim).rows == before
    assert len(sim.requests) == 4


def test_a_plan_of_an_old_folder_counts_its_images_as_made(tmp_path, sim):
    """Nothing is pending."""
    source = write_csv(tmp_path / "p.csv", ROWS)
    with _earlier_version():
        ran = run(source, sim)
    settings = make_settings({"prompts": str(source), "out": str(ran.folder), "provider": "simulator"})
    assert count_pending(make_plan(settings, today=TODAY)).samples == 0


@given(st.lists(st.tuples(st.sampled_from(["a", "a.", "a., i"]), st.sampled_from(["", "i"])), max_size=12))
def test_the_earlier_keys_are_those_of_the_earlier_version(rows):
    """This holds for every row, whatever precedes it; a key without a style is unchanged."""
    old, new = RowKeys("gemini"), RowKeys("gemini")
    for prompt, style in rows:
        earlier = with_comma(prompt, style) if style else prompt
        sent = with_style(prompt, style)
        was = old.row_key(model="m", prompt=earlier, options=Options())
        base, alias = new.row_keys(
            model="m", prompt=sent, options=Options(), earlier_prompt=None if sent == earlier else earlier
        )
        assert (alias or base) == was
