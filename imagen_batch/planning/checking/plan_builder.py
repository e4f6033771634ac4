"""Counts and checks the rows of a prompt file, one by one, for the plan of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagen_batch.images.reserve_disk_space import estimate_bytes
from imagen_batch.planning.checking.row_totals import RowTotals
from imagen_batch.planning.compact_row_index import RowIndex
from imagen_batch.planning.file_names import default_stem, split_words
from imagen_batch.planning.keys import RowKeys, identity_options
from imagen_batch.planning.references.choose_images_of_other_rows import Waiting
from imagen_batch.planning.references.find_reference_images import RunReferences
from imagen_batch.planning.references.keys_from_row_images import RowImages
from imagen_batch.planning.references.limits import REQUEST_BYTES, request_bytes
from imagen_batch.planning.references.row_links import Dependent, KnownIds, link_rows, order_rows, unplanned_dependent
from imagen_batch.planning.resolve_rows import PlannedRow, RowPlanner
from imagen_batch.prompts import PromptFile
from imagen_batch.prompts.infer_column_types import ColumnTypes
from imagen_batch.providers.catalogue import Catalogue
from imagen_batch.records import Problem, PromptRow
from imagen_batch.settings import Settings

if TYPE_CHECKING:
    from imagen_batch.planning.checking.count_rows_in_blocks import RowsToCount
    from imagen_batch.prompts.row_blocks.rows_as_columns import RowBlock

_MAX_PROBLEMS = 10_000
_MAX_NAMES = 3


@dataclass(slots=True)
class RowWarning:
    """A warning that may concern many rows."""

    option: str
    message: str
    line: int  # of the first row
    count: int = 0

    def __str__(self) -> str:
        rows = f"line {self.line}" if self.count == 1 else f"{self.count:,} rows, first in line {self.line}"
        return f"{self.option}: {self.message} ({rows})"


class PlanBuilder:
    """Collects the rows of an input. `only` are the rows that the run selects; None means that --limit selects."""

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        only: frozenset[int] | None,
        references: RunReferences | None = None,
    ) -> None:
        self.index = RowIndex()
        self.totals = RowTotals()
        self.problems: list[Problem] = []
        self._references = references or RunReferences()
        self._dependents: dict[int, Dependent] = {}  # rows that refer to images of other rows
        self._has_unread_rows = False
        self._unplanned: dict[int, Dependent] = {}  # those that have other problems
        self._default_samples = settings.samples
        variants = bool(settings.matrix) or self._references.variants
        self._known_ids = KnownIds(variants, self._references.stored_ids)
        self._provider = settings.provider
        self.planner = RowPlanner(settings, catalogue, self._references)
        self._catalogue = catalogue
        self._limit = settings.limit
        self._only = only
        self._keys = RowKeys(settings.provider)
        self._run_problems: set[Problem] = set()  # about an option of the run, which every row repeats
        self._warnings: dict[tuple[str, str], RowWarning] = {}
        self.column_types = ColumnTypes(())

    @property
    def warnings(self) -> list[str]:
        """The warnings about rows, one sentence each."""
        return [str(warning) for warning in self._warnings.values()]

    def read(self, file: PromptFile) -> None:
        """Add all rows of `file`; stop early if there are too many problems."""
        self.column_types = ColumnTypes(file.user_columns)
        selects_all = self._limit is None and self._only is None
        for rows in file.row_blocks() if selects_all and file.is_long else (file.rows(),):
            self._read_block(rows)
            if len(self.problems) >= _MAX_PROBLEMS:
                break
        if (self._dependents or self._unplanned) and len(self.problems) < _MAX_PROBLEMS:
            self._link_rows(file)

    def _read_block(self, rows: RowBlock | Iterator[PromptRow | Problem]) -> None:
        if isinstance(rows, Iterator):
            self._read_rows(rows)
            return
        from imagen_batch.planning.checking.count_rows_in_blocks import rows_to_count  # noqa: PLC0415 - for long files

        countable = None if self._keys.has_earlier else rows_to_count(rows, self.planner)
        if countable is None:
            self._read_rows(rows.single_rows())
        else:
            self._count_rows(countable)

    def _read_rows(self, rows: Iterator[PromptRow | Problem]) -> None:
        for row in rows:
            if isinstance(row, Problem):
                self.problems.append(row)
                self._has_unread_rows = True
            else:
                self._add(row)
            if len(self.problems) >= _MAX_PROBLEMS:
                break

    def _link_rows(self, file: PromptFile) -> None:
        """Find the rows whose images others refer to, and the order in which they are made."""
        rows = (row for row in file.rows() if isinstance(row, PromptRow))
        dependents = self._dependents | self._unplanned
        known = self._with_ids_of_unread_rows(file) if self._has_unread_rows else self._known_ids
        self.problems += link_rows(dependents, rows, default_samples=self._default_samples, known=known)
        ordered, cycles = order_rows(dependents)
        self.problems += cycles
        self.problems.sort(key=lambda problem: problem.line or 0)
        if self._unplanned:  # there is no plan
            return
        images = RowImages(self._dependents, ordered, self._keys.occurrences, {}, {})
        images.waiting.update(
            dict.fromkeys(self._dependents, Waiting("reference_pending", "an image is not made yet"))
        )
        self.index.images = self._references.images = images

    def _with_ids_of_unread_rows(self, file: PromptFile) -> KnownIds:
        """Return what `@id` may mean where some rows have problems: their ids count, as far as they can be read."""
        if self._known_ids.variants:  # whose ids are not those of the file
            return self._known_ids._replace(complete=False)
        ids = set(file.ids())
        stored = self._known_ids.stored_ids.union(name for name in ids if name)
        return self._known_ids._replace(stored_ids=stored, complete=None not in ids)

    def _add(self, row: PromptRow) -> None:
        planned, problems, issues = self.planner.plan_row(row)
        self.totals.rows += 1
        self.column_types.add(row.user)
        if problems:
            self._add_problems(problems)
            if (dependent := unplanned_dependent(row)) is not None:
                self._unplanned[row.row] = dependent
        for issue in issues:
            self._warn(row, issue.option, issue.message)
        if row.style:
            self._warn(row, "style", "is added to the end of the prompt")
        if planned is not None:
            self._count(planned)
            if planned.has_custom_name:
                self._check_name(planned)

    def _add_problems(self, problems: Iterable[Problem]) -> None:
        self.problems += (
            problem for problem in problems if problem.line is not None or problem not in self._run_problems
        )
        self._run_problems.update(problem for problem in problems if problem.line is None)

    def _count_rows(self, block: RowsToCount) -> None:
        """Count rows that are all selected; the same as adding each of them."""
        totals, rows, own = self.totals, block.rows, block.rows.own_cells()
        self.column_types.add_columns(lambda header: own[header].unique().to_pylist())
        samples, requests, prices = block.samples(), block.requests(), block.prices()
        self.index.add_rows(
            self._keys.number(block.digests(self._keys)), samples, per_request=requests, prices=prices
        )
        totals.add_rows(samples, requests, prices)
        for resolved, count in block.count_by_kind():
            totals.add_images(resolved, count)
        for model, usd in block.successor_costs(self._catalogue):
            totals.successor_usd[model] += usd
        missing_names = range(rows.first_row, rows.first_row + min(len(rows), _MAX_NAMES - len(totals.names)))
        totals.names += map(default_stem, missing_names)

    def _count(self, planned: PlannedRow) -> None:
        base, earlier = self._keys.row_keys(
            model=planned.model.id,
            prompt=planned.prompt,
            options=identity_options(planned.options, dialect=planned.model.dialect),
            earlier_prompt=planned.earlier_prompt if planned.row.style else None,
        )
        if planned.references and any(reference.is_row_image for reference in planned.references):
            self._add_dependent(planned, base)
        per_request, price, totals = planned.model.samples_per_request, planned.price, self.totals
        self.index.add(base, planned.samples, per_request=per_request, price=price, earlier=earlier)
        totals.samples += planned.samples
        if not is_selected(totals.rows, limit=self._limit, only=self._only):
            return
        totals.selected_rows += 1
        totals.selected_samples += planned.samples
        totals.requests += -(-planned.samples // per_request)
        totals.images_by_model[planned.model.id] += planned.samples
        shape = (planned.model.id, planned.options.aspect_ratio, planned.options.image_size)
        totals.images_by_shape[shape] += planned.samples
        if planned.shape is not None:
            totals.shapes[planned.shape] += planned.samples
        totals.disk_bytes += planned.samples * estimate_bytes(planned.options.image_size)
        if planned.model.successor:
            self._count_successor(planned, planned.model.successor)
        if price is None:
            totals.unpriced += planned.samples
        else:
            totals.worst_usd += price * planned.samples
        if totals.first_prompt is None and planned.row.input_prompt is not None:
            totals.first_prompt = planned.prompt
        if len(totals.names) < _MAX_NAMES:
            totals.names.append(planned.stem)

    def _add_dependent(self, planned: PlannedRow, placeholder: str) -> None:
        model, prompt = planned.model, planned.prompt
        options = identity_options(planned.options, dialect=model.dialect)
        self._dependents[planned.row.row] = Dependent(
            row=planned.row.row,
            line=planned.row.line,
            id=planned.row.id,
            samples=planned.samples,
            plain=self._keys.plain(model=model.id, prompt=prompt, options=options),
            placeholder=placeholder,
            references=planned.references,
            of_characters=planned.row.of_characters,
            room=REQUEST_BYTES[self._provider] - request_bytes(planned.references, prompt),
        )

    def _count_successor(self, planned: PlannedRow, successor_id: str) -> None:
        successor = self._catalogue.get(successor_id)
        usd = None
        if successor is not None:
            usd = successor.worst_price(planned.options.image_size, planned.prompt, len(planned.references))
        self.totals.successor_usd[planned.model.id] += (usd or 0.0) * planned.samples

    def _check_name(self, planned: PlannedRow) -> None:
        self.totals.has_names = True
        if words := split_words(planned.stem):
            message = (
                f'contains {words[0]!r}: load_dataset("imagefolder", data_dir=...) would leave out all files without '
                "that word; rename it, or load the folder itself, load_dataset(DIR), which has all of them"
            )
            self._warn(planned.row, "file name", message)
        if planned.shares_name:
            message = "an earlier row has the same one, at least on some disks; a short code is added to the second"
            self._warn(planned.row, "file name", message)

    def _warn(self, row: PromptRow, option: str, message: str) -> None:
        self._warnings.setdefault((option, message), RowWarning(option, message, row.line)).count += 1


def is_selected(row: int, *, limit: int | None, only: frozenset[int] | None) -> bool:
    """Return whether a run with this selection sends anything for a row of its input."""
    if only is not None:
        return row in only
    return limit is None or row <= limit
