"""Resolves each prompt row against settings and catalogue."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from typing import NamedTuple

from imagen_batch.images.file_names import TakenNames
from imagen_batch.planning.filenames import (
    default_stem,
    picture_name,
    slug,
    stem_from,
    stem_from_template,
    template_fields,
)
from imagen_batch.planning.styling import with_comma, with_style
from imagen_batch.providers.capabilities import OptionIssue, check_options, check_row, without_dropped
from imagen_batch.providers.catalogue import Catalogue, Model, override_price, unknown_model
from imagen_batch.records import Options, Problem, PromptRow
from imagen_batch.settings import Settings

_OPTION_NAMES = tuple(field.name for field in fields(Options))
TEMPLATE_FIELDS = ("row", "id", "slug", "model", "sample")
"""What a name template may use besides the user's own columns."""

_MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(slots=True, unsafe_hash=True)
class PlannedRow:
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


class ResolvedOptions(NamedTuple):
    """What a row's model and options come to: the same for all rows that give the same."""

    model: Model
    remarks: tuple[OptionIssue, ...]
    sent: Options


class RowPlanner:
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

    def order(self, row: PromptRow) -> tuple[PlannedRow | None, list[Problem], list[OptionIssue]]:
        """What `row` asks for, or why it can't be had, and what to warn of."""
        choice = self._choice(row.model or self._settings.model, row.options)
        if choice is None:
            return None, [self._unknown(row)], []
        model = choice.model
        samples = row.samples or self._settings.samples
        prompt = with_style(row.prompt, row.style)
        remarks = choice.remarks + check_row(model, samples=samples, prompt=prompt)
        problems, warnings = _parted(row, remarks) if remarks else ([], [])
        order = PlannedRow(row, model, prompt, samples, choice.sent, default_stem(row.row), named=False)
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

    def _chosen(self, name: str, of_row: Options) -> ResolvedOptions | None:
        model = self.model(name)
        if model is None:
            return None
        options = _over(of_row, self._run_options)
        remarks = check_options(model, options, provider=self._settings.provider)
        return ResolvedOptions(model, remarks, without_dropped(options, remarks))

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

    def _name(self, order: PlannedRow) -> None:
        """Give the row the name that the user chose. Rows come in input order: the first of two has the bare name."""
        order.named = True
        if self._template is None:
            order.stem = stem_from(order.row.filename or "")
        else:
            stem = partial(_stem_from_template, self._template, order.row, order.model.id)
            order.stem = stem(1)
            order.numbered = stem if self._by_sample and order.samples > 1 else None
        order.twin = not self._names.claim(_name(order, number, "") for number in range(1, order.samples + 1))


def _parted(row: PromptRow, remarks: Iterable[OptionIssue]) -> tuple[list[Problem], list[OptionIssue]]:
    problems = [_problem(row, remark) for remark in remarks if remark.level == "error"]
    return problems, [remark for remark in remarks if remark.level == "warning"]


def _problem(row: PromptRow, remark: OptionIssue) -> Problem:
    """A problem of the row, or, without a line, of an option that the run gives to every row."""
    of_row = remark.option == "prompt" or getattr(row.options, remark.option, None) is not None
    return Problem(row.line if of_row else None, remark.option, remark.found, remark.message)


def _name(order: PlannedRow, number: int, key: str, base: str = "") -> str:
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
