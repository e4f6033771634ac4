"""Tests that columns computed from several fields have the same values for ordinary images as for single rows."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from imagen_batch.reports.image_blocks.field_reader import FieldReader
from imagen_batch.reports.image_blocks.read_blocks import read_blocks
from imagen_batch.reports.tables.arrow_columns import INT, TEXT, Column, to_batch
from tests.reports.test_image_blocks import results_of
from tests.support.random_ledgers import random_run

COLUMNS = (
    Column("a note and a status", TEXT, "sample", lambda sample: f"{sample.note} {sample.status} {sample.warnings}"),
    Column("a safety text", TEXT, "sample", lambda sample: (sample.safety or "").upper() or None),
    Column("a reason", TEXT, "sample", lambda sample: sample.reason or sample.filter_stage),
    Column("seconds", INT, "trace", lambda trace: int(trace.finished_at or 0) - int(trace.sent_at or 0)),
    Column("a whole row", TEXT, "entry", lambda entry: f"{entry.prompt} {entry.sample.file} {entry.cost_usd}"),
    Column("options", TEXT, "options", lambda options: f"{options.aspect_ratio} {options.seed}"),
)


@pytest.mark.parametrize("seed", range(12))
def test_computed_columns_have_the_values_of_single_rows(tmp_path: Path, seed: int) -> None:
    """Whichever fields they read."""
    plan = random_run(tmp_path, seed, ordinary=0.9)
    blocks = [block.batch for block in read_blocks(results_of(tmp_path, plan), COLUMNS, block_rows=5)]
    assert pa.Table.from_batches(blocks) == pa.Table.from_batches(
        [to_batch(list(results_of(tmp_path, plan).rows()), COLUMNS)]
    )


def test_rows_are_alike_only_where_no_row_has_a_value() -> None:
    """A null in the first row says nothing about the others."""
    reader = FieldReader({"safety": pa.array([None, "x"]), "note": pa.array([None, None], type=TEXT)})
    assert reader.note is None
    assert reader.has_only_read_nulls()
    assert reader.safety is None
    assert not reader.has_only_read_nulls()
    assert reader.at(1).safety == "x"
