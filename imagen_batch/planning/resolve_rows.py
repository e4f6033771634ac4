"""Resolves each prompt row against settings and catalogue."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial

from imagen_batch.choices import DIALECTS
from imagen_batch.images.taken_names import TakenNames
from imagen_batch.planning.add_style import with_comma, with_style
from imagen_batch.planning.book_shapes import PRINT_DPI, Fit, Shape, UnknownShape, read_shapes
from imagen_batch.planning.file_names import (
    default_stem,
    image_name,
    slug,
    stem_from,
    stem_from_template,
    template_fields,
)
from imagen_batch.planning.keys import set_options
from imagen_batch.planning.references.find_reference_images import RunReferences
from imagen_batch.planning.references.limits import RequestSize, check_references
from imagen_batch.providers.catalogue import Catalogue, Model, override_price, unknown_model
from imagen_batch.providers.check_row_options import OptionIssue, check_options, check_row, without_dropped
from imagen_batch.records import Options, Problem, PromptRow, Reference
from imagen_batch.settings import Settings
from imagen_batch.text import did_you_mean

TEMPLATE_FIELDS = ("row", "id", "slug", "model", "sample")
"""The fields of a name template besides the user's own columns."""

_MAX_RESOLVED = 1024
_MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(slots=True, unsafe_hash=True)
class PlannedRow:
    """A prompt row with everything resolved: model, text, samples, options and file name."""

    row: PromptRow
    model: Model
    prompt: str
    samples: int
    options: Options
    stem: str
    has_custom_name: bool  # the user chose the name
    stem_for_sample: Callable[[int], str] | None = None  # where the user's template contains the sample number
    references: tuple[Reference, ...] = ()
    shape: str | None = None  # a line about the named shape and its fit
    shares_name: bool = False  # an earlier row has the same name, on some disks at least: part of the key is added

    @property
    def earlier_prompt(self) -> str | None:
        """The text that earlier versions sent, if it differs. They sent no reference images."""
        if self.references:
            return None
        earlier = with_comma(self.row.prompt, self.row.style) if self.row.style else self.row.prompt
        return None if earlier == self.prompt else earlier

    @property
    def price(self) -> float | None:
        """Worst case in USD for one image; None when no price is known."""
        return self.model.worst_price(self.options.image_size, self.prompt, len(self.references))

    def image_name(self, number: int, key: str, base: str = "") -> str:
        """Return the path of a sample's image below the run folder, without extension.

        `key` is that of the request, `base` that of the row.
        """
        stem = self.stem if self.stem_for_sample is None else self.stem_for_sample(number)
        if self.shares_name and base:
            stem = f"{stem}_{base[:8]}"
        samples = self.samples if self.stem_for_sample is None else 1
        return image_name(stem, sample=number, key=key, extension="", named=self.has_custom_name, samples=samples)


@dataclass(frozen=True, slots=True)
class ResolvedOptions:
    """Model, checks and options that all rows with the same model, shape and option cells have in common."""

    model: Model
    issues: tuple[OptionIssue, ...]
    sent: Options
    shape: str | None = None  # a line about the named shape and its fit
    given: Options | None = None  # by the row; held so that no other object gets its identity


class RowPlanner:
    """Turns prompt rows into planned rows. Caches the options that many rows share."""

    def __init__(self, settings: Settings, catalogue: Catalogue, references: RunReferences | None = None) -> None:
        self._references = references or RunReferences()
        self.provider = settings.provider
        self._settings = settings
        self._catalogue = catalogue
        self._models: dict[str, Model | None] = {}
        self._run_options = settings.options
        self._template = settings.name_template
        self._by_sample = "sample" in (template_fields(self._template) if self._template else ())
        self._default_samples = settings.accept or settings.samples
        self._run_references = settings.references
        self._names = TakenNames()
        self._resolved: dict[tuple[str | None, int, str | None], ResolvedOptions] = {}
        self._resolve_cached = lru_cache(maxsize=1024)(self._resolve)
        self._shapes = read_shapes(settings)
        self._shape_cached = lru_cache(maxsize=1024)(self._shape_options)

    def plan_row(self, row: PromptRow) -> tuple[PlannedRow | None, list[Problem], list[OptionIssue]]:
        """Return the planned row (None if it has problems), its problems, and its warnings."""
        try:
            resolved = self.resolve(row)
        except UnknownShape as error:
            return None, [Problem(row.line, "shape", error.name, str(error)), *self._other_problems(row)], []
        if resolved is None:
            return None, list(self._other_problems(row)), []
        model = resolved.model
        samples = self.samples_of(row)
        prompt = with_style(row.prompt, row.style)
        issues = resolved.issues + check_row(model, samples=samples, prompt=prompt)
        problems = [_problem(row, issue) for issue in issues if issue.level == "error"] if issues else []
        warnings = [issue for issue in issues if issue.level == "warning"] if issues else []
        planned = PlannedRow(row, model, prompt, samples, resolved.sent, default_stem(row.row), has_custom_name=False)
        if row.references or self._run_references:
            problems += self._add_references(planned)
        planned.shape = resolved.shape
        if self._template is not None or row.filename:
            try:
                self._name(planned)
            except ValueError as error:
                problems.append(Problem(row.line, "filename", row.filename, str(error)))
        return (None if problems else planned), problems, warnings

    def _other_problems(self, row: PromptRow) -> Iterator[Problem]:
        """Yield the problems of a row without options: its model, its reference images and its file name."""
        if self.find_model(row.model or self._settings.model) is None:
            yield self._unknown_model(row)
        if row.references or self._run_references:
            yield from self._references.of_row(row, self._run_references).problems
        if self._template is None and row.filename:
            try:
                stem_from(row.filename)
            except ValueError as error:
                yield Problem(row.line, "filename", row.filename, str(error))

    def samples_of(self, row: PromptRow) -> int:
        """Return the number of samples that a row requests."""
        return row.samples or self._default_samples

    @property
    def decides_by_row(self) -> bool:
        """Whether rows with the same cells of options differ in more than their text and id."""
        return self._template is not None or bool(self._run_references)

    def resolve(self, row: PromptRow) -> ResolvedOptions | None:
        """Return model and options of a row; None for an unknown model. Raises UnknownShape."""
        return self._resolved.get((row.model, id(row.options), row.shape)) or self._resolve_row(row)

    def _resolve_row(self, row: PromptRow) -> ResolvedOptions | None:
        """Resolve the row's model and options, and remember the result for rows with the same object of options."""
        model = row.model or self._settings.model
        options, shape, shape_issues = self._shape_cached(model, row.options, row.shape)
        resolved = self._resolve_cached(model, options)
        if resolved is None:
            return None
        resolved = replace(resolved, issues=shape_issues + resolved.issues, shape=shape, given=row.options)
        if len(self._resolved) >= _MAX_RESOLVED:
            self._resolved.clear()
        self._resolved[row.model, id(row.options), row.shape] = resolved
        return resolved

    def _add_references(self, planned: PlannedRow) -> list[Problem]:
        """Add the row's reference images, and return the problems of those that can't be sent."""
        resolved = self._references.of_row(planned.row, self._settings.references)
        planned.references = resolved.references
        if resolved.references:
            identities = tuple(reference.identity for reference in resolved.references)
            planned.options = replace(planned.options, references=identities)
        request = RequestSize(planned.model, planned.prompt, self._settings.provider)
        return [*resolved.problems, *check_references(planned.row, resolved.references, request)]

    def find_model(self, name: str) -> Model | None:
        """Return the model of that name, with the run's corrections; None if it is unknown."""
        if name not in self._models:
            self._models[name] = self._corrected_model(name)
        return self._models[name]

    def _shape_options(
        self, model_name: str, options: Options, name: str | None
    ) -> tuple[Options, str | None, tuple[OptionIssue, ...]]:
        """Return a row's options with ratio and size of its shape, a line about it, and its issues."""
        model = self.find_model(model_name)
        try:
            shape = self._shapes.find(name)
        except UnknownShape as error:
            if error.certain:
                raise
            issue = OptionIssue("warning", "shape", error.name, f"{error}; it is your own column here")
            return options, None, (issue,)
        if shape is None or model is None:
            return options, None, ()
        draft = None if options.image_size else self._run_options.image_size
        fit = self._fit(shape, model, options, name)
        line = self._shapes.describe(shape, fit)
        if name or self._shapes.default:
            options = replace(options, aspect_ratio=fit.aspect_ratio, image_size=fit.image_size)
        return options, line, tuple(_resolution_issues(shape, fit, model, line, draft))

    def _fit(self, shape: Shape, model: Model, options: Options, name: str | None) -> Fit:
        """Fit the shape, where the user has not chosen ratio and size. `name` is the shape that the row names."""
        run = self._run_options
        ratio = options.aspect_ratio or (None if name else run.aspect_ratio)
        size = options.image_size or run.image_size
        if not name and not self._shapes.default:  # only the page is known: nothing is changed for it
            ratio, size = ratio or model.default_ratio, size or model.default_size
        return self._shapes.fit(shape, model, image_size=size, ratio=ratio)

    def _resolve(self, model_name: str, row_options: Options) -> ResolvedOptions | None:
        model = self.find_model(model_name)
        if model is None:
            return None
        options = _override(self._run_options, row_options)
        issues = check_options(model, options, provider=self._settings.provider)
        return ResolvedOptions(model, issues, without_dropped(options, issues))

    def _corrected_model(self, name: str) -> Model | None:
        settings = self._settings
        if not _MODEL_ID.fullmatch(name):  # it becomes part of a URL
            return None
        model = self._catalogue.get(name)
        if model is None and settings.dialect is not None:
            model = unknown_model(name, settings.dialect)
        if model is not None and settings.price is not None:
            model = override_price(model, settings.price)
        return model

    def _unknown_model(self, row: PromptRow) -> Problem:
        known = ", ".join(self._catalogue.ids())
        name = row.model or self._settings.model
        hint = did_you_mean(name, self._catalogue.ids())
        message = f"unknown model{hint or '.'} Known: {known}. For another one add --dialect {'|'.join(DIALECTS)}"
        return Problem(row.line if row.model else None, "model", name, message)

    def _name(self, planned: PlannedRow) -> None:
        """Give the row the user's name. Rows come in input order, and the first of two keeps the bare name."""
        planned.has_custom_name = True
        if self._template is None:
            planned.stem = stem_from(planned.row.filename or "")
        else:
            stem = partial(_stem_from_template, self._template, planned.row, planned.model.id)
            planned.stem = stem(1)
            planned.stem_for_sample = stem if self._by_sample and planned.samples > 1 else None
        names = (planned.image_name(number, "") for number in range(1, planned.samples + 1))
        planned.shares_name = not self._names.claim(names)


def _resolution_issues(shape: Shape, fit: Fit, model: Model, line: str, draft: str | None) -> Iterator[OptionIssue]:
    """Yield a warning if the images print below the resolution that is usual in books.

    `draft` is the size that the run gives to all rows: it has one warning for all shapes, which the plan lists.
    """
    if fit.dpi is None or round(fit.dpi) >= PRINT_DPI:
        return
    if draft:
        message = f"{draft} prints below {PRINT_DPI} dpi; the plan has the figures of each shape"
        yield OptionIssue("warning", "image_size", draft, message)
        return
    has_larger = fit.image_size and model.sizes and fit.image_size != model.sizes[-1]
    reason = "" if has_larger else f", {model.id} has nothing larger for it"
    yield OptionIssue("warning", "shape", shape.name, f"{line}: below {PRINT_DPI} dpi{reason}")


def _problem(row: PromptRow, issue: OptionIssue) -> Problem:
    """Describe a problem of the row, or, without a line, of an option that the run gives to every row."""
    of_row = issue.option == "prompt" or getattr(row.options, issue.option, None) is not None
    return Problem(row.line if of_row else None, issue.option, issue.found, issue.message)


def _stem_from_template(template: str, row: PromptRow, model: str, sample: int) -> str:
    values = (row.row, row.id or row.row, slug(row.prompt), model, sample)
    return stem_from_template(template, {**row.user, **dict(zip(TEMPLATE_FIELDS, values, strict=True))})


def _override(run: Options, row: Options) -> Options:
    values = set_options(row)
    return replace(run, **values) if values else run
