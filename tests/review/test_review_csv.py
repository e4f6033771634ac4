"""Tests that `review.csv` is read back unchanged, whether the page, the server or a spreadsheet wrote it."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.errors import InputInvalid
from imagen_batch.review import Decision, read_review, write_review
from tests.review.run_folders import key_of

HEADER = "row,id,sample,version,key,decision,prompt,seed,note"


def read(tmp_path: Path, data: bytes | str) -> list[Decision]:
    path = tmp_path / "review.csv"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return read_review(path)


def problems_of(tmp_path: Path, data: bytes | str) -> list[tuple[int | None, str | None]]:
    with pytest.raises(InputInvalid) as caught:
        read(tmp_path, data)
    return [(problem.line, problem.column) for problem in caught.value.problems]


def facts(decision: Decision) -> tuple:
    return (
        decision.row,
        decision.id,
        decision.sample,
        decision.version,
        decision.key,
        decision.decision,
        decision.prompt,
        decision.seed,
        decision.note,
    )


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30).filter(str.strip)
REDO = st.builds(
    Decision,
    row=st.integers(1, 10**6),
    sample=st.integers(1, 99),
    version=st.none() | st.integers(1, 9),
    decision=st.just("redo"),
    id=st.none() | TEXT,
    key=st.none() | st.integers(0, 10**6).map(key_of),
    prompt=st.none() | TEXT,
    seed=st.none() | st.integers(0, 2**32 - 1),
    note=st.none() | TEXT | TEXT.map("=".__add__) | TEXT.map("''@".__add__),
)


@given(st.lists(REDO, max_size=5, unique_by=lambda each: (each.row, each.sample, each.version)))
def test_decisions_are_read_back_unchanged(tmp_path_factory, decisions):
    path = tmp_path_factory.mktemp("review") / "review.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        assert write_review(decisions, file) == len(decisions)
    assert list(map(facts, read_review(path))) == list(map(facts, decisions))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_every_encoding_and_delimiter_of_spreadsheets_is_read(tmp_path, encoding, delimiter, line_end):
    key = key_of(1)
    lines = (
        delimiter.join(HEADER.split(",")),
        delimiter.join(("1", "b\u00e4r", "2", "1", key, "redo", '"two\nlines, and; more"', "7", "sch\u00f6n")),
        delimiter.join([""] * 9),
        delimiter.join(("2", "", "1", "", "", "Approved", "", "", "")),
    )
    redo, approved = read(tmp_path, line_end.join(lines).encode(encoding))
    assert facts(redo) == (1, "b\u00e4r", 2, 1, key, "redo", "two\nlines, and; more", 7, "sch\u00f6n")
    assert (approved.row, approved.sample, approved.version, approved.decision) == (2, 1, None, "approve")


def test_columns_may_have_any_order_and_others_are_ignored(tmp_path):
    (decision,) = read(tmp_path, "Decision,mine,Sample,ROW\nreject,x,3,4\n")
    assert facts(decision) == (4, None, 3, None, None, "reject", None, None, None)


def test_numbers_as_a_spreadsheet_writes_them_are_whole(tmp_path):
    (decision,) = read(tmp_path, "row,sample,version,decision,seed\n4.0,03,2.,redo,7.0\n")
    assert (decision.row, decision.sample, decision.version, decision.seed) == (4, 3, 2, 7)


def test_lines_without_a_decision_are_kept(tmp_path):
    (decision,) = read(tmp_path, "row,sample,decision,note\n1,1,,look again\n")
    assert (decision.decision, decision.note) == (None, "look again")


def test_all_problems_are_reported_at_once_with_their_lines(tmp_path):
    text = (
        f"{HEADER}\n"
        "1,,1,1,,maybe,,,\n"
        "x,,,1,1E+63,approve,,,\n"
        '2,,1,1,,redo,"a\nb",-1,\n'
        "3,,1,1,,approve,new words,,\n"
        "4,,1,1,,reject,,5,\n"
        "5,,1,1,,reject,,,,surplus\n"
        "6,,1,1,,reject,,,\n"
        "6,,1,1,,approve,,,\n"
    )
    assert problems_of(tmp_path, text) == [
        (2, "decision"),
        (3, "sample"),
        (3, "row"),
        (3, "key"),
        (4, "seed"),
        (6, "prompt"),
        (7, "seed"),
        (8, None),
        (10, "decision"),
    ]


def test_two_equal_lines_are_not_a_contradiction(tmp_path):
    assert len(read(tmp_path, "row,sample,decision\n1,1,redo\n1,1,redo\n")) == 2


def test_missing_required_columns_are_reported(tmp_path):
    assert problems_of(tmp_path, "row;note\n1;x\n") == [(1, "sample"), (1, "decision")]


def test_two_columns_with_the_same_name_are_refused(tmp_path):
    assert problems_of(tmp_path, "row,sample,decision,Decision\n1,1,redo,reject\n") == [(1, "decision")]


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04 a spreadsheet", b'row,sample,decision\n1,1,"redo\n', b"\x80\x00\x01"]
)
def test_a_file_that_is_not_a_review_is_refused_with_a_problem(tmp_path, data):
    assert problems_of(tmp_path, data)


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(InputInvalid) as caught:
        read_review(tmp_path / "none.csv")
    assert "can't be read" in caught.value.problems[0].message


def test_no_cell_that_is_written_is_a_formula():
    file = io.StringIO(newline="")
    texts = ("=1+1", "+1", "-1", "@SUM", "\tx", "\rx", "'=quoted")
    write_review(
        [Decision(row=1, sample=n, decision="redo", id=text, note=text) for n, text in enumerate(texts, 1)], file
    )
    for cells in list(csv.reader(io.StringIO(file.getvalue(), newline="")))[1:]:
        assert cells[1][0] == "'"
        assert cells[8][0] == "'"


def test_a_lone_surrogate_is_replaced():
    file = io.StringIO(newline="")
    write_review([Decision(row=1, sample=1, decision="redo", prompt="a \ud800 b")], file)
    assert "a ? b" in file.getvalue()


def test_another_alphabet_is_not_read_as_western_text(tmp_path):
    text = "row;sample;decision;prompt\n1;1;redo;Ёжик с фонарём идёт по лесу, а над ним светит полная луна\n"
    path = tmp_path / "review.csv"
    path.write_bytes(text.encode("cp1251"))
    with pytest.raises(InputInvalid) as caught:
        read_review(path)
    assert "save it as CSV UTF-8" in caught.value.problems[0].message
    assert read_review(path, encoding="cp1251")[0].prompt.startswith("Ёжик")
