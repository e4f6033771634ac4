"""Tests of which rows the references of a row mean, and of the order in which images have to be made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from imagen_batch.planning.references.row_links import Dependent, KnownIds, Target, link_rows, order_rows
from imagen_batch.records import PromptRow, Reference

IDS = ("fox", "owl", "den", "owl", None)


def _dependent(row: int, *texts: str, of_characters: int = 0, name: str | None = None) -> Dependent:
    facts = {"samples": 1, "plain": b"", "placeholder": "ab" * 32, "room": 1000}
    references = tuple(Reference(text) for text in texts)
    return Dependent(row, row + 1, name, references=references, of_characters=of_characters, **facts)  # type: ignore[arg-type]


def _rows(ids: Sequence[str | None], samples: int | None = None) -> list[PromptRow]:
    return [PromptRow(row=row, line=row + 1, prompt="a", id=name, samples=samples) for row, name in enumerate(ids, 1)]


def _link(*dependents: Dependent, ids: Sequence[str | None] = IDS, **known: Any) -> list[str]:
    """Link the rows; return the messages of the problems."""
    by_row = {each.row: each for each in dependents}
    return [each.message for each in link_rows(by_row, _rows(ids), default_samples=2, known=KnownIds(**known))]


def test_a_reference_means_the_row_with_its_id_at_its_own_position() -> None:
    den = _dependent(3, "style.png", "@fox", "@fox#2")
    assert _link(den) == []
    assert den.targets == {1: Target(1, "fox", None), 2: Target(1, "fox", 2)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@fix", "no row has the id 'fix'"),
        ("@fix", "did you mean fox"),
        ("@owl", "2 rows have the id 'owl' (lines 3, 5)"),
        ("@den", "the row refers to itself"),
        ("@fox#3", "there is no number 3"),
    ],
)
def test_a_reference_that_does_not_mean_one_row_is_a_problem(text: str, message: str) -> None:
    den = _dependent(3, text)
    [found] = _link(den)
    assert message in found
    assert den.targets == {}


def test_the_first_three_rows_with_an_id_are_named() -> None:
    [found] = _link(_dependent(5, "@owl"), ids=("owl",) * 4 + ("den",))
    assert "4 rows have the id 'owl' (lines 2, 3, 4)" in found


def test_a_row_that_draws_the_sheet_of_a_character_is_sent_without_that_sheet_only() -> None:
    fox = _dependent(1, "@fox", "style.png", "@den", "@fox", of_characters=2)
    assert _link(fox) == ["the row refers to itself"], "the first one is the user's own"
    assert [each.text for each in fox.references] == ["@fox", "style.png", "@den"]
    assert (fox.of_characters, fox.targets) == (1, {2: Target(3, "den", None)})


def test_a_sheet_may_be_the_first_reference_of_a_character() -> None:
    fox = _dependent(1, "style.png", "@fox", of_characters=1)
    assert _link(fox) == []
    assert ([each.text for each in fox.references], fox.of_characters) == (["style.png"], 0)


def test_other_rows_keep_all_references_of_characters() -> None:
    den = _dependent(3, "style.png", "@fox", of_characters=1)
    assert _link(den) == []
    assert [each.text for each in den.references] == ["style.png", "@fox"]
    assert (den.of_characters, den.targets) == (1, {1: Target(1, "fox", None)})


def test_in_a_matrix_the_row_with_the_same_ending_is_meant() -> None:
    ids = ("fox-ink-night", "fox-night", "fox", "den-ink-night")
    for known, row in (({"variants": True}, 3), ({}, 3)):
        den = _dependent(4, "@fox", name=ids[3])
        assert _link(den, ids=ids, **known) == []
        assert den.targets[0].row == row
    for left, row in ((ids[:2], 1), (ids[1:2], 1)):
        den = _dependent(4, "@fox", name=ids[3])
        assert _link(den, ids=left, variants=True) == []
        assert den.targets[0] == Target(row, left[0], None)
    assert _link(_dependent(4, "@fox", name=ids[3]), ids=ids[:2])


def test_an_id_of_the_stored_input_is_linked_later() -> None:
    den = _dependent(3, "@bear")
    assert _link(den, stored_ids=frozenset({"bear"})) == []
    assert den.targets == {}


def _order(targets: dict[int, Sequence[int]]) -> tuple[list[int], list[str]]:
    dependents = {row: _dependent(row) for row in targets}
    for row, rows in targets.items():
        dependents[row].targets = {at: Target(target, str(target), None) for at, target in enumerate(rows)}
    ordered, problems = order_rows(dependents)
    return ordered, [each.message.rpartition(": ")[2] for each in problems]


def test_every_row_comes_after_those_that_it_refers_to() -> None:
    ordered, problems = _order({2: [4, 1], 3: [2, 4], 4: [5], 5: [9]})
    assert problems == []
    assert sorted(ordered) == [2, 3, 4, 5]
    assert ordered.index(5) < ordered.index(4) < ordered.index(2) < ordered.index(3)


def test_every_circle_is_one_problem_and_rows_that_only_lead_to_it_are_none() -> None:
    ordered, problems = _order({2: [3], 3: [4], 4: [3], 5: [6], 6: [5], 7: [1]})
    assert ordered == [7]
    assert sorted(problems) == ["3 -> 4 -> 3", "5 -> 6 -> 5"]
