"""Turns options that are given with a file into cells of its rows, as settings apply to every row of a run."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

from imagen_batch.errors import SettingsInvalid
from imagen_batch.inputs.merge_rows import Cells, column_for_role
from imagen_batch.inputs.stored_input_and_settings import EXPANSION, READING
from imagen_batch.planning.plan import RunPlan
from imagen_batch.records import PromptRow
from imagen_batch.reports.next_steps import make_absolute
from imagen_batch.reports.tables.failures import original_cells
from imagen_batch.settings import Settings

# Settings that a row may have in a cell; that would change every row; and that describe the given file.
_CELLS = ("model", "samples", "aspect_ratio", "image_size", "person_generation", "negative_prompt", "seed")
_FIXED = ("provider", "dialect", "parameters", "name_template", "references", "shape", "shapes", "trim", "bleed")
_OF_THE_FILE = (*READING, *EXPANSION, "prompts", "out", "limit", "retry", "other_input")


@dataclass(frozen=True, slots=True)
class LineConverter:
    """Turns the lines of another file into cells of the folder's input."""

    names: dict[str, str]
    overrides: dict[str, str]
    default_samples: int

    def cells(self, row: PromptRow, ok: tuple[int, ...]) -> Cells:
        """Return the cells of a row. `ok` are its samples with images, which a smaller number must not drop."""
        cells = {self.names[name]: text for name, text in original_cells(row).items()}
        cells |= _with_overrides(cells, self.overrides)
        column = column_for_role("samples", list(cells))
        samples = row.samples or int(self.overrides.get("samples", self.default_samples))
        return {**cells, column: str(max(ok))} if ok and column in cells and samples < max(ok) else cells


def _with_overrides(cells: Cells, overrides: Cells) -> dict[str, str]:
    changed = {}
    for role, text in overrides.items():
        column = column_for_role(role, list(cells))
        if not cells.get(column, "").strip():
            changed[column] = text
    return changed


def find_overrides(given: RunPlan, stored: Settings) -> dict[str, str]:
    """Return the options that differ from the run's. They apply to the rows of this file only."""
    settings = given.settings
    explicit = settings.model_fields_set
    for name in _FIXED:
        if name in explicit and getattr(settings, name) != getattr(stored, name):
            raise SettingsInvalid(
                f"the run in {settings.folder} uses {name} {getattr(stored, name)!r}, which applies to all of its "
                f"rows. Leave it out, or run: {_command_without_environment(settings)}"
            )
    changed = {name: getattr(settings, name) for name in _CELLS if name in explicit}
    return {name: str(value) for name, value in changed.items() if value not in (None, getattr(stored, name))}


def _command_without_environment(settings: Settings) -> str:
    """Return a command that ignores the environment and imagen-batch.toml."""
    choice = [f"--{settings.other_input}"] if settings.other_input else []
    known = [make_absolute(settings.folder), "--prompts", make_absolute(settings.prompts)]
    return shlex.join(["imagen-batch", "resume", *known, *choice])


def run_settings(given: RunPlan, stored: Settings) -> Settings:
    """Return the run's settings, with the given ones that concern sending and spending."""
    settings = given.settings
    names = settings.model_fields_set - {*_CELLS, *_FIXED, *_OF_THE_FILE}
    # --limit applies to one run: a file that is added later is not shortened by the limit of an earlier run.
    reset: dict[str, Any] = {"retry": (), "other_input": None, "out": settings.folder, "limit": settings.limit}
    return stored.model_copy(update={**{name: getattr(settings, name) for name in names}, **reset})
