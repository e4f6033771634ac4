"""Selects the ordinary images of a block, and makes the manifest's columns of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from imagen_batch.images.compare_aspect_ratio import has_other_ratio
from imagen_batch.planning.resolve_rows import PlannedRow
from imagen_batch.records import ManifestRow, RequestTrace, SampleResult
from imagen_batch.reports.counters.lists_of_image_facts import ImageFacts
from imagen_batch.reports.image_blocks.field_reader import LISTS, FieldReader
from imagen_batch.reports.image_blocks.ledger_columns import LedgerColumns, is_missing
from imagen_batch.reports.image_blocks.rows_of_samples import RowsOfSamples, Shape
from imagen_batch.reports.manifest_rows import Results
from imagen_batch.reports.tables.arrow_columns import TIMESTAMP, Column, schema, to_array, to_timestamps

_NO_ERROR: Final = ("error", "error_kind")


@dataclass(frozen=True, slots=True)
class OrdinaryImages:
    """The ordinary images of a block, and their places in it."""

    places: Sequence[int]
    rows: RowsOfSamples
    ledger: LedgerColumns
    results: Results

    def batch(self, columns: Sequence[Column]) -> pa.RecordBatch:
        """Return the manifest's columns."""
        values = _Values(self)
        return pa.RecordBatch.from_arrays([values.array(column) for column in columns], schema=schema(columns))

    def facts(self) -> ImageFacts:
        """Return what the summary counts."""
        samples, traces = self.ledger.samples, self.ledger.traces
        return ImageFacts(
            rows=self.rows.facts(),
            numbers=samples["number"].to_pylist(),
            files=samples["file"].to_pylist(),
            widths=samples["width"].to_pylist(),
            heights=samples["height"].to_pylist(),
            models=self.rows.models(),
            provider=self.results.plan.settings.provider,
            costs=_certain_costs(samples).to_pylist(),
            recorded_costs=samples["cost_usd"].to_pylist(),
            cost_is=samples["cost_is"].to_pylist(),
            c2pa=samples["c2pa"].to_pylist(),
            finished_at=traces["finished_at"].to_pylist(),
            keys=traces["key"].to_pylist(),
            attempts=traces["attempts"].to_pylist(),
        )


def select_ordinary(
    places: Sequence[int],
    rows: RowsOfSamples,
    ledger: LedgerColumns,
    unchanged: Sequence[bool],
    results: Results,
) -> OrdinaryImages:
    """Return the ordinary ones among recorded images. `places` are theirs in the block."""
    checks = _without_remarks(ledger.samples), unchanged, _as_requested(rows, ledger.samples)
    if all(map(all, checks)):
        return OrdinaryImages(places, rows, ledger, results)
    chosen = [at for at, flags in enumerate(zip(*checks, strict=True)) if all(flags)]
    taken = ledger.take(pa.array(chosen, type=pa.int64()))
    return OrdinaryImages([places[at] for at in chosen], rows.take(chosen), taken, results)


def _without_remarks(samples: Mapping[str, pa.Array]) -> list[bool]:
    """Return for each image whether its record has neither an error nor a warning."""
    checks = [pc.fill_null(pc.equal(samples["status"], "ok"), fill_value=False), pc.is_valid(samples["file"])]
    checks += [pc.is_null(samples[name]) for name in _NO_ERROR]
    checks += [is_missing(samples[name]) for name in LISTS]
    flags: list[bool] = reduce(pc.and_, checks).to_pylist()
    return flags


def _as_requested(rows: RowsOfSamples, samples: Mapping[str, pa.Array]) -> list[bool]:
    """Return for each image whether neither its shape nor a name of a shape in its row needs a closer look."""
    sizes = (samples[name].to_pylist() for name in ("width", "height"))
    images = list(zip(*sizes, rows.shapes(), strict=True))
    known = {image: _is_as_requested(*image) for image in set(images)}
    return [known[image] for image in images]


def _is_as_requested(width: int | None, height: int | None, shape: Shape | None) -> bool:
    return shape is not None and not has_other_ratio(width, height, shape[0], dialect=shape[1])


def _certain_costs(samples: Mapping[str, pa.Array]) -> pa.Array:
    """Return the costs, without those that are not known to have been charged."""
    is_unknown = pc.fill_null(pc.equal(samples["cost_is"], "unknown"), fill_value=False)
    return pc.if_else(is_unknown, pa.scalar(None, type=pa.float64()), samples["cost_usd"])


class _Values:
    """Looks up the values of columns, each by what it depends on."""

    def __init__(self, images: OrdinaryImages) -> None:
        self._rows, self._ledger, self._results = images.rows, images.ledger, images.results

    def array(self, column: Column) -> pa.Array:
        """Return the values of a column."""
        if (of_name := _BY_NAME.get((column.part, column.name))) is not None:
            return of_name(self, column)
        if column.part in {"row", "options"}:
            return self._rows.array(column)
        if column.part == "entry":
            return self._of_entries(column)
        recorded = self._ledger.samples if column.part == "sample" else self._ledger.traces
        if column.attribute is None:
            return self._of_fields(column, FieldReader(recorded))
        return _as_type(recorded[column.attribute], column)

    def of_rows(self, column: Column) -> pa.Array:
        """Return what was sent."""
        return self._rows.array(column)

    def costs(self, _column: Column) -> pa.Array:
        """Return what was certainly charged."""
        return _certain_costs(self._ledger.samples)

    def providers(self, column: Column) -> pa.Array:
        """Return the provider of the run."""
        return self.constant(column, self._results.plan.settings.provider)

    def references(self, column: Column) -> pa.Array:
        """Return the reference images of the rows."""
        if not self._rows.have_references:
            return self.constant(column, None)
        rows = map(self._rows.planned, range(len(self._rows)))
        return to_array([";".join(self._results.references(planned)) or None for planned in rows], column.type)

    def constant(self, column: Column, value: object) -> pa.Array:
        """Return the same value for each image."""
        return pa.repeat(to_array([value], column.type)[0], len(self._rows))

    def _of_fields(self, column: Column, reader: FieldReader) -> pa.Array:
        """Return a column that is computed from some fields of a sample or a trace."""
        first = column.take(reader)
        if reader.has_only_read_nulls():
            return self.constant(column, first)
        return to_array([column.take(reader.at(row)) for row in range(len(self._rows))], column.type)

    def _of_entries(self, column: Column) -> pa.Array:
        """Return a column that is computed from whole rows."""
        samples = _rebuild(SampleResult, self._ledger.samples)
        traces = _rebuild(RequestTrace, self._ledger.traces)
        entries = map(self._entry, map(self._rows.planned, range(len(self._rows))), samples, traces)
        return to_array([column.take(entry) for entry in entries], column.type)

    def _entry(self, planned: PlannedRow, sample: SampleResult, trace: RequestTrace) -> ManifestRow:
        return ManifestRow(
            planned.row,
            sample,
            trace,
            planned.model.id,
            self._results.plan.settings.provider,
            planned.model.dialect,
            planned.prompt,
            planned.options,
            references=self._results.references(planned),
        )


# The columns of ordinary images that are not just an attribute of a part.
_BY_NAME: Final[Mapping[tuple[str, str], Callable[[_Values, Column], pa.Array]]] = {
    ("entry", "prompt"): _Values.of_rows,
    ("entry", "model"): _Values.of_rows,
    ("entry", "dialect"): _Values.of_rows,
    ("entry", "provider"): _Values.providers,
    ("entry", "version"): lambda values, column: values.constant(column, 1),
    ("entry", "review"): lambda values, column: values.constant(column, None),
    ("entry", "cost_usd"): _Values.costs,
    ("entry", "references"): _Values.references,
    ("sample", "filter_codes"): lambda values, column: values.constant(column, None),
    ("sample", "warnings"): lambda values, column: values.constant(column, None),
}


def _as_type(values: pa.Array, column: Column) -> pa.Array:
    return to_timestamps(values) if column.type == TIMESTAMP else values


def _rebuild(kind: type[Any], columns: Mapping[str, pa.Array]) -> list[Any]:
    """Return values of a class from the columns of its fields. Lists of texts are empty for ordinary images."""
    names = [field.name for field in fields(kind) if field.name not in LISTS]
    rows = zip(*(columns[name].to_pylist() for name in names), strict=True)
    return [kind(**dict(zip(names, row, strict=True))) for row in rows]
