"""Tests that rows read in blocks of columns are those that are read one by one, whatever the file contains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imagen_batch.errors import InputInvalid
from imagen_batch.prompts import open_prompts
from imagen_batch.prompts.formats.delimited import Record, Table
from imagen_batch.prompts.prompt_file import PromptFile
from imagen_batch.prompts.row_blocks.read_rows_in_blocks import read_rows_in_blocks
from imagen_batch.prompts.row_blocks.read_table_in_blocks import CellBlock, read_table_in_blocks
from imagen_batch.prompts.row_blocks.rows_as_columns import RowBlock
from imagen_batch.prompts.row_blocks.trim_texts import SPACE
from imagen_batch.records import Problem, PromptRow
from tests.support.random_tables import tables

LINE_ENDS = ("\n", "\r\n", "\r")
HOSTILE = st.text(alphabet='ab,;\t" \n\r\0\ufeff\u2028\x0b\x1c\x85é狐🦊=', max_size=60)
CELLS = st.one_of(
    st.sampled_from(
        ["a", "", " ", "7", "16:9", "狐", "é ", "\ufeffa", '"q"', '"a,b"', '"a""b"', '""', '"a\nb"', '"\r\n"']
    ),
    st.text(alphabet='a" ,é', max_size=4),
)
LINES = st.lists(st.tuples(st.lists(CELLS, min_size=1, max_size=4), st.sampled_from(LINE_ENDS)), max_size=12)
BODIES = st.one_of(HOSTILE, LINES.map(lambda lines: "".join(",".join(cells) + end for cells, end in lines)))


def flat(blocks: Iterator[CellBlock | Iterator[Record | Problem]]) -> list[tuple[int, list[str]] | Problem]:
    """Return line and cells of all records in blocks, and the problems among them."""
    return [
        each if isinstance(each, Problem) else (each.line, each.cells)
        for block in blocks
        for each in (map(block.record, range(len(block))) if isinstance(block, CellBlock) else block)
    ]


def outcome(read: Iterator[Record | Problem]) -> list[object] | str:
    """Return what is read, or the kind of error where it is no text."""
    try:
        return [each if isinstance(each, Problem) else (each.line, each.cells) for each in read]
    except UnicodeDecodeError:
        return "not UTF-8"


@given(
    body=BODIES,
    columns=st.integers(1, 3),
    quoted=st.booleans(),
    delimiter=st.sampled_from(",;\t|"),
    mark=st.booleans(),
    block_bytes=st.sampled_from([1, 7, 30, 1000]),
)
@example(body='"a\nb",c\nd,e\n', columns=2, quoted=True, delimiter=",", mark=False, block_bytes=4)
@example(body='a,"b""\n""c"\nd,e', columns=2, quoted=True, delimiter=",", mark=False, block_bytes=8)
@example(body='a"b,c\nd,e\n"f,g\nh,i\n', columns=2, quoted=True, delimiter=",", mark=True, block_bytes=9)
@example(body="a,b\n\ufeffc,d\n", columns=2, quoted=True, delimiter=",", mark=False, block_bytes=9)
@example(body='"a\rb",c\nd,e\n', columns=2, quoted=True, delimiter=",", mark=False, block_bytes=1000)
@example(body='"a"b,c\nd,e\n', columns=2, quoted=True, delimiter=",", mark=False, block_bytes=1000)
@example(body=" \na\n", columns=1, quoted=True, delimiter=",", mark=False, block_bytes=1000)
def test_blocks_have_the_records_of_the_table(
    *, body: str, columns: int, quoted: bool, delimiter: str, mark: bool, block_bytes: int
) -> None:
    """Line and cells are the same, and so are the problems of quotes."""
    header = tuple("xyz"[:columns])
    with TemporaryDirectory() as place:
        path, encoding = Path(place) / "table", "utf-8-sig" if mark else "utf-8"
        text = delimiter.join(header) + "\n" + body.replace(",", delimiter)
        path.write_bytes(text.encode(encoding))
        table = Table(path, encoding, delimiter, quoted=quoted, before=1, header=header)
        assert flat(read_table_in_blocks(table, block_bytes=block_bytes)) == outcome(table.records())


@given(body=st.binary(max_size=40), block_bytes=st.sampled_from([5, 1000]))
def test_bytes_that_are_no_text_are_refused_alike(*, body: bytes, block_bytes: int) -> None:
    """The block that has them is read record by record."""
    with TemporaryDirectory() as place:
        path = Path(place) / "table"
        path.write_bytes(b"x,y\na,b\n" + body)
        table = Table(path, "utf-8", ",", quoted=True, before=1, header=("x", "y"))
        expected = outcome(table.records())
        if expected == "not UTF-8":
            with pytest.raises(UnicodeDecodeError):
                flat(read_table_in_blocks(table, block_bytes=block_bytes))
        else:
            assert flat(read_table_in_blocks(table, block_bytes=block_bytes)) == expected


def test_plain_lines_are_read_as_columns(tmp_path: Path) -> None:
    """Quoted cells, doubled quotes, CRLF and a last line without an end are plain."""
    path = tmp_path / "table"
    path.write_bytes(b'x,y\r\na,"b, ""c"""\r\n,"d"\r\n" e",f')
    table = Table(path, "utf-8", ",", quoted=True, before=1, header=("x", "y"))
    (block,) = read_table_in_blocks(table)
    assert isinstance(block, CellBlock)
    assert [column.to_pylist() for column in block.columns] == [["a", "", " e"], ['b, "c"', "d", "f"]]
    assert block.record(1) == Record(3, ["", "d"])


def test_one_odd_block_does_not_end_the_columns(tmp_path: Path) -> None:
    """Only quotes whose end is unknown leave the rest of the file to the reader of records."""
    path = tmp_path / "table"
    path.write_bytes(b"x,y\na,b\nshort\nc,d\n" + b'"e\ne",f\n' + b"g,h\n")
    table = Table(path, "utf-8", ",", quoted=True, before=1, header=("x", "y"))
    kinds = [
        [type(block).__name__ for _ in (range(len(block)) if isinstance(block, CellBlock) else block)]
        for block in read_table_in_blocks(table, block_bytes=6)
    ]
    assert kinds[0] == ["CellBlock"]
    assert kinds[-1] == ["CellBlock"]
    assert sum(map(len, kinds)) == 5


def test_space_is_what_python_strips() -> None:
    assert sorted(SPACE) == [mark for mark in map(chr, range(0x110000)) if mark.isspace()]


def open_text(folder: Path, text: str) -> PromptFile | None:
    """Return the prompt file with this text; None where its header is refused."""
    path = folder / "prompts.csv"
    path.write_text(text, encoding="utf-8", newline="")
    try:
        return open_prompts(path)
    except InputInvalid:
        return None


@given(text=tables(), block_bytes=st.sampled_from([20, 60, 10_000]))
@example(text="prompt,chapter\na,1\n ,2\nb,3\n", block_bytes=10_000)
@example(text="prompt,chapter\na,1\nb\0c,2\nb,3\0\n", block_bytes=10_000)
def test_blocks_have_the_rows_of_the_file(*, text: str, block_bytes: int) -> None:
    """Rows and problems are the same, in the same order."""
    with TemporaryDirectory() as place:
        file = open_text(Path(place), text)
        if file is None:
            return
        assert isinstance(file._source, Table)
        rows: list[PromptRow | Problem] = []
        for block in read_rows_in_blocks(file._source, file._reader, block_bytes=block_bytes):
            if isinstance(block, RowBlock):
                check_columns(block)
                rows += block.single_rows()
            else:
                rows += block
        assert rows == list(file.rows())


def check_columns(block: RowBlock) -> None:
    """Check that the columns of a block are those of its rows."""
    rows = list(block.single_rows())
    kinds = [0] * len(rows) if block.kind_of is None else block.kind_of.tolist()
    assert list(block.lines) == [row.line for row in rows]
    assert block.prompts.to_pylist() == [row.prompt for row in rows]
    assert ([None] * len(rows) if block.ids is None else block.ids.to_pylist()) == [row.id for row in rows]
    for row, kind in zip(rows, kinds, strict=True):
        known = block.kinds[kind]
        assert (known.model, known.samples, known.options) == (row.model, row.samples, row.options)
        assert (row.style, row.filename, row.references, row.shape, row.mark) == (None, None, (), None, None)
    for header, column in block.own_cells().items():
        assert column.to_pylist() == [row.user[header] for row in rows]
    for header, column in block.kept_cells().items():
        assert column.to_pylist() == [row.cells[header] for row in rows]


def test_ordinary_rows_are_read_as_columns(tmp_path: Path) -> None:
    """Otherwise the comparison above would compare single rows with themselves."""
    lines = "".join(f"r{at},fox {at},{'16:9' if at % 3 else ''}, {at % 2 + 1},, \n" for at in range(50))
    file = open_text(tmp_path, "id,prompt,aspect_ratio,samples,style,references\n" + lines)
    assert file is not None
    (block,) = file.row_blocks()
    assert isinstance(block, RowBlock)
    assert (len(block), len(block.kinds)) == (50, 4)
    check_columns(block)


def test_rows_of_many_kinds_are_read_one_by_one(tmp_path: Path) -> None:
    file = open_text(tmp_path, "prompt,seed\n" + "".join(f"fox,{at}\n" for at in range(100)))
    assert file is not None
    (rows,) = file.row_blocks()
    assert not isinstance(rows, RowBlock)
    assert [row.options.seed for row in rows if isinstance(row, PromptRow)] == list(range(100))
