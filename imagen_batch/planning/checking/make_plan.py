"""Makes the plan of a run: every row is checked once, before anything is sent or written."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import IO

from imagen_batch.errors import InputInvalid, SettingsInvalid
from imagen_batch.planning.checking.open_and_expand_prompt_file import fingerprint, open_unexpanded, read_expansion
from imagen_batch.planning.checking.plan_builder import PlanBuilder
from imagen_batch.planning.checking.refuse_retired_or_unpriced import refuse_retired_models, refuse_unpriced_limits
from imagen_batch.planning.file_names import check_template
from imagen_batch.planning.plan import RunPlan
from imagen_batch.planning.references.find_reference_images import RunReferences
from imagen_batch.planning.resolve_rows import TEMPLATE_FIELDS
from imagen_batch.prompts import PromptFile
from imagen_batch.prompts.column_by_name import find_column
from imagen_batch.prompts.sources import Spool, Unreadable, is_stream, stream_blocks
from imagen_batch.providers.catalogue import Catalogue, load_catalogue
from imagen_batch.records import Problem
from imagen_batch.settings import Settings


def make_plan(
    settings: Settings,
    *,
    today: date,
    stdin: IO[bytes] | None = None,
    only: frozenset[int] | None = None,
    allow_retired: bool = False,
    references: RunReferences | None = None,
) -> RunPlan:
    """Read and check the whole input. `only` selects rows; `allow_retired` accepts models that are shut down.

    `references` finds reference images; without it, paths are relative to the folder of the prompt file.

    Raises InputInvalid with every problem of the file, SettingsInvalid for an option that can't be applied.
    """
    spool = _spool_input(settings.prompts, stdin) if is_stream(settings.prompts) else None
    path = spool.path if spool else Path(settings.prompts)
    references = references or RunReferences(Path.cwd() if spool else path.parent)
    try:
        plan = _plan_file(path, settings, today=today, only=only, allow_retired=allow_retired, references=references)
    except BaseException:
        if spool:
            spool.remove()
        raise
    source = None if spool else Path(os.path.abspath(path))  # noqa: PTH100 - links are kept as the user made them
    return replace(plan, spool=spool, source=source)


def _plan_file(
    path: Path,
    settings: Settings,
    *,
    today: date,
    only: frozenset[int] | None,
    allow_retired: bool,
    references: RunReferences,
) -> RunPlan:
    settings = references.with_absolute_paths(settings)
    before = fingerprint(path)
    expansion = read_expansion(settings)
    file = expansion.apply_to(open_unexpanded(path, settings))
    catalogue = load_catalogue(settings.models)
    builder = _check_rows(file, settings, catalogue, only, references)
    if not allow_retired:
        refuse_retired_models(builder, settings, today)
    refuse_unpriced_limits(builder.totals, settings)
    return RunPlan(
        settings=settings,
        catalogue=catalogue,
        file=file,
        today=today,
        index=builder.index,
        totals=builder.totals,
        file_warnings=file.warnings,
        row_warnings=tuple(builder.warnings),
        fingerprint=before,
        only=only,
        references=references,
        expansion=expansion,
        column_types=builder.column_types.types(),
    )


def _check_rows(
    file: PromptFile,
    settings: Settings,
    catalogue: Catalogue,
    only: frozenset[int] | None,
    references: RunReferences,
) -> PlanBuilder:
    """Check and count all rows. Raises InputInvalid, or SettingsInvalid if all problems are in the run's options."""
    _check_template(settings, file)
    if settings.group_by is not None and not file.failures:  # whose columns a spreadsheet may have dropped
        find_column(settings.group_by, file.columns, option="--group-by")
    builder = PlanBuilder(settings, catalogue, only, references)
    builder.read(file)
    problems = builder.problems
    if not problems and not builder.totals.rows:
        problems = [Problem(None, None, None, "there are no prompts in the file")]
    if problems and all(problem.line is None and problem.column for problem in problems):
        sentences = (f"{problem.column} {problem.found!r}: {problem.message}" for problem in problems)
        raise SettingsInvalid("\n".join(sentences))
    if problems:
        raise InputInvalid(problems)
    return builder


def _check_template(settings: Settings, file: PromptFile) -> None:
    if settings.name_template is None:
        return
    try:
        check_template(settings.name_template, (*TEMPLATE_FIELDS, *file.user_columns))
    except ValueError as error:
        raise SettingsInvalid(f"--name-template: {error}") from error


def _spool_input(name: str, stdin: IO[bytes] | None) -> Spool:
    try:
        spool = Spool()
        spool.fill(stream_blocks(name, stdin=stdin))
    except OSError as error:
        message = str(error) if isinstance(error, Unreadable) else f"can't be read: {error.strerror or error}"
        raise InputInvalid([Problem(None, None, name, message)]) from error
    return spool
