"""Orders further versions of samples: those that a review marked for a redo, and larger ones of approved images.

An order fixes everything that decides the image. It is recorded before anything is sent, so that a run that was
killed continues the same version instead of buying another one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from imagen_batch.errors import InputInvalid
from imagen_batch.ledger.history import History
from imagen_batch.ledger.records import OrderedVersion, ReviewedVersion
from imagen_batch.planning.keys import request_key
from imagen_batch.planning.plan import RunPlan
from imagen_batch.planning.references.limits import COLUMN, RequestSize, check_references
from imagen_batch.planning.references.stored import references_from, stored_references
from imagen_batch.planning.requests import with_seed_of
from imagen_batch.planning.rows import PlannedRow, RowPlanner
from imagen_batch.providers.capabilities import check_options, check_row, without_dropped
from imagen_batch.providers.catalogue import Model
from imagen_batch.records import ImageRequest, Options, Problem, Reference

_SEED_STEP = 10_000  # the most samples of a row, whose seeds follow one another
_SIDES = {"512": 512, "1K": 1024, "2K": 2048, "4K": 4096}


class _Content(NamedTuple):
    prompt: str
    model: Model
    options: Options
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class _Wish:
    """A version to order: of which sample, and what differs from the row."""

    number: int
    mark: ReviewedVersion | None = None  # a redo
    image_size: str | None = None  # an upgrade


def order_versions(plan: RunPlan, history: History) -> tuple[OrderedVersion, ...]:
    """The versions that this run orders: for each redo mark with --redo, for each approved image with --upgrade.

    Raises InputInvalid with every version that the model can't make.
    """
    wishes = _wishes(plan, history)
    if not wishes:
        return ()
    orders: list[OrderedVersion] = []
    problems: list[Problem] = []
    last = max(wishes)
    planner = RowPlanner(plan.settings, plan.catalogue)
    for planned in plan.planned_rows():
        row = planned.row.row
        for wish in wishes.get(row, ()):
            ordered = _order(planned, wish, plan.index.row_key(row), history, planner)
            if isinstance(ordered, OrderedVersion):
                orders.append(ordered)
            else:
                problems += ordered
        if row >= last:
            break
    if problems:
        raise InputInvalid(problems)
    return tuple(orders)


def version_request(row: int, order: OrderedVersion) -> ImageRequest:
    """The request for an ordered version, the same one in every run."""
    return ImageRequest(
        key=request_key(order.key, order.number, 1),
        base=order.key,
        row=row,
        first=order.number,
        samples=1,
        model=order.model,
        dialect=order.dialect,
        prompt=order.prompt,
        options=options_from(order.options),
        names=(order.name,),
        price=order.usd,
        references=references_from(order.facts),
    )


def options_from(stored: Mapping[str, Any]) -> Options:
    """Options as the ledger stores them."""
    return Options(**{name: _immutable(value) for name, value in stored.items()})


def models_of(plan: RunPlan, history: History) -> dict[str, Model]:
    """The models of the plan's rows and of versions that are still to be made."""
    models, planner = plan.models(), RowPlanner(plan.settings, plan.catalogue)
    for base, number in history.reviews.reviewed():
        order = history.reviews.order(base, number)
        if order is not None and order.model not in models and (model := planner.find_model(order.model)):
            models[order.model] = model
    return models


def _wishes(plan: RunPlan, history: History) -> dict[int, list[_Wish]]:
    settings, reviews = plan.settings, history.reviews
    wishes: defaultdict[int, list[_Wish]] = defaultdict(list)
    if not reviews or not (settings.redo or settings.upgrade):
        return wishes
    for row, (base, samples) in enumerate(plan.index, 1):
        if not plan.selects(row):
            continue
        for number in range(1, samples + 1):
            mark = reviews.mark(base, number) if settings.redo else None
            if mark is not None:
                wishes[row].append(_Wish(number, mark))
            elif settings.upgrade and _can_grow(base, number, history, settings.upgrade):
                wishes[row].append(_Wish(number, image_size=settings.upgrade))
    return wishes


def _can_grow(base: str, number: int, history: History, size: str) -> bool:
    """Whether a sample is approved, and nothing of this size or larger was ordered or made of it."""
    reviews = history.reviews
    if not reviews.is_approved(base, number) or reviews.order(base, number) is not None:
        return False
    details = history.details(base, number)
    if details is not None and _is_large_enough(details[0].width, details[0].height, size):
        return False
    wanted = _SIDES.get(size, 0)
    rejected = {
        each.version
        for each in reviews.versions(base, number)
        if (decided := reviews.decision(base, number, each.version)) and decided.decision == "reject"
    }
    return not any(
        _SIDES.get(each.options.get("image_size") or "", 0) >= wanted and each.version not in rejected
        for each in reviews.versions(base, number)
        if history.recorded_status(each.key, number) == "ok"
    )


def _is_large_enough(width: int | None, height: int | None, size: str) -> bool:
    side = _SIDES.get(size)
    return bool(width and height and side and width * height >= side * side * 0.5)


def _order(
    planned: PlannedRow, wish: _Wish, base: str, history: History, planner: RowPlanner
) -> OrderedVersion | list[Problem]:
    version = 1 + max((each.version for each in history.reviews.versions(base, wish.number)), default=1)
    content = _content(planned, wish, base, history, planner, version)
    if isinstance(content, str):
        return [Problem(planned.row.line, COLUMN, None, f"version {version}: {content}")]
    prompt, model, options, references = content
    issues = check_options(model, options, provider=planner.provider) + check_row(model, samples=1, prompt=prompt)
    problems = [
        Problem(planned.row.line, issue.option, issue.found, f"version {version}: {issue.message}")
        for issue in issues
        if issue.level == "error"
    ]
    problems += check_references(planned.row, references, RequestSize(model, prompt, planner.provider))
    if problems:
        return problems
    options = without_dropped(options, issues)
    mark = wish.mark or ReviewedVersion(base, wish.number, version)
    key = _version_key(base, version, mark.prompt, mark.seed, wish.image_size)
    name = planned.image_name(wish.number, request_key(key, wish.number, 1), base)
    stored = {name: value for name, value in asdict(options).items() if value is not None}
    return OrderedVersion(
        base=base,
        number=wish.number,
        version=version,
        key=key,
        name=f"{name}_v{version}",
        prompt=prompt,
        model=model.id,
        dialect=model.dialect,
        options=stored,
        usd=model.worst_price(options.image_size, prompt, len(references)),
        references=stored_references(references) or None,
    )


def _content(
    planned: PlannedRow, wish: _Wish, base: str, history: History, planner: RowPlanner, version: int
) -> _Content | str:
    """What a version is made from, or why that is not known."""
    options = with_seed_of(wish.number, planned.options)
    if wish.image_size is None:
        assert wish.mark is not None
        reseeded = _reseeded(options, wish.mark, version)
        return _Content(wish.mark.prompt or planned.prompt, planned.model, reseeded, planned.references)
    facts = history.kept(base, wish.number)
    model = planner.find_model(facts["model"]) if facts else None
    if facts is None or model is None:
        larger = replace(options, image_size=wish.image_size)
        return _Content(planned.prompt, planned.model, larger, planned.references)
    options = replace(options_from(facts["options"]), image_size=wish.image_size)
    known = {each.identity: each for each in (*planned.references, *references_from(facts))}
    if unknown := [each for each in options.references or () if each not in known]:
        return f"the reference images that the approved image was made with are not known: {', '.join(unknown)}"
    return _Content(facts["prompt"], model, options, tuple(known[each] for each in options.references or ()))


def _reseeded(options: Options, mark: ReviewedVersion, version: int) -> Options:
    """With the seed of the redo. The same prompt with the same seed would make the same image again."""
    if mark.seed is not None:
        return replace(options, seed=mark.seed)
    if options.seed is None or mark.prompt is not None:
        return options
    return replace(options, seed=(options.seed + (version - 1) * _SEED_STEP) % 2**32)


def _version_key(base: str, version: int, prompt: str | None, seed: int | None, image_size: str | None) -> str:
    content = orjson.dumps([prompt, seed, image_size])
    return sha256(f"{base}:v{version}:".encode() + content).hexdigest()


def _immutable(value: Any) -> Any:
    return tuple(map(_immutable, value)) if isinstance(value, list) else value
