"""Which requests does this run still have to make, and what may they cost?

rows + settings + catalogue -> `Order`s (what each row asks for) -> requests that the ledger does not have yet
-> shards. All of it streams: a row is looked at, answered and forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from typing import NamedTuple, Protocol

from imagen_batch.asked import Asked
from imagen_batch.identity import request_key
from imagen_batch.models import Catalogue, Model, override_price, unknown_model
from imagen_batch.names import (
    TakenNames,
    default_stem,
    picture_name,
    slug,
    stem_from,
    stem_from_template,
    template_fields,
)
from imagen_batch.offers import Remark, check_options, check_row, without_dropped
from imagen_batch.records import ImageRequest, Options, Outcome, Problem, PromptRow
from imagen_batch.settings import Settings
from imagen_batch.styling import with_comma, with_style

_OPTION_NAMES = tuple(field.name for field in fields(Options))
TEMPLATE_FIELDS = ("row", "id", "slug", "model", "sample")
"""What a name template may use besides the user's own columns."""

_MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHARD_BYTES = 8 * 2**20  # of prompts: a shard stays small enough to be handed around


@dataclass(slots=True, unsafe_hash=True)
class Order:
    """What a row asks for, all choices made."""

    row: PromptRow
    model: Model
    prompt: str
    samples: int
    options: Options
    stem: str
    named: bool  # the user chose the name
    numbered: Callable[[int], str] | None = None  # the stem for each sample, where the user's template tells it
    twin: bool = False  # an earlier row has the name, as some disk compares names: this one gets a part of its key

    @property
    def earlier_prompt(self) -> str | None:
        """The text that earlier versions sent, where that is another one."""
        earlier = with_comma(self.row.prompt, self.row.style) if self.row.style else self.row.prompt
        return None if earlier == self.prompt else earlier

    @property
    def price(self) -> float | None:
        """Worst case in USD for one picture; None where no price is known."""
        return self.model.worst_price(self.options.image_size, self.prompt)


class Ledgered(Protocol):
    """What a plan wants to know of the past."""

    def status(self, base: str, number: int) -> Outcome | None:
        """What became of a sample; None when nothing is known."""


class Choice(NamedTuple):
    """What a row's model and options come to: the same for all rows that give the same."""

    model: Model
    remarks: tuple[Remark, ...]
    sent: Options


class Lack(NamedTuple):
    """A row that still lacks samples: their numbers."""

    row: int
    base: str
    numbers: list[int]


class Planner:
    """Turns rows into orders. Holds what is the same for all rows."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._models: dict[str, Model | None] = {}
        self._run_options = settings.options
        self._template = settings.name_template
        self._by_sample = "sample" in (template_fields(self._template) if self._template else ())
        self._names = TakenNames()
        self._choice = lru_cache(maxsize=1024)(self._chosen)

    def order(self, row: PromptRow) -> tuple[Order | None, list[Problem], list[Remark]]:
        """What `row` asks for, or why it can't be had, and what to warn of."""
        choice = self._choice(row.model or self._settings.model, row.options)
        if choice is None:
            return None, [self._unknown(row)], []
        model = choice.model
        samples = row.samples or self._settings.samples
        prompt = with_style(row.prompt, row.style)
        remarks = choice.remarks + check_row(model, samples=samples, prompt=prompt)
        problems, warnings = _parted(row, remarks) if remarks else ([], [])
        order = Order(row, model, prompt, samples, choice.sent, default_stem(row.row), named=False)
        if self._template is not None or row.filename:
            try:
                self._name(order)
            except ValueError as error:
                problems.append(Problem(row.line, "filename", row.filename, str(error)))
        return (None if problems else order), problems, warnings

    def model(self, name: str) -> Model | None:
        """The model of that name, with the run's corrections; None when nothing is known of it."""
        if name not in self._models:
            self._models[name] = self._find(name)
        return self._models[name]

    def _chosen(self, name: str, of_row: Options) -> Choice | None:
        model = self.model(name)
        if model is None:
            return None
        options = _over(of_row, self._run_options)
        remarks = check_options(model, options, provider=self._settings.provider)
        return Choice(model, remarks, without_dropped(options, remarks))

    def _find(self, name: str) -> Model | None:
        settings = self._settings
        if not _MODEL_ID.fullmatch(name):  # it becomes part of an address
            return None
        model = self._catalogue.get(name)
        if model is None and settings.dialect is not None:
            model = unknown_model(name, settings.dialect)
        if model is not None and settings.price is not None:
            model = override_price(model, settings.price)
        return model

    def _unknown(self, row: PromptRow) -> Problem:
        known = ", ".join(self._catalogue.ids())
        message = f"unknown model; known: {known}. For another one add --dialect predict|generate_content"
        return Problem(row.line if row.model else None, "model", row.model or self._settings.model, message)

    def _name(self, order: Order) -> None:
        """Give the row the name that the user chose. Rows come in input order: the first of two has the bare name."""
        order.named = True
        if self._template is None:
            order.stem = stem_from(order.row.filename or "")
        else:
            stem = partial(_stem_from_template, self._template, order.row, order.model.id)
            order.stem = stem(1)
            order.numbered = stem if self._by_sample and order.samples > 1 else None
        order.twin = not self._names.claim(_name(order, number, "") for number in range(1, order.samples + 1))


def requests_for(order: Order, base: str, numbers: Iterable[int]) -> Iterator[ImageRequest]:
    """Requests for the samples `numbers` of a row, as few as its model allows."""
    for first, count in _ranges(numbers, order.model.samples_per_request):
        key = request_key(base, first, count)
        yield ImageRequest(
            key=key,
            base=base,
            row=order.row.row,
            first=first,
            samples=count,
            model=order.model.id,
            dialect=order.model.dialect,
            prompt=order.prompt,
            options=_seeded(order, first),
            names=tuple(_name(order, number, key, base) for number in range(first, first + count)),
            price=None if order.price is None else order.price * count,
        )


def lacking(
    asked: Asked, past: Ledgered, *, settings: Settings, only: Container[int] | None = None
) -> Iterator[Lack]:
    """The rows for which the run has to send something, in input order.

    With `only` these rows are asked for and no others, and of them also what has failed.
    """
    wanted = _wanted(settings, named=only is not None)
    for row, (base, samples) in enumerate(asked, 1):
        if only is None and settings.limit is not None and row > settings.limit:
            return
        if only is not None and row not in only:
            continue
        numbers = [number for number in range(1, samples + 1) if wanted(past.status(base, number))]
        if numbers:
            yield Lack(row, base, numbers)


def still_to_make(orders: Iterable[Order], lacks: Iterable[Lack]) -> Iterator[ImageRequest]:
    """The requests for what the rows lack. `orders` are asked for only as far as something lacks."""
    ordered = iter(orders)
    for lack in lacks:
        order = next(order for order in ordered if order.row.row == lack.row)
        yield from requests_for(order, lack.base, lack.numbers)


def request_count(numbers: Iterable[int], per_request: int) -> int:
    """How many requests it takes to ask for the samples `numbers` of a row."""
    return sum(1 for _ in _ranges(numbers, per_request))


def shard_size(requests: int) -> int:
    """Requests in a shard: hundreds of shards at most, whatever the size of the run."""
    return min(2000, max(50, -(-requests // 500)))


def shards(requests: Iterable[ImageRequest], size: int) -> Iterator[list[ImageRequest]]:
    """Contiguous slices of `requests`, bounded in number and in bytes."""
    shard: list[ImageRequest] = []
    weight = 0
    for request in requests:
        shard.append(request)
        weight += len(request.prompt)
        if len(shard) >= size or weight >= _SHARD_BYTES:
            yield shard
            shard, weight = [], 0
    if shard:
        yield shard


def _parted(row: PromptRow, remarks: Iterable[Remark]) -> tuple[list[Problem], list[Remark]]:
    problems = [_problem(row, remark) for remark in remarks if remark.level == "error"]
    return problems, [remark for remark in remarks if remark.level == "warning"]


def _problem(row: PromptRow, remark: Remark) -> Problem:
    """A problem of the row, or, without a line, of an option that the run gives to every row."""
    of_row = remark.option == "prompt" or getattr(row.options, remark.option, None) is not None
    return Problem(row.line if of_row else None, remark.option, remark.found, remark.message)


def _wanted(settings: Settings, *, named: bool) -> Callable[[Outcome | None], bool]:
    again: set[str | None] = {None, "not_attempted", "skipped_budget", *settings.retry}
    if named:
        again |= {"failed", "filtered"}
    if settings.on_unknown == "resend":
        again.add("unknown")
    return again.__contains__


def _ranges(numbers: Iterable[int], most: int) -> Iterator[tuple[int, int]]:
    first, count = 0, 0
    for number in numbers:
        if count and (number != first + count or count == most):
            yield first, count
            count = 0
        if not count:
            first = number
        count += 1
    if count:
        yield first, count


def _seeded(order: Order, first: int) -> Options:
    # Every call of a row with the same seed would make the same pictures. (api: 9)
    seed = order.options.seed
    if seed is None or first == 1:
        return order.options
    return replace(order.options, seed=(seed + first - 1) % 2**32)


def _name(order: Order, number: int, key: str, base: str = "") -> str:
    numbered = order.numbered
    stem = order.stem if numbered is None else numbered(number)
    if order.twin and base:
        stem = f"{stem}_{base[:8]}"
    samples = order.samples if numbered is None else 1
    return picture_name(stem, sample=number, key=key, extension="", named=order.named, samples=samples)


def _stem_from_template(template: str, row: PromptRow, model: str, sample: int) -> str:
    values = (row.row, row.id or row.row, slug(row.prompt), model, sample)
    return stem_from_template(template, {**row.user, **dict(zip(TEMPLATE_FIELDS, values, strict=True))})


def _over(row: Options, run: Options) -> Options:
    given = {name: value for name in _OPTION_NAMES if (value := getattr(row, name)) is not None}
    return replace(run, **given) if given else run
