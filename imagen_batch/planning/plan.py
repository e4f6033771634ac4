"""The plan of a run: its checked input, what it would send, and what that may cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from imagen_batch.errors import SettingsInvalid
from imagen_batch.expansion import Expansion
from imagen_batch.ledger.history import History
from imagen_batch.ledger.records import ReviewedVersion
from imagen_batch.planning.checking.open_and_expand_prompt_file import fingerprint, open_unexpanded
from imagen_batch.planning.checking.plan_builder import is_selected
from imagen_batch.planning.checking.row_totals import RowTotals
from imagen_batch.planning.compact_row_index import PendingRow, RowIndex
from imagen_batch.planning.input_origin import Origin
from imagen_batch.planning.references.find_reference_images import RunReferences
from imagen_batch.planning.resolve_rows import PlannedRow, RowPlanner
from imagen_batch.planning.samples.sample_counts_for_accept import samples_to_request, usable_samples
from imagen_batch.prompts import PromptFile
from imagen_batch.prompts.infer_column_types import TEXT, ColumnType
from imagen_batch.prompts.sources import Spool
from imagen_batch.providers.catalogue import Catalogue, Model
from imagen_batch.records import Move, Problem, PromptRow
from imagen_batch.settings import Settings

if TYPE_CHECKING:
    from imagen_batch.planning.plan_rows_in_blocks import PlannedBlock


@dataclass(frozen=True)
class RunPlan:
    """A checked and counted input, with the settings of the run that will send it.

    Only its index changes: it may give rows the keys of an earlier version again.
    """

    settings: Settings
    catalogue: Catalogue
    file: PromptFile
    today: date
    index: RowIndex
    totals: RowTotals
    file_warnings: tuple[str, ...] = ()  # about the user's file; the run's copy of it may have other ones
    row_warnings: tuple[str, ...] = ()
    fingerprint: tuple[int, int] | None = None  # size and time of the file before it was read
    samples_to_remake: tuple[PendingRow, ...] | None = None  # those that a repair makes again; no others are sent
    spool: Spool | None = None  # a temporary input: standard input, or one that was merged from several files
    source: Path | None = None  # the user's own file; None for standard input
    only: frozenset[int] | None = None  # rows that a failures.csv names: no others are sent
    origin: Origin | None = None  # of an input that the folder has stored, or that was made from one
    moves: tuple[Move, ...] = ()  # images that now belong to rows whose text was edited
    decisions: tuple[ReviewedVersion, ...] = ()  # of a review.csv, to be recorded
    basis: bytes | None = None  # of the folder's run.json when this was made from its input
    notices: tuple[str, ...] = ()  # about a file that this was made from
    references: RunReferences = field(default_factory=RunReferences)
    edited_failures_sha256: str | None = None  # SHA-256 of the failures.csv that this was made from
    expansion: Expansion = field(default_factory=Expansion)
    column_types: Mapping[str, ColumnType] = field(default_factory=dict)  # of the user's own columns

    @property
    def rows(self) -> int:
        """Rows of the whole input."""
        return self.totals.rows

    @property
    def samples(self) -> int:
        """Samples of the whole input."""
        return self.totals.samples

    @property
    def selected_rows(self) -> int:
        """Rows that --limit and a failures.csv select."""
        return self.totals.selected_rows

    @property
    def selected_samples(self) -> int:
        """Samples of the selected rows."""
        return self.totals.selected_samples

    @property
    def requests(self) -> int:
        """Requests for all selected samples."""
        return self.totals.requests

    @property
    def images_by_model(self) -> Counter[str]:
        """Selected samples of each model."""
        return self.totals.images_by_model

    @property
    def disk_bytes(self) -> int:
        """An estimate of the space that the images of the selected rows take."""
        return self.totals.disk_bytes

    @property
    def names(self) -> list[str]:
        """The names of the first few images."""
        return self.totals.names

    @property
    def user_columns(self) -> dict[str, ColumnType]:
        """The user's own columns, in order, with their types."""
        return {name: self.column_types.get(name, TEXT) for name in self.file.user_columns}

    @property
    def warnings(self) -> list[str]:
        """The warnings for the user, one sentence each."""
        return [*self.notices, *self.file_warnings, *self.row_warnings]

    @property
    def end_notices(self) -> tuple[str, ...]:
        """What the user should know about models that end soon, one sentence each."""
        ends = (model.end_notice(self.settings.provider, self.today) for model in self.models().values())
        return tuple(filter(None, ends))

    def models(self) -> dict[str, Model]:
        """Return the models that rows ask for, with the user's corrections."""
        planner = RowPlanner(self.settings, self.catalogue)
        return {name: model for name in self.images_by_model if (model := planner.find_model(name))}

    def planned_rows(self) -> Iterator[PlannedRow]:
        """Read the file again and yield each row with its options resolved, in input order."""
        yield from self._plan(self.file.rows(), RowPlanner(self.settings, self.catalogue, self.references))

    def planned_blocks(self) -> Iterator[PlannedBlock | Iterator[PlannedRow]]:
        """Yield the same rows in blocks, where that is possible. Single rows are read before the next block is."""
        from imagen_batch.planning.plan_rows_in_blocks import PlannedBlock, resolve_kinds  # noqa: PLC0415 - for tables

        planner = RowPlanner(self.settings, self.catalogue, self.references)
        for rows in self.file.row_blocks():
            if isinstance(rows, Iterator):
                yield self._plan(rows, planner)
            elif (resolved := resolve_kinds(rows, planner)) is not None:
                yield PlannedBlock(rows, resolved, self.index.samples_of_rows(rows.first_row, len(rows)), planner)
            else:
                yield self._plan(rows.single_rows(), planner)

    def _plan(self, rows: Iterator[PromptRow | Problem], planner: RowPlanner) -> Iterator[PlannedRow]:
        for row in rows:
            assert isinstance(row, PromptRow)
            planned, _, _ = planner.plan_row(row)
            assert planned is not None
            if self.index.uses_earlier_key(row.row):
                planned.prompt = planned.earlier_prompt or planned.prompt
            planned.samples = self.index.samples(row.row)
            yield planned

    def follow(self, history: History, *, refresh: bool = False) -> None:
        """Give rows the keys and the numbers of samples that they have in the ledger."""
        if self.settings.accept is None:
            self.index.follow(history, refresh=refresh)
        else:
            self.index.follow(history, refresh=refresh, adjust=partial(self._set_samples_to_accept, history))

    def _set_samples_to_accept(self, history: History, row: int) -> None:
        """Set the number of samples of a row that --accept may need, and how many images it still wants."""
        base, index = self.index.row_key(row), self.index
        requested = samples_to_request(base, index.wanted(row), history, self.settings)
        if requested != index.samples(row):
            index.set_samples(row, requested)
        index.set_missing(row, index.wanted(row) - usable_samples(base, requested, history))

    def selects(self, row: int) -> bool:
        """Return whether this run sends anything for a row of its input."""
        return is_selected(row, limit=self.settings.limit, only=self.only)

    def without_selection(self) -> RunPlan:
        """Return the plan of a run that requests all of the same input."""
        return replace(self, only=None, samples_to_remake=None)

    def reading_copy(self, copy: Path, settings: Settings) -> RunPlan:
        """Return a plan that reads its rows from a copy of the file, as `settings` say.

        Raises SettingsInvalid if the file changed since it was checked, so that the copy may contain other rows.
        """
        original = self.file.path
        if fingerprint(original) != self.fingerprint and not copy.samefile(original):
            raise SettingsInvalid(f"{original} was changed while it was read: nothing was sent; start again")
        return replace(self, file=self.expansion.apply_to(open_unexpanded(copy, settings, format=self.file.format)))

    def delete_spool(self) -> None:
        """Delete the temporary input, if there is one."""
        if self.spool is not None:
            self.spool.remove()
