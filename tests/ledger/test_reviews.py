"""Tests of how decisions and further versions of samples are folded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from imagen_batch.ledger.history import History, read_history
from imagen_batch.ledger.parsing import parse
from imagen_batch.ledger.records import KeptMove, OrderedVersion, ReviewedVersion, ReviewRecord, VersionsRecord
from imagen_batch.ledger.reviews import Reviews
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.records import Outcome
from imagen_batch.storage import LEDGER, Folder
from tests.support.factories import ok, request, trace
from tests.support.plans import history_of, record_images, small_plan

BASE, OTHER = "ab" * 32, "cd" * 32


def _key(version: int) -> str:
    return BASE if version == 1 else f"{version:064x}"


@pytest.fixture(name="images")
def _images() -> dict[tuple[str, int], Outcome]:
    """The recorded outcomes."""
    return {}


@pytest.fixture(name="reviews")
def _reviews(images: dict[tuple[str, int], Outcome]) -> Reviews:
    return Reviews(lambda key, number: images.get((key, number)))


def _decide(reviews: Reviews, version: int, decision: Any, **details: Any) -> None:
    reviews.fold(ReviewRecord((ReviewedVersion(BASE, 1, version, decision, **details),)))


def _ordered(version: int, **changes: Any) -> OrderedVersion:
    facts = {"name": "images/a", "prompt": "a fox", "model": "m", "dialect": "predict", "options": {}}
    return OrderedVersion(**{"base": BASE, "number": 1, "version": version, "key": _key(version), **facts, **changes})


def _order(reviews: Reviews, version: int) -> OrderedVersion:
    ordered = _ordered(version)
    reviews.fold(VersionsRecord((ordered,)))
    return ordered


def test_only_a_decision_about_the_approved_version_ends_its_approval(reviews: Reviews) -> None:
    _order(reviews, 2)
    _decide(reviews, 2, "approve")
    _decide(reviews, 1, "reject")
    assert reviews.is_approved(BASE, 1)
    _decide(reviews, 2, "reject")
    assert not reviews.is_approved(BASE, 1)
    assert reviews.is_rejected(BASE, 1), "version 2 has no image, so version 1 stands for the sample"


@pytest.mark.parametrize("decision", ["reject", "redo", None])
def test_every_other_decision_ends_an_approval(reviews: Reviews, decision: str | None) -> None:
    _decide(reviews, 1, "approve")
    assert reviews.approved(BASE, 1) == 1
    _decide(reviews, 1, decision)
    assert (reviews.is_approved(BASE, 1), reviews.approved(BASE, 1)) == (False, None)


def test_the_approved_version_stands_for_the_sample_else_the_newest_image_else_the_newest_sent(
    reviews: Reviews, images: dict[tuple[str, int], Outcome]
) -> None:
    second, third = _order(reviews, 2), _order(reviews, 3)
    assert (reviews.current(BASE, 1), reviews.newest(BASE, 1)) == (None, 1)
    images[second.key, 1] = images[third.key, 1] = "failed"
    assert reviews.current(BASE, 1) == third
    images[BASE, 1] = "ok"
    assert reviews.current(BASE, 1) is None
    images[second.key, 1] = "ok"
    assert (reviews.current(BASE, 1), reviews.newest(BASE, 1)) == (second, 2)
    images[third.key, 1] = "ok"
    _decide(reviews, 2, "approve")
    assert (reviews.current(BASE, 1), reviews.newest(BASE, 1)) == (second, 3)
    _decide(reviews, 1, "approve")
    assert reviews.current(BASE, 1) is None


def test_a_redo_is_marked_until_it_is_ordered_and_ordered_until_it_is_made(
    reviews: Reviews, images: dict[tuple[str, int], Outcome]
) -> None:
    _decide(reviews, 1, "redo", seed=7)
    mark = reviews.mark(BASE, 1)
    assert mark is not None
    assert (mark.seed, reviews.order(BASE, 1)) == (7, None)
    ordered = _order(reviews, 2)
    assert (reviews.mark(BASE, 1), reviews.order(BASE, 1)) == (None, ordered)
    images[ordered.key, 1] = "failed"
    assert reviews.order(BASE, 1) == ordered
    images[ordered.key, 1] = "ok"
    assert reviews.order(BASE, 1) is None


def test_a_newer_decision_replaces_an_order(reviews: Reviews) -> None:
    _decide(reviews, 1, "redo")
    _order(reviews, 2)
    _decide(reviews, 1, "reject")
    assert (reviews.mark(BASE, 1), reviews.order(BASE, 1)) == (None, None)
    assert reviews.is_settled(BASE, 1)


@pytest.mark.parametrize("edited", [False, True])
def test_decisions_follow_a_moved_image_and_orders_only_that_of_an_unchanged_row(
    reviews: Reviews, edited: bool
) -> None:
    _decide(reviews, 1, "redo")
    ordered = _order(reviews, 2)
    facts = {"prompt": "an earlier text", "model": "m", "dialect": "predict"} if edited else {}
    reviews.move([KeptMove(OTHER, BASE, (1,), **facts)])
    assert reviews.versions(OTHER, 1) == (ordered,)
    assert reviews.order(OTHER, 1) == (None if edited else ordered)
    assert bool(reviews.versions(BASE, 1)) is edited, "an edit can be undone"


def test_decisions_about_the_image_that_a_moved_one_replaces_are_dropped(reviews: Reviews) -> None:
    reviews.fold(ReviewRecord((ReviewedVersion(OTHER, 1, 1, "approve"), ReviewedVersion(OTHER, 2, 1, "approve"))))
    reviews.move([KeptMove(OTHER, BASE, (1,))])
    assert [reviews.is_approved(OTHER, number) for number in (1, 2)] == [False, True]


def _line(ordered: OrderedVersion, **changes: Any) -> bytes:
    fields = {name: getattr(ordered, name) for name in ordered.__struct_fields__}
    return json.dumps({"t": "versions", "versions": [{**fields, **changes}]}).encode()


def test_an_order_is_for_a_version_after_the_first() -> None:
    assert parse(_line(_ordered(2))) == VersionsRecord((_ordered(2),))
    for wrong in ({"version": 1}, {"version": 0}, {"number": 0}, {"usd": -0.1}, {"name": "../a"}, {"key": "ab"}):
        assert isinstance(parse(_line(_ordered(2), **wrong)), str), wrong


def test_what_a_sample_is_made_from_is_what_its_version_was_ordered_with() -> None:
    history, ordered = History(), _ordered(2, options={"seed": 3})
    assert history.kept(BASE, 1) is None
    history.fold(VersionsRecord((ordered,)), position=0)
    history.fold(ReviewRecord((ReviewedVersion(BASE, 1, 2, "approve"),)), position=0)
    assert history.kept(BASE, 1) == {"prompt": "a fox", "model": "m", "dialect": "predict", "options": {"seed": 3}}
    assert history.kept_first(BASE, 1) is None


def test_a_sample_costs_what_all_of_its_versions_cost(tmp_path: Path) -> None:
    ordered, storage = _ordered(2), Folder(tmp_path)
    storage.put("images/a.png", b"")
    writer = LedgerWriter(storage, now=1.0)
    writer.record_versions([ordered], at=1.0)
    for key, usd in ((BASE, 0.04), (ordered.key, 0.24)):
        owner = request(1, base=key, key=key)
        writer.record_result(owner, (ok(1, cost_usd=usd), ok(2, cost_usd=7.0)), trace(key))
    writer.close()
    history = read_history(tmp_path / LEDGER)
    assert history.cost(BASE, 1) == pytest.approx(0.28)
    assert history.cost(BASE, 2) is None, "its own record states it"


def test_with_a_review_no_image_follows_from_its_slot_alone(tmp_path: Path) -> None:
    """A version of a sample may stand for it, or a decision may settle it."""
    plan = small_plan(tmp_path, [{"prompt": "fox"}, {"prompt": "owl"}])
    record_images(tmp_path, plan)
    slots = plan.index.slots_of_samples([1, 2], [1, 1])
    history = history_of(tmp_path)
    assert history.have_images([*slots, bytes(16)]) == [True, True, False]
    decided = ReviewedVersion(plan.index.row_key(2), 1, 1, "reject")
    history.fold(ReviewRecord((decided,)), position=0)
    assert history.have_images(slots) == [False, False]
