"""Tests that blocks of columns have the values of single rows, in every table and in the summary."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagen_batch.errors import LedgerDamaged
from imagen_batch.ledger.records import ReviewedVersion
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.planning.plan import RunPlan
from imagen_batch.reports.image_blocks import samples_in_blocks as samples_in_blocks_module
from imagen_batch.reports.image_blocks.ledger_columns import NotColumnar, parse_records
from imagen_batch.reports.image_blocks.read_blocks import read_blocks
from imagen_batch.reports.image_blocks.rows_of_samples import ColumnRows, SingleRows
from imagen_batch.reports.image_blocks.samples_in_blocks import samples_in_blocks
from imagen_batch.reports.manifest_rows import Results
from imagen_batch.reports.summary import RunFacts, Summary, SummaryBuilder
from imagen_batch.reports.tables.manifest import manifest_columns
from imagen_batch.reports.tables.write import TableWriter
from imagen_batch.storage import LEDGER, Folder
from tests.support.factories import ok
from tests.support.plans import history_of, record_images, record_result, small_plan
from tests.support.random_ledgers import random_run
from tests.support.small_blocks import in_blocks

NOW = datetime(2026, 11, 27, tzinfo=UTC)
SINCE = 1_764_000_001.5


def results_of(folder: Path, plan: RunPlan) -> Results:
    """Return the results of the run in `folder/out`."""
    return Results(plan, history_of(folder), Folder(folder / "out"))


def write(
    results: Results,
    target: Path,
    *,
    block_rows: int | None,
    group_by: str | None = None,
    batch_rows: int = 10_000,
) -> tuple[dict[str, bytes], Summary, int]:
    """Write all tables from single rows, or from blocks; return their bytes, the summary, and the ordinary images."""
    builder = SummaryBuilder.of_run(results.plan.settings, since=SINCE, group_by=group_by)
    file, ordinary = results.plan.file, 0
    with TableWriter(
        Folder(target),
        user_columns=results.plan.user_columns,
        columns=file.columns,
        provider="simulator",
        batch_rows=batch_rows,
    ) as tables:
        if block_rows is None:
            for row in results.rows():
                tables.add(row)
                builder.add(row)
        else:
            for block in read_blocks(results, tables.columns, block_rows=block_rows):
                tables.add_block(block)
                builder.add_block(block)
                ordinary += len(block.images)
    assert not tables.unwritten
    facts = RunFacts(out="out", provider="simulator", started_at=NOW, finished_at=NOW)
    files = {path.name: path.read_bytes() for path in target.iterdir() if path.is_file()}
    return files, builder.build(facts), ordinary


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    ordinary=st.sampled_from([0.3, 0.8, 0.97]),
    block_rows=st.sampled_from([1, 4, 2000]),
    block_bytes=st.sampled_from([20, 100, 10_000]),
    batch_rows=st.sampled_from([1, 60, 10_000]),
)
def test_blocks_and_single_rows_give_the_same_tables(
    *, seed: int, ordinary: float, block_rows: int, block_bytes: int, batch_rows: int
) -> None:
    """Whatever ledger, reviews and files are: the bytes of each table, and every figure of the summary."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        plan = random_run(folder, seed, ordinary=ordinary)
        results, target = results_of(folder, plan), folder / "rows" / "out"
        rows, by_rows, _ = write(results, target, block_rows=None, batch_rows=batch_rows)
        with in_blocks(block_bytes):
            results, target = results_of(folder, plan), folder / "blocks" / "out"
            blocks, by_blocks, _ = write(results, target, block_rows=block_rows, batch_rows=batch_rows)
    assert blocks == rows
    assert by_blocks == by_rows


def test_images_without_remarks_are_read_as_columns(tmp_path: Path) -> None:
    """Otherwise the comparison above would compare single rows with themselves."""
    samples = ordinary = 0
    for seed in range(12):
        place = folder_of(tmp_path, seed)
        plan = random_run(place, seed, ordinary=1.0)
        *_, count = write(results_of(place, plan), place / "tables", block_rows=7)
        samples, ordinary = samples + plan.samples, ordinary + count
    assert ordinary > samples / 3


def test_rows_of_the_input_are_read_as_columns(tmp_path: Path) -> None:
    """In some of these folders; in others a row has a style, a shape, or a prompt of several lines."""
    kinds = {
        type(rows)
        for seed in range(12)
        for rows, _ in samples_in_blocks(
            random_run(folder_of(tmp_path, seed), seed, ordinary=1.0).planned_blocks(), block_rows=7
        )
    }
    assert kinds == {ColumnRows, SingleRows}


def folder_of(parent: Path, seed: int) -> Path:
    """Make a folder for the run with this seed."""
    folder = parent / str(seed)
    folder.mkdir()
    return folder


def test_a_damaged_record_is_reported_as_for_a_single_row(tmp_path: Path) -> None:
    """Arrow does not understand the line either, and the reader of single records names file and byte."""
    plan = small_plan(tmp_path, [{"prompt": "fox"}])
    record_images(tmp_path, plan)
    results = results_of(tmp_path, plan)
    (ledger,) = (tmp_path / "out" / LEDGER).glob("*.jsonl")
    ledger.write_bytes(ledger.read_bytes().replace(b'"number":1', b'"number":x'))
    with pytest.raises(LedgerDamaged):
        list(read_blocks(results, manifest_columns(())))


@pytest.mark.parametrize(
    "line",
    [
        b'{"key":"k","samples":[{"number":2}]}',
        b'{"key":"k","samples":[{"number":1},{"number":1}]}',
        b'{"key":"k","samples":[]}',
        b'{"key":"k"}',
        b'{"key":1,"samples":[{"number":1}]}',
        b'{"key":"k","samples":[{"number":1}]}\n{"key":"k","samples":[{"number":1}]}',
        b"",
    ],
)
def test_a_line_without_exactly_the_sample_is_left_to_the_reader_of_single_records(line: bytes) -> None:
    """No value is taken from another sample."""
    with pytest.raises(NotColumnar):
        parse_records([line], [0], [1])


def test_samples_of_shared_records_come_in_the_requested_order() -> None:
    """Each has its own facts and the trace of its request."""
    lines = [
        b'{"key":"a","samples":[{"number":1,"file":"a1"},{"number":2,"file":"a2"},{"number":3,"file":"a3"}]}',
        b'{"key":"b","samples":[{"number":1,"file":"b1"}]}',
    ]
    columns = parse_records(lines, [0, 1, 0], [3, 1, 1])
    assert columns.samples["file"].to_pylist() == ["a3", "b1", "a1"]
    assert columns.traces["key"].to_pylist() == ["a", "b", "a"]


@pytest.mark.parametrize("chosen", [{}, {"accept": 2}, {"trim": "8x8in"}, {"group_by": "id"}])
def test_a_review_makes_only_its_own_image_a_single_row(tmp_path: Path, chosen: dict[str, object]) -> None:
    """--accept and a printed size make none."""
    rows = [{"prompt": f"fox {number}", "id": f"r{number}"} for number in range(4)]
    plan = small_plan(tmp_path, rows, samples=2, **chosen)
    for row, (base, _) in enumerate(plan.index):
        results = [ok(at, file=f"images/{row}_{at}.png", bytes=5, sha256=f"{row}{at}" * 32) for at in (1, 2)]
        record_result(tmp_path, base, *results, now=row + 1.0)
    base = plan.index.row_key(2)
    writer = LedgerWriter(Folder(tmp_path / "out"), now=9.0)
    writer.record_review([ReviewedVersion(base, 1, 1, "approve")], at=10.0)
    writer.close()
    single, by_single, _ = write(results_of(tmp_path, plan), tmp_path / "rows" / "out", block_rows=None)
    blocks, by_blocks, ordinary = write(results_of(tmp_path, plan), tmp_path / "blocks" / "out", block_rows=1000)
    assert ordinary == 7
    assert (blocks, by_blocks) == (single, by_single)


def test_blocks_of_another_size_make_the_same_row_groups(tmp_path: Path) -> None:
    """The bytes of a Parquet file depend on where its row groups end."""
    plan = small_plan(tmp_path, [{"prompt": f"fox {number}"} for number in range(150)])
    record_images(tmp_path, plan)
    results = results_of(tmp_path, plan)
    single, *_ = write(results, tmp_path / "rows" / "out", block_rows=None, batch_rows=60)
    blocks, *_ = write(results, tmp_path / "blocks" / "out", block_rows=4, batch_rows=60)
    assert pq.ParquetFile(tmp_path / "rows" / "out" / "manifest.parquet").num_row_groups == 3
    assert blocks == single


def test_samples_of_long_prompts_come_in_small_blocks(tmp_path: Path) -> None:
    """Each sample has the whole text in memory."""
    plan = small_plan(tmp_path, [{"prompt": "fox " * number} for number in (1, 20)], samples=50)
    with patch.object(samples_in_blocks_module, "_MAX_CHARACTERS", 400):
        sizes = [len(rows) for rows, _ in samples_in_blocks(plan.planned_blocks(), block_rows=1000)]
    assert sizes == [5] * 20
