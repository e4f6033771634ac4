"""Tests that the gallery shows the newest image of a sample with its history, and the decisions of the ledger."""

import pytest

from imagen_batch.review import items_from_manifest
from imagen_batch.review.review_csv import Decision, write_review
from imagen_batch.simulator import Simulator
from tests.runs.test_redo import BOOK, go, review
from tests.support.runs import write_csv


@pytest.fixture(scope="module")
def sim():
    """A simulator."""
    with Simulator() as running:
        yield running


@pytest.fixture
def book(tmp_path, sim):
    """A finished run of three rows, one of them refused."""
    source = write_csv(tmp_path / "book.csv", BOOK)
    go(source, sim)
    return source


def items(folder, *decisions):
    """Return the items by id and sample."""
    return {(item.id, item.sample): item for item in items_from_manifest(folder, decisions=decisions)}


def test_an_item_has_its_earlier_versions(book, sim):
    """Each has the prompt that it was made from and the decision about it."""
    folder = book.parent / "out"
    first = items(folder)["boat", 1]
    review(folder, "redo", "boat:1", prompt="a boat at night", note="darker")
    assert (items(folder)["boat", 1].edited_prompt, items(folder)["boat", 1].note) == ("a boat at night", "darker")
    go(book, sim, redo=True)
    item = items(folder)["boat", 1]
    assert (item.version, item.prompt, item.decision) == (2, "a boat at night", None)
    [earlier] = item.earlier
    assert (earlier.version, earlier.file, earlier.prompt) == (1, first.file, "a boat")
    assert (earlier.decision, earlier.note) == ("redo", "darker")


def test_a_larger_version_of_an_approved_image_is_shown_for_a_decision(book, sim):
    """The manifest keeps the approved image until then."""
    folder = book.parent / "out"
    review(folder, "approve", "cover:1")
    approved = items(folder)["cover", 1]
    go(book, sim, upgrade="2K")
    item = items(folder)["cover", 1]
    assert (item.version, item.width, item.decision) == (2, 2048, None)
    assert [(each.file, each.decision) for each in item.earlier] == [(approved.file, "approve")]
    review(folder, "reject", "cover:1")
    assert items(folder)["cover", 1].decision == "reject"


def test_a_line_of_review_csv_that_was_applied_does_not_hide_a_later_decision(book, sim):
    """A line that was not applied yet does hide it."""
    folder = book.parent / "out"
    line = Decision(row=1, sample=1, decision="approve")
    with (folder / "review.csv").open("w", newline="", encoding="utf-8-sig") as text:
        write_review([line], text)
    go(book, sim, redo=True)
    review(folder, "reject", "cover:1")
    assert items(folder, line)["cover", 1].decision == "reject"
    assert items(folder, Decision(row=1, sample=1, decision="redo"))["cover", 1].decision == "redo"
