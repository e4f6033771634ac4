"""Tests of which further versions a run orders, and of what decides their images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imagen_batch.errors import InputInvalid
from imagen_batch.ledger.history import History
from imagen_batch.ledger.records import OrderedVersion, ReviewedVersion, ReviewRecord, VersionsRecord
from imagen_batch.planning.keys import request_key
from imagen_batch.planning.pending import count_pending, remaining_requests
from imagen_batch.planning.plan import RunPlan
from imagen_batch.planning.samples.further_versions import models_of, order_versions, version_request
from imagen_batch.records import SampleResult
from tests.support.factories import ok
from tests.support.plans import history_of, record_images, record_result, small_plan
from tests.support.reference_files import write_image

MODEL = "gemini-3-pro-image"
ROWS = [{"prompt": "a fox", "samples": 2, "seed": 5}, {"prompt": "an owl", "samples": 1, "seed": ""}]


def _plan(folder: Path, rows: Any = ROWS, **chosen: Any) -> RunPlan:
    return small_plan(folder, rows, **{"model": MODEL, **chosen})


def _made(folder: Path, plan: RunPlan) -> History:
    """Return the history of a run that made every image."""
    record_images(folder, plan)
    return history_of(folder)


def _decide(history: History, base: str, number: int, decision: Any, version: int = 1, **details: Any) -> None:
    history.fold(ReviewRecord((ReviewedVersion(base, number, version, decision, **details),)), position=0)


def _fold(history: History, *orders: OrderedVersion) -> None:
    history.fold(VersionsRecord(orders), position=0)


def _sample(plan: RunPlan, row: int, number: int) -> tuple[str, int]:
    return plan.index.row_key(row), number


def test_a_redo_is_ordered_once_and_only_on_request(tmp_path: Path) -> None:
    plan, without = _plan(tmp_path, redo=True), _plan(tmp_path)
    history = _made(tmp_path, plan)
    assert order_versions(plan, history) == ()
    _decide(history, *_sample(plan, 1, 2), "redo", prompt="a red fox", seed=9)
    assert order_versions(without, history) == ()
    assert order_versions(_plan(tmp_path, redo=True, upgrade="4K"), history) == order_versions(plan, history)
    [order] = order_versions(plan, history)
    assert (order.base, order.number, order.version) == (*_sample(plan, 1, 2), 2)
    assert (order.prompt, order.model, order.options["seed"]) == ("a red fox", MODEL, 9)
    assert order.name.endswith(f"_{request_key(order.key, 2, 1)[:8]}_v2")
    _fold(history, order)
    assert order_versions(plan, history) == ()


def test_only_rows_that_the_run_selects_get_versions(tmp_path: Path) -> None:
    plan = _plan(tmp_path, redo=True, limit=1)
    history = _made(tmp_path, plan)
    for row in (1, 2):
        _decide(history, *_sample(plan, row, 1), "redo")
    assert [order.base for order in order_versions(plan, history)] == [plan.index.row_key(1)]


def test_samples_that_the_row_does_not_have_any_more_get_no_version(tmp_path: Path) -> None:
    plan = _plan(tmp_path, redo=True)
    history = _made(tmp_path, plan)
    _decide(history, plan.index.row_key(1), 3, "redo")
    assert order_versions(plan, history) == ()


@pytest.mark.parametrize(
    ("mark", "seed"), [({}, 10_006), ({"prompt": "a red fox"}, 6), ({"seed": 9}, 9), ({"prompt": "x", "seed": 9}, 9)]
)
def test_a_redo_of_the_same_prompt_has_another_seed(tmp_path: Path, mark: dict[str, Any], seed: int) -> None:
    plan = _plan(tmp_path, redo=True)
    history = _made(tmp_path, plan)
    _decide(history, *_sample(plan, 1, 2), "redo", **mark)
    [order] = order_versions(plan, history)
    assert order.options["seed"] == seed


def test_each_version_has_a_key_and_a_number_of_its_own(tmp_path: Path) -> None:
    plan = _plan(tmp_path, redo=True)
    history = _made(tmp_path, plan)
    base, number = _sample(plan, 2, 1)
    keys = {base}
    for version in (2, 3, 4):
        _decide(history, base, number, "redo")
        [order] = order_versions(plan, history)
        assert order.version == version
        _fold(history, order)
        keys.add(order.key)
    assert len(keys) == 4


def test_only_approved_images_are_made_larger_and_each_once(tmp_path: Path) -> None:
    plan = _plan(tmp_path, upgrade="4K")
    history = _made(tmp_path, plan)
    _decide(history, *_sample(plan, 1, 1), "approve")
    _decide(history, *_sample(plan, 1, 2), "reject")
    [order] = order_versions(plan, history)
    assert (order.base, order.number, order.options["image_size"]) == (*_sample(plan, 1, 1), "4K")
    assert (order.prompt, order.options["seed"]) == ("a fox", 5)
    assert order.usd is not None
    assert order.usd > (plan.index.price(1) or 0.0)
    _fold(history, order)
    assert order_versions(plan, history) == ()


@pytest.mark.parametrize(("width", "height", "ordered"), [(4096, 2047, 1), (4096, 2048, 0), (4096, 4096, 0)])
def test_an_image_with_half_of_the_pixels_is_large_enough(
    tmp_path: Path, width: int, height: int, ordered: int
) -> None:
    plan = _plan(tmp_path, upgrade="4K")
    record_result(tmp_path, plan.index.row_key(2), ok(width=width, height=height))
    history = history_of(tmp_path)
    _decide(history, *_sample(plan, 2, 1), "approve")
    assert len(order_versions(plan, history)) == ordered


def _approved_version(folder: Path, plan: RunPlan, **changes: Any) -> History:
    """Return a history in which version 2 of the only sample of row 2 is made and approved."""
    order = _order_of(plan, 2, 1, **changes)
    record_result(folder, order.key, ok(), now=3.0)
    history = history_of(folder)
    _fold(history, order)
    _decide(history, order.base, 1, "approve", version=2)
    return history


def test_a_larger_version_is_made_from_what_the_approved_one_was_made_from(tmp_path: Path) -> None:
    plan, other = _plan(tmp_path, upgrade="4K"), "gemini-nano-banana-2.1"
    fox, hat = ({"text": name, "sha256": name[0] * 64, "bytes": 1, "path": f"/{name}"} for name in ("a.png", "b.png"))
    options = {"seed": 8, "references": ["b" * 64, "a" * 64]}
    history = _approved_version(tmp_path, plan, model=other, options=options, references=(fox, hat))
    [order] = order_versions(plan, history)
    assert (order.version, order.prompt, order.model) == (3, "p", other)
    assert order.options == {"seed": 8, "image_size": "4K", "references": ("b" * 64, "a" * 64)}
    assert order.references == (hat, fox)


def test_a_larger_version_is_made_from_the_row_where_the_model_is_gone(tmp_path: Path) -> None:
    plan = _plan(tmp_path, upgrade="4K")
    [order] = order_versions(plan, _approved_version(tmp_path, plan, model="gone-from-the-catalogue"))
    assert (order.prompt, order.model, order.options) == ("an owl", MODEL, {"image_size": "4K"})


def test_no_larger_version_is_made_with_other_references_than_the_approved_one(tmp_path: Path) -> None:
    plan = _plan(tmp_path, upgrade="4K")
    history = _approved_version(tmp_path, plan, options={"references": ["a" * 64]})
    with pytest.raises(InputInvalid) as caught:
        order_versions(plan, history)
    [problem] = caught.value.problems
    assert (problem.line, problem.column) == (3, "references")
    assert problem.message.startswith("version 3: ")
    assert "a" * 64 in problem.message


@pytest.mark.parametrize(("decision", "ordered"), [(None, 0), ("reject", 1)])
def test_a_larger_version_that_was_rejected_is_made_again(tmp_path: Path, decision: str | None, ordered: int) -> None:
    plan = _plan(tmp_path, upgrade="2K")
    history = _made(tmp_path, plan)
    base, number = _sample(plan, 2, 1)
    _decide(history, base, number, "approve")
    [order] = order_versions(plan, history)
    _fold(history, order)
    reviewed = history.reviews
    record_result(tmp_path, order.key, ok(number), now=3.0)
    history = history_of(tmp_path)
    assert reviewed is not history.reviews
    _decide(history, base, number, "approve")
    _fold(history, order)
    if decision:
        _decide(history, base, number, decision, version=2)
    assert len(order_versions(plan, history)) == ordered
    larger = order_versions(_plan(tmp_path, upgrade="4K"), history)
    assert [each.version for each in larger] == [3]


def test_a_version_that_the_model_can_not_make_stops_the_run_with_its_line(tmp_path: Path) -> None:
    plan = _plan(tmp_path, model="imagen-4.0-generate-001", upgrade="4K")
    history = _made(tmp_path, plan)
    _decide(history, *_sample(plan, 2, 1), "approve")
    with pytest.raises(InputInvalid) as caught:
        order_versions(plan, history)
    [problem] = caught.value.problems
    assert (problem.line, problem.found) == (3, "4K")
    assert problem.message.startswith("version 2: ")


def test_a_warning_about_a_version_does_not_stop_it(tmp_path: Path) -> None:
    plan = _plan(tmp_path, model="gemini-2.5-flash-image", redo=True)
    history = _made(tmp_path, plan)
    _decide(history, *_sample(plan, 1, 1), "redo", prompt="word " * 100)
    assert len(order_versions(plan, history)) == 1


def test_a_row_that_waits_for_the_image_of_another_one_gets_no_version(tmp_path: Path) -> None:
    rows = [
        {"id": "fox", "prompt": "a fox", "references": ""},
        {"id": "den", "prompt": "a den", "references": "@fox"},
    ]
    plan, history = _plan(tmp_path, rows, redo=True), history_of(tmp_path)
    plan.follow(history)
    _decide(history, *_sample(plan, 2, 1), "redo")
    assert plan.index.waiting_rows == {2}
    assert order_versions(plan, history) == ()
    data = write_image(tmp_path / "out" / "images" / "a.png")
    record_result(tmp_path, plan.index.row_key(1), ok(bytes=len(data), mime_type="image/png"))
    history = history_of(tmp_path)
    plan.follow(history)
    _decide(history, *_sample(plan, 2, 1), "redo")
    [order] = order_versions(plan, history)
    assert order.base == plan.index.row_key(2)
    assert order.references is not None
    assert [each["text"] for each in order.references] == ["@fox"]


def _order_of(plan: RunPlan, row: int, number: int, **changes: Any) -> OrderedVersion:
    base, number = _sample(plan, row, number)
    facts = {"name": "images/a_v2", "prompt": "p", "model": MODEL, "dialect": "generate_content", "options": {}}
    return OrderedVersion(
        **{"base": base, "number": number, "version": 2, "key": f"{number:064x}", "usd": 0.5, **facts, **changes}
    )


def test_models_of_versions_that_are_to_be_made_are_known_to_the_run(tmp_path: Path) -> None:
    plan, history = _plan(tmp_path), history_of(tmp_path)
    _decide(history, *_sample(plan, 2, 1), "approve")
    other = "gemini-2.5-flash-image"
    orders = [_order_of(plan, 1, 1, model=other), _order_of(plan, 1, 2, model="gone-from-the-catalogue")]
    _fold(history, *orders)
    models = models_of(plan, history)
    assert set(models) == {MODEL, other}
    assert models[other].id == other


def test_a_version_is_one_request_with_its_own_price_beside_the_samples_of_its_row(tmp_path: Path) -> None:
    plan, history = _plan(tmp_path), history_of(tmp_path)
    order = _order_of(plan, 1, 2)
    price = count_pending(plan, history)
    _fold(history, order, _order_of(plan, 2, 2, key="ef" * 32))  # the second row has one sample
    totals = count_pending(plan, history)
    assert (totals.samples, totals.requests, totals.redone) == (3, 3, 1)
    assert totals.usd == pytest.approx(price.usd * 2 / 3 + 0.5)
    requests = list(remaining_requests(plan, history))
    assert [(each.row, list(each.numbers)) for each in requests] == [(1, [1]), (1, [2]), (2, [1])]
    assert requests[1] == version_request(1, order)
    assert requests[1].key == request_key(order.key, 2, 1)
    assert (requests[1].base, requests[1].price, requests[1].names) == (order.key, 0.5, (order.name,))


def test_a_version_that_failed_is_sent_again_only_with_redo_or_retry(tmp_path: Path) -> None:
    plan = _plan(tmp_path, [ROWS[1]])
    record_images(tmp_path, plan)
    order = _order_of(plan, 1, 1)
    record_result(tmp_path, order.key, SampleResult(1, "failed", error="no"), now=3.0)
    history = history_of(tmp_path)
    _fold(history, order)
    chosen: list[dict[str, Any]] = [{}, {"redo": True}, {"retry": "failed"}]
    plans = [_plan(tmp_path, [ROWS[1]], **each) for each in chosen]
    assert [len(list(remaining_requests(each, history))) for each in plans] == [0, 1, 1]
