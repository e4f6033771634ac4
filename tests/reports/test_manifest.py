"""Tests that the manifest keeps its columns, types and texts, and that tables are complete or not written."""

from __future__ import annotations

import csv
import errno
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagen_batch.records import ManifestRow
from imagen_batch.reports.tables import write as tables
from imagen_batch.reports.tables.arrow_columns import user_columns
from imagen_batch.reports.tables.columns.safety_ratings import RATINGS
from imagen_batch.reports.tables.dataset import Metadata, metadata_names
from imagen_batch.reports.tables.write import TableWriter
from imagen_batch.storage import Folder
from imagen_batch.text import no_formula
from tests.support.entries import entry

CONTRACT = [
    *("row", "line", "id", "sample", "status", "file", "prompt", "model", "provider", "dialect", "mimeType"),
    *("raiFilteredReason", "filter_stage", "filter_category", "filter_codes", "finishReason"),
    *("safetyAttributes", "width", "height", "bytes", "sha256", "c2pa", "aspect_ratio", "image_size"),
    *("person_generation", "negative_prompt", "seed", "key", "attempts", "http_status", "error"),
    *("error_kind", "latency_s", "cost_usd", "cost_is", "sent_at", "finished_at"),
    *("input_prompt", "version", "review", "warnings", "references", "references_sha256"),
    *("model_version", "response_id", "prompt_tokens", "output_tokens", "run_id"),
]
LISTS = ["safety_ratings"]
"""Columns that only Parquet can hold; they come before the user's own, too."""

TYPES = {
    **dict.fromkeys(
        ("row", "line", "sample", "width", "height", "bytes", "seed", "attempts", "http_status", "version"),
        pa.int64(),
    ),
    **dict.fromkeys(("prompt_tokens", "output_tokens"), pa.int64()),
    **dict.fromkeys(("latency_s", "cost_usd"), pa.float64()),
    "c2pa": pa.bool_(),
    "safety_ratings": RATINGS,
    **dict.fromkeys(("sent_at", "finished_at"), pa.timestamp("ms", tz="UTC")),
}
FULL = entry(
    3,
    user={"topic": 'fox, "red"'},
    width=1024,
    height=768,
    bytes=9,
    sha256="ab",
    c2pa=True,
    filter_codes=("39322892", "29310472"),
    cost_usd=0.0336,
    cost_is="exact",
    trace={"latency_s": 1.25, "sent_at": 1_700_000_000.1234, "finished_at": 1_700_000_002.0},
)


def write(folder: Path, entries: list[ManifestRow], *, user: tuple[str, ...] = (), batch_rows: int = 10_000) -> None:
    """Write all tables of `entries`."""
    columns = ("prompt", *user)
    with TableWriter(
        Folder(folder), user_columns=user, columns=columns, provider="simulator", batch_rows=batch_rows
    ) as writer:
        for row in entries:
            writer.add(row)


def write_and_fail(folder: Path) -> None:
    """Raise an exception after some batches were passed on."""
    with TableWriter(
        Folder(folder), user_columns=(), columns=("prompt",), provider="simulator", batch_rows=1
    ) as writer:
        writer.add(entry(1))
        writer.add(entry(2, status="failed"))
        raise KeyError


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV as the standard library reads them."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_columns_of_the_contract_come_before_those_of_the_user(tmp_path: Path) -> None:
    """Other programs rely on names and order, in both files."""
    write(tmp_path, [FULL], user=("topic",))
    assert pq.read_schema(tmp_path / "manifest.parquet").names == [*CONTRACT, *LISTS, "topic"]
    assert list(rows_of(tmp_path / "manifest.csv")[0]) == [*CONTRACT, "topic"]


@pytest.mark.parametrize("entries", [[FULL], [entry(status="not_attempted")], []])
def test_a_column_has_its_type_whatever_it_contains(tmp_path: Path, entries: list[ManifestRow]) -> None:
    """Empty columns and empty manifests can be concatenated with others."""
    write(tmp_path, entries, user=("topic",))
    schema = pq.read_schema(tmp_path / "manifest.parquet")
    assert {name: schema.field(name).type for name in schema.names} == {
        name: TYPES.get(name, pa.string()) for name in [*CONTRACT, *LISTS, "topic"]
    }


def test_parquet_and_csv_have_the_same_values(tmp_path: Path) -> None:
    """Each value of one file is the text of the other; None is an empty cell."""
    write(tmp_path, [FULL, entry(4, status="filtered", reason="no")], user=("topic",))
    table = pq.read_table(tmp_path / "manifest.parquet").to_pylist()
    for typed, text in zip(table, rows_of(tmp_path / "manifest.csv"), strict=True):
        assert typed.pop("safety_ratings") is None
        assert text.pop("sent_at") == _iso(typed.pop("sent_at"))
        assert text.pop("finished_at") == _iso(typed.pop("finished_at"))
        assert text.pop("c2pa") == {True: "true", None: ""}[typed.pop("c2pa")]
        assert text == {name: "" if value is None else str(value) for name, value in typed.items()}
    assert table[0]["filter_codes"] == "39322892, 29310472"


def _iso(moment: pd.Timestamp | None) -> str:
    return "" if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_pandas_reads_the_csv(tmp_path: Path) -> None:
    """Numbers, booleans and times get their types."""
    write(tmp_path, [FULL], user=("topic",))
    frame = pd.read_csv(tmp_path / "manifest.csv", parse_dates=["sent_at"])
    assert frame.loc[0, ["width", "c2pa", "topic"]].tolist() == [1024, True, 'fox, "red"']
    assert frame.sent_at[0] == pd.Timestamp("2023-11-14T22:13:20.123Z")


@settings(deadline=None)  # it writes files
@given(prompt=st.text(), cell=st.text())
def test_any_text_is_read_back_from_the_csv(prompt: str, cell: str) -> None:
    """Delimiters, quotes and every kind of line end are preserved."""
    with TemporaryDirectory() as folder:
        write(Path(folder), [entry(prompt=prompt, user={"note": cell})], user=("note",))
        (row,) = rows_of(Path(folder, "manifest.csv"))
        (typed,) = pq.read_table(Path(folder, "manifest.parquet")).to_pylist()
    assert (row["prompt"], row["note"]) == (typed["prompt"], typed["note"]) == (prompt, cell)


SECONDS = st.none() | st.floats(0, 4e9)
MONEY = st.none() | st.floats(0, 1000, allow_subnormal=False)


@settings(deadline=None)  # it writes files
@given(usd=MONEY, latency=MONEY, sent=SECONDS, reason=st.none() | st.text(), c2pa=st.none() | st.booleans())
def test_the_csv_has_the_text_that_a_plain_writer_would_write(
    usd: float | None, latency: float | None, sent: float | None, reason: str | None, c2pa: bool | None
) -> None:
    """Texts are exact, numbers have all digits, None is an empty cell, and times have milliseconds."""
    trace = {"latency_s": latency, "sent_at": sent}
    row = entry(reason=reason, c2pa=c2pa, cost_usd=usd, cost_is="exact", trace=trace)
    with TemporaryDirectory() as folder:
        write(Path(folder), [row])
        (row,) = rows_of(Path(folder, "manifest.csv"))
    numbers = [float(row[name]) if row[name] else None for name in ("cost_usd", "latency_s")]
    assert numbers == [usd, latency]
    assert row["raiFilteredReason"] == (no_formula(reason) or "")
    assert row["c2pa"] == {None: "", True: "true", False: "false"}[c2pa]
    moment = None if sent is None else pd.Timestamp(round(sent * 1000), unit="ms", tz="UTC")
    assert row["sent_at"] == _iso(moment)


def test_lines_end_as_in_spreadsheets(tmp_path: Path) -> None:
    """Lines end in CRLF, and there is one line per row."""
    write(tmp_path, [entry(1), entry(2)])
    data = (tmp_path / "manifest.csv").read_bytes()
    assert (data.count(b"\r\n"), data.count(b"\n")) == (3, 3)


def test_an_unknown_cost_is_not_a_number(tmp_path: Path) -> None:
    """An unknown cost is neither 0 nor the worst case."""
    write(tmp_path, [entry(status="unknown", cost_usd=0.04, cost_is="unknown")])
    (row,) = rows_of(tmp_path / "manifest.csv")
    assert (row["cost_usd"], row["cost_is"]) == ("", "unknown")


def test_a_user_s_column_with_a_name_of_ours_is_prefixed(tmp_path: Path) -> None:
    """No value is under a wrong name, and none is lost."""
    user = {"status": "draft", "input_status": "old"}
    write(tmp_path, [entry(user=user)], user=tuple(user))
    (row,) = rows_of(tmp_path / "manifest.csv")
    assert (row["status"], row["input_status"], row["input_input_status"]) == ("ok", "draft", "old")


@given(
    st.lists(st.sampled_from(["a", "input_a", "input_input_a", "b"]), unique=True),
    st.sets(st.sampled_from("ab")),
)
def test_no_two_columns_share_a_name(headers: list[str], taken: set[str]) -> None:
    """This holds for any headers."""
    names = [column.name for column in user_columns(headers, taken=taken)]
    assert len({*names, *taken}) == len(names) + len(taken)


def test_a_user_s_column_that_the_loader_would_open_is_renamed() -> None:
    """`*_file_name` and `image` have a meaning of their own in the image folder loader."""
    own = len(metadata_names([]))
    names = metadata_names(["cover_file_name", "file_name", "image", "my_file_names"])
    assert names[own:] == ("cover_filename", "filename", "input_image", "my_filenames")


def test_the_metadata_contain_only_images(tmp_path: Path) -> None:
    """A row without an image would make the loader fail."""
    write(tmp_path, [entry(1), entry(2, status="failed"), entry(3)])
    table = pq.read_table(tmp_path / "metadata.parquet")
    assert table.column_names[:2] == ["file_name", "prompt"]
    assert table["file_name"].to_pylist() == ["images/000001_01.png", "images/000003_01.png"]


@pytest.mark.parametrize("count", [0, 1, 6, 7, 8, 20])
def test_rows_stream_in_batches(tmp_path: Path, count: int) -> None:
    """No batch is too large, none is lost, and the order is kept."""
    write(tmp_path, [entry(row) for row in range(count)], batch_rows=7)
    file = pq.ParquetFile(tmp_path / "manifest.parquet")
    sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    assert max(sizes, default=0) <= 7
    assert file.read()["row"].to_pylist() == list(range(count))
    assert [row["row"] for row in rows_of(tmp_path / "manifest.csv")] == [str(row) for row in range(count)]


def test_a_batch_of_long_prompts_is_written_early(tmp_path: Path) -> None:
    """Memory is also bounded in bytes."""
    with patch.object(tables, "_BATCH_BYTES", 1000):
        write(tmp_path, [entry(row, prompt="x" * 600) for row in range(1, 7)], batch_rows=40)
    file = pq.ParquetFile(tmp_path / "manifest.parquet")
    assert file.num_row_groups == 3
    assert file.read()["row"].to_pylist() == [1, 2, 3, 4, 5, 6]


def test_an_error_in_the_writing_thread_is_raised(tmp_path: Path) -> None:
    """A full disk leaves all files as they were."""
    write(tmp_path, [entry(1)])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    full = OSError(errno.ENOSPC, "No space left on device")
    with patch.object(Metadata, "write", side_effect=full), pytest.raises(OSError, match="No space"):
        write(tmp_path, [entry(row) for row in range(100)], batch_rows=5)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_exception_leaves_all_files_as_they_were(tmp_path: Path) -> None:
    """This holds even after batches were written; no temporary file remains."""
    write(tmp_path, [entry(1)])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(KeyError):
        write_and_fail(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_value_that_can_t_be_written_leaves_all_files_as_they_were(tmp_path: Path) -> None:
    """The last batch is written when the block ends, which may also fail."""
    write(tmp_path, [entry(1)])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OverflowError):
        write(tmp_path, [entry(1, width=2**70)])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_user_s_readme_is_not_replaced_by_the_card(tmp_path: Path) -> None:
    """Our own card is replaced by each run."""
    write(tmp_path, [entry(1)])
    assert "Images: 1 of 1" in (tmp_path / "README.md").read_text("utf-8")
    write(tmp_path, [entry(1), entry(2)])
    assert "Images: 2 of 2" in (tmp_path / "README.md").read_text("utf-8")
    (tmp_path / "README.md").write_text("mine", "utf-8")
    write(tmp_path, [entry(1)])
    assert (tmp_path / "README.md").read_text("utf-8") == "mine"


def test_the_card_names_the_models_of_the_images(tmp_path: Path) -> None:
    """A rehearsal must not be mistaken for a model's work, and the card must not contain a local path."""
    write(tmp_path, [FULL], user=("topic",))
    card = (tmp_path / "README.md").read_text("utf-8")
    assert "Made by a simulator" in card
    assert "1 of 1 carry C2PA" in card
    assert "`gemini-nano-banana-2.1`" in card
    assert "`topic`" in card
    assert str(tmp_path) not in card
