"""Tests of how many samples of a row are requested with --accept, by what the ledger has about them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from imagen_batch.ledger.records import OrderedVersion, ReviewedVersion, ReviewRecord, VersionsRecord
from imagen_batch.ledger.reviews import Reviews
from imagen_batch.planning.samples.sample_counts_for_accept import samples_to_request, usable_samples
from imagen_batch.settings import make_settings

BASE = "ab" * 32


class FakeHistory:
    """Outcomes of the samples 1, 2, ... of one row; None for those without a result."""

    def __init__(self, *statuses: str | None, error_kind: str = "blocked", rejected: tuple[int, ...] = ()) -> None:
        self._statuses: dict[tuple[str, int], Any] = {(BASE, at): status for at, status in enumerate(statuses, 1)}
        self._error_kind = error_kind
        self.reviews = Reviews(self.status)
        for number in rejected:
            self.reviews.fold(ReviewRecord((ReviewedVersion(BASE, number, 1, "reject"),)))

    def status(self, base: str, number: int) -> Any:
        """Return the outcome of a sample."""
        return self._statuses.get((base, number))

    def details(self, base: str, number: int) -> Any:
        """Return the result of a sample, as far as it is read here."""
        return None if self.status(base, number) is None else (SimpleNamespace(error_kind=self._error_kind), None)

    def order(self, number: int) -> None:
        """Order a further version of a sample."""
        facts = {"name": "a", "prompt": "p", "model": "m", "dialect": "d", "options": {}}
        order = OrderedVersion(base=BASE, number=number, version=2, key="cd" * 32, **facts)  # type: ignore[arg-type]
        self.reviews.fold(VersionsRecord((order,)))


def _count(history: FakeHistory, wanted: int = 2, max_tries: int | None = None) -> int:
    settings = make_settings({"prompts": "p.csv", "provider": "simulator", "accept": 2, "max_tries": max_tries})
    return samples_to_request(BASE, wanted, history, settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("statuses", "count"),
    [
        ((), 2),
        (("ok", "ok"), 2),
        (("ok", "unknown"), 2),
        (("ok", "not_attempted"), 2),
        (("ok", "filtered"), 3),
        (("failed", "filtered"), 4),
        (("filtered", "ok", "filtered"), 4),
        (("filtered",) * 4, 4),
    ],
)
def test_every_sample_that_is_lost_is_replaced_up_to_twice_the_number(statuses: tuple[str, ...], count: int) -> None:
    assert _count(FakeHistory(*statuses)) == count


def test_the_tries_that_the_user_allows_are_the_bound_but_never_fewer_than_are_wanted() -> None:
    refused = FakeHistory(*["filtered"] * 9)
    assert [_count(FakeHistory(*["filtered"] * 3), max_tries=most) for most in (2, 3, 4)] == [2, 3, 4]
    assert _count(refused, max_tries=9) == 9
    assert _count(refused, wanted=5, max_tries=3) == 5


def test_a_rejected_image_is_replaced_unless_a_further_version_takes_its_place() -> None:
    assert _count(FakeHistory("ok", "ok", rejected=(1,))) == 3
    refused = FakeHistory("ok", "filtered")
    refused.order(2)
    assert _count(refused) == 2


def test_a_sample_that_was_requested_stays_even_if_it_is_not_needed_any_more() -> None:
    assert _count(FakeHistory("ok", "ok", "ok")) == 3
    assert _count(FakeHistory("ok", "ok", None, "failed")) == 4
    assert _count(FakeHistory("ok", "ok", None, None, "ok")) == 2, "it is beyond the bound"


def test_a_request_that_the_service_finds_invalid_is_not_repeated() -> None:
    assert _count(FakeHistory("ok", "failed", error_kind="bad_request")) == 2
    assert _count(FakeHistory("ok", "failed", error_kind="http_500")) == 3
    assert _count(FakeHistory("ok", "filtered", error_kind="bad_request")) == 3, "only failures say so"
    assert _count(FakeHistory("failed", "ok", error_kind="bad_request")) == 3, "only the last one says so"


def test_only_images_that_are_not_rejected_are_usable() -> None:
    history = FakeHistory("ok", "ok", "filtered", "unknown", "ok", rejected=(2,))
    assert [usable_samples(BASE, samples, history) for samples in (0, 1, 4, 5)] == [0, 1, 1, 2]  # type: ignore[arg-type]
