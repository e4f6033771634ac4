"""Orders further versions of samples: those that a review marked for a redo, and larger ones of approved images.

An order has everything that decides the image. It is recorded before anything is sent, so that a killed run continues
with the same version instead of paying for another one.
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
from imagen_batch.planning.references.ledger_form import references_from, stored_references
from imagen_batch.planning.references.limits import COLUMN, RequestSize, check_references
from imagen_batch.planning.requests_and_shards import with_seed_of
from imagen_batch.planning.resolve_rows import PlannedRow, RowPlanner
from imagen_batch.providers.catalogue import Model
from imagen_batch.providers.check_row_options import check_options, check_row, without_dropped
from imagen_batch.providers.pixel_sizes import SIDES
from imagen_batch.records import ImageRequest, Options, Problem, Reference

_SEED_STEP = 10_000  # the most samples of a row, whose seeds follow one another


class _Content(NamedTuple):
    prompt: str
    model: Model
    options: Options
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class _WantedVersion:
    """A version to order: the number of the sample, and what differs from the row."""

    number: int
    mark: ReviewedVersion | None = None  # a redo
    image_size: str | None = None  # an upgrade


def order_versions(plan: RunPlan, history: History) -> tuple[OrderedVersion, ...]:
    """Return the versions to order: of each redo mark with --redo, of each approved image with --upgrade.

    Raises InputInvalid with every version that the model can't make.
    """
    wanted = _wanted_versions(plan, history)
    if not wanted:
        return ()
    orders: list[OrderedVersion] = []
    problems: list[Problem] = []
    last = max(wanted)
    planner = RowPlanner(plan.settings, plan.catalogue)
    for planned in plan.planned_rows():
        row = planned.row.row
        for version_wanted in wanted.get(row, ()):
            ordered = _order_version(planned, version_wanted, plan.index.row_key(row), history, planner)
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
    """Return the request for an ordered version, the same one in every run."""
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
    """Return the options that the ledger stored."""
    return Options(**{name: _freeze(value) for name, value in stored.items()})


def models_of(plan: RunPlan, history: History) -> dict[str, Model]:
    """Return the models of the plan's rows and of versions that are still to be made."""
    models, planner = plan.models(), RowPlanner(plan.settings, plan.catalogue)
    for base, number in history.reviews.reviewed():
        order = history.reviews.order(base, number)
        if order is not None and order.model not in models and (model := planner.find_model(order.model)):
            models[order.model] = model
    return models


def _wanted_versions(plan: RunPlan, history: History) -> dict[int, list[_WantedVersion]]:
    settings, reviews = plan.settings, history.reviews
    wanted: defaultdict[int, list[_WantedVersion]] = defaultdict(list)
    if not reviews or not (settings.redo or settings.upgrade):
        return wanted
    for row, (base, samples) in enumerate(plan.index, 1):
        if not plan.selects(row) or _has_no_references_yet(plan, row):
            continue
        for number in range(1, samples + 1):
            mark = reviews.mark(base, number) if settings.redo else None
            if mark is not None:
                wanted[row].append(_WantedVersion(number, mark))
            elif settings.upgrade and _can_upgrade(base, number, history, settings.upgrade):
                wanted[row].append(_WantedVersion(number, image_size=settings.upgrade))
    return wanted


def _has_no_references_yet(plan: RunPlan, row: int) -> bool:
    """Return whether a row waits for an image of another row; its redo marks are ordered once it has that image."""
    images = plan.index.images
    return images is not None and row in images.waiting and row not in images.resolved


def _can_upgrade(base: str, number: int, history: History, size: str) -> bool:
    """Return whether a sample is approved and has no version of this size or larger, neither ordered nor made."""
    reviews = history.reviews
    if not reviews.is_approved(base, number) or reviews.order(base, number) is not None:
        return False
    details = history.details(base, number)
    if details is not None and _is_large_enough(details[0].width, details[0].height, size):
        return False
    wanted = SIDES.get(size, 0)
    rejected = {
        each.version
        for each in reviews.versions(base, number)
        if (decided := reviews.decision(base, number, each.version)) and decided.decision == "reject"
    }
    return not any(
        SIDES.get(each.options.get("image_size") or "", 0) >= wanted and each.version not in rejected
        for each in reviews.versions(base, number)
        if history.recorded_status(each.key, number) == "ok"
    )


def _is_large_enough(width: int | None, height: int | None, size: str) -> bool:
    side = SIDES.get(size)
    return bool(width and height and side and width * height >= side * side * 0.5)


def _order_version(
    planned: PlannedRow, version_wanted: _WantedVersion, base: str, history: History, planner: RowPlanner
) -> OrderedVersion | list[Problem]:
    version = 1 + max((each.version for each in history.reviews.versions(base, version_wanted.number)), default=1)
    content = _resolve_content(planned, version_wanted, base, history, planner, version)
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
    mark = version_wanted.mark or ReviewedVersion(base, version_wanted.number, version)
    key = _version_key(base, version, mark.prompt, mark.seed, version_wanted.image_size)
    name = planned.image_name(version_wanted.number, request_key(key, version_wanted.number, 1), base)
    stored = {name: value for name, value in asdict(options).items() if value is not None}
    return OrderedVersion(
        base=base,
        number=version_wanted.number,
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


def _resolve_content(
    planned: PlannedRow,
    version_wanted: _WantedVersion,
    base: str,
    history: History,
    planner: RowPlanner,
    version: int,
) -> _Content | str:
    """Return what a version is made from, or why that is not known."""
    options = with_seed_of(version_wanted.number, planned.options)
    if version_wanted.image_size is None:
        mark = version_wanted.mark
        assert mark is not None
        reseeded = _with_redo_seed(options, mark, version)
        return _Content(mark.prompt or planned.prompt, planned.model, reseeded, planned.references)
    facts = history.kept(base, version_wanted.number)
    model = planner.find_model(facts["model"]) if facts else None
    if facts is None or model is None:
        larger = replace(options, image_size=version_wanted.image_size)
        return _Content(planned.prompt, planned.model, larger, planned.references)
    options = replace(options_from(facts["options"]), image_size=version_wanted.image_size)
    known = {each.identity: each for each in (*planned.references, *references_from(facts))}
    if unknown := [each for each in options.references or () if each not in known]:
        return f"the reference images that the approved image was made with are not known: {', '.join(unknown)}"
    return _Content(facts["prompt"], model, options, tuple(known[each] for each in options.references or ()))


def _with_redo_seed(options: Options, mark: ReviewedVersion, version: int) -> Options:
    """Return the options with the seed of the redo. The same prompt and seed would make the same image again."""
    if mark.seed is not None:
        return replace(options, seed=mark.seed)
    if options.seed is None or mark.prompt is not None:
        return options
    return replace(options, seed=(options.seed + (version - 1) * _SEED_STEP) % 2**32)


def _version_key(base: str, version: int, prompt: str | None, seed: int | None, image_size: str | None) -> str:
    content = orjson.dumps([prompt, seed, image_size])
    return sha256(f"{base}:v{version}:".encode() + content).hexdigest()


def _freeze(value: Any) -> Any:
    return tuple(map(_freeze, value)) if isinstance(value, list) else value
