"""Tests that spreadsheets are read as the text that their cells display."""

from __future__ import annotations

import csv
import io
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import openpyxl
import pytest

from imagen_batch.errors import InputInvalid
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.prompts import open_prompts
from imagen_batch.prompts.spreadsheets.date_text import date_text
from imagen_batch.prompts.spreadsheets.number_text import number_text
from imagen_batch.settings import make_settings
from tests.support.prompt_files import problems, prompts, rows
from tests.support.runs import TODAY
from tests.support.spreadsheets import ods_cell, text_ods, write_ods, write_xlsx

HEADER = ["id", "prompt", "aspect_ratio", "seed", "chapter"]
FORTY = [
    [
        f"{number:03}",
        f'the “mole” café, scene {number}; it said "hé"\nand left',
        "16:9" if number % 2 else "3:4",
        str(number),
        "Über",
    ]
    for number in range(1, 41)
]


def write_delimited(path: Path, *, delimiter: str = ",", encoding: str = "utf-8") -> Path:
    """Write the forty rows as a delimited file."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerows([HEADER, *FORTY])
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def write_google_tsv(path: Path) -> Path:
    """Write the rows as Google Sheets downloads TSV: no quotes, and no line ends inside a cell."""
    lines = ["\t".join(cell.replace("\n", " ") for cell in row) for row in [HEADER, *FORTY]]
    path.write_text("\r\n".join(lines), encoding="utf-8")
    return path


def keys(path: Path) -> list[tuple[str, int]]:
    """Return the key and the number of samples of each row."""
    return list(make_plan(make_settings({"prompts": str(path), "provider": "simulator"}), today=TODAY).index)


def test_the_same_rows_have_the_same_requests_in_every_kind_of_file(tmp_path: Path) -> None:
    """This holds for spreadsheets and for the files that spreadsheet programs export."""
    expected = keys(write_delimited(tmp_path / "plain.csv"))
    assert len(expected) == 40
    assert keys(write_xlsx(tmp_path / "book.xlsx", [HEADER, *FORTY])) == expected
    assert keys(text_ods(tmp_path / "book.ods", [HEADER, *FORTY])) == expected
    assert keys(write_delimited(tmp_path / "semicolon.csv", delimiter=";")) == expected
    assert keys(write_delimited(tmp_path / "windows.csv", encoding="cp1252")) == expected
    assert keys(write_delimited(tmp_path / "wide.csv", delimiter="\t", encoding="utf-16")) == expected


def test_a_spreadsheet_is_recognized_by_its_content(tmp_path: Path) -> None:
    """A pipe, for example, has no name."""
    for write in (write_xlsx, text_ods):
        path = write(tmp_path / "nameless", [HEADER, *FORTY])
        assert len(prompts(open_prompts(path))) == 40
    with (tmp_path / "nameless").open("rb") as stream:
        settings = make_settings({"prompts": "-", "provider": "simulator"})
        assert make_plan(settings, today=TODAY, stdin=stream).rows == 40


def test_the_tsv_of_google_sheets_has_the_same_requests_for_cells_of_one_line(tmp_path: Path) -> None:
    """Google replaces the line ends inside cells, so only cells of one line can be equal."""
    one_line = [[cell.replace("\n", " ") for cell in row] for row in FORTY]
    assert keys(write_google_tsv(tmp_path / "google.tsv")) == keys(
        write_xlsx(tmp_path / "flat.xlsx", [HEADER, *one_line])
    )


def read_formatted(path: Path, value: object, number_format: str, *, header: str = "note") -> str:
    """Write a value with a number format, and return the text that is read."""
    book = openpyxl.Workbook()
    book.active.append(["prompt", header])
    book.active.append(["a fox", value])
    book.active["B2"].number_format = number_format
    book.save(path)
    (row,) = rows(open_prompts(path))
    return row.cells[header]


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [
        (7, "000", "007"),
        (7, "General", "7"),
        (7.5, "General", "7.5"),
        (0.1 + 0.2, "General", "0.3"),
        (123456789012, "General", "123456789012"),
        (0.45, "0%", "45%"),
        (0.4567, "0.0%", "45.7%"),
        (1234.5, "#,##0.00", "1,234.50"),
        (1234.5, "0", "1235"),
        (-3, "0;[Red](0)", "(3)"),
        (1234.5, "[$€-407] #,##0.00", "€ 1,234.50"),
        (5, '"No. "000', "No. 005"),
        (12345, "000-00", "123-45"),
        (100000, "0.00E+00", "1.00E+05"),
        (0.5, "# ?/?", "0.5"),
        (True, "General", "TRUE"),
        (date(2026, 3, 4), "yyyy-mm-dd", "2026-03-04"),
        (date(2026, 3, 4), "mm-dd-yy", "2026-03-04"),
        (date(2026, 3, 4), "d. mmmm yyyy", "4. March 2026"),
        (datetime(2026, 3, 4, 15, 5, 9), "dd/mm/yy h:mm:ss AM/PM", "04/03/26 3:05:09 PM"),  # noqa: DTZ001
        (time(16, 9), "h:mm", "16:09"),
        (timedelta(hours=32, minutes=9), "[h]:mm:ss", "32:09:00"),
    ],
)
def test_a_cell_reads_as_it_is_displayed(tmp_path: Path, value: object, number_format: str, shown: str) -> None:
    """People mean the text that they see."""
    assert read_formatted(tmp_path / "one.xlsx", value, number_format) == shown


def test_a_ratio_that_became_a_time_is_restored_and_reported(tmp_path: Path) -> None:
    """Excel and LibreOffice turn 16:9 into nine minutes past four."""
    excel, office = tmp_path / "one.xlsx", tmp_path / "one.ods"
    assert read_formatted(excel, time(16, 9), "h:mm", header="Aspect Ratio") == "16:9"
    assert "cell B2" in " ".join(open_prompts(excel).warnings)
    time_cell = ods_cell("16:09:00", 'office:value-type="time" office:time-value="PT16H09M00S"')
    write_ods(office, {"S": [ods_cell("prompt") + ods_cell("ratio"), ods_cell("a fox") + time_cell]})
    assert rows(open_prompts(office))[0].options.aspect_ratio == "16:9"


def test_a_seed_with_thousands_separators_is_the_number(tmp_path: Path) -> None:
    """The separators are only displayed."""
    assert read_formatted(tmp_path / "one.xlsx", 1234567, "#,##0", header="seed") == "1234567"


def test_error_cells_are_reported_with_row_column_and_cell(tmp_path: Path) -> None:
    """Otherwise the run would pay for an image of #REF!."""
    excel = write_xlsx(tmp_path / "one.xlsx", [["prompt", "style"], ["a fox", "ink"], ["a hen", "#REF!"]])
    office = tmp_path / "one.ods"
    bad = ods_cell("#REF!", 'table:formula="of:=[.#REF!]" calcext:value-type="error" office:value-type="string"')
    head = ods_cell("prompt") + ods_cell("style")
    write_ods(office, {"S": [head, ods_cell("a fox") + ods_cell("ink"), ods_cell("a hen") + bad]})
    for path in (excel, office):
        (problem,) = problems(open_prompts(path))
        assert (problem.line, problem.column, problem.found) == (3, "style", "#REF!")
        assert "cell B3" in problem.message


def test_a_formula_without_a_stored_value_is_a_problem(tmp_path: Path) -> None:
    """A library wrote the file, and no program has calculated it; the cell must not count as empty."""
    path = write_xlsx(tmp_path / "one.xlsx", [["prompt", "chapter"], ["a fox", "=A1"], ["a hen", "2"]])
    (problem,) = problems(open_prompts(path))
    assert (problem.line, problem.column) == (2, "chapter")
    assert "save it" in problem.message


def test_merged_cells_count_for_each_of_their_rows(tmp_path: Path) -> None:
    """The text is displayed beside all of them."""
    book = openpyxl.Workbook()
    for row in (["chapter", "prompt"], ["One", "a"], [None, "b"], [None, "c"], ["Two", "d"]):
        book.active.append(row)
    book.active.merge_cells("A2:A4")
    book.save(tmp_path / "one.xlsx")
    covered = "<table:covered-table-cell/>"
    origin = ods_cell("One", 'table:number-rows-spanned="3" table:number-columns-spanned="1"')
    lines = [
        ods_cell("chapter") + ods_cell("prompt"),
        *(origin + ods_cell("a"), covered + ods_cell("b"), covered + ods_cell("c")),
        ods_cell("Two") + ods_cell("d"),
    ]
    write_ods(tmp_path / "one.ods", {"S": lines})
    for name in ("one.xlsx", "one.ods"):
        file = open_prompts(tmp_path / name)
        assert [row.user["chapter"] for row in rows(file)] == ["One", "One", "One", "Two"]
        assert "A2:A4" in " ".join(file.warnings)


def test_hidden_rows_are_read_and_reported(tmp_path: Path) -> None:
    """An export as CSV has them as well; the user learns it before money is spent."""
    book = openpyxl.Workbook()
    for row in (["prompt"], ["a"], ["b"]):
        book.active.append(row)
    book.active.row_dimensions[3].hidden = True
    book.save(tmp_path / "one.xlsx")
    hidden = f'<table:table-row table:visibility="filter">{ods_cell("b")}</table:table-row>'
    write_ods(tmp_path / "one.ods", {"S": [ods_cell("prompt"), ods_cell("a"), hidden]})
    for name in ("one.xlsx", "one.ods"):
        file = open_prompts(tmp_path / name)
        assert prompts(file) == ["a", "b"]
        assert "1 hidden row" in " ".join(file.warnings)


def test_lines_are_rows_of_the_sheet_and_empty_rows_are_skipped(tmp_path: Path) -> None:
    """People leave gaps between chapters; Excel keeps read_formatted rows without content."""
    table = [["prompt", ""], ["a\nb\nc"], [], ["", " "], ["d"], ["", ""], []]
    for path in (
        write_xlsx(tmp_path / "one.xlsx", table),
        text_ods(tmp_path / "one.ods", table),
    ):
        assert [(row.line, row.prompt) for row in rows(open_prompts(path))] == [(2, "a\nb\nc"), (5, "d")]


def test_the_first_sheet_is_read_or_the_one_that_is_named(tmp_path: Path) -> None:
    """The message about a misspelled name suggests the nearest one."""
    book = openpyxl.Workbook()
    book.active.append(["prompt"])
    book.active.append(["first"])
    other = book.create_sheet("Spot art")
    other.append(["prompt"])
    other.append(["second"])
    book.save(tmp_path / "one.xlsx")
    write_ods(
        tmp_path / "one.ods",
        {"Sheet": [ods_cell("prompt"), ods_cell("first")], "Spot art": [ods_cell("prompt"), ods_cell("second")]},
    )
    for name in ("one.xlsx", "one.ods"):
        path = tmp_path / name
        first = open_prompts(path)
        assert prompts(first) == ["first"]
        assert "--sheet" in " ".join(first.warnings)
        assert prompts(open_prompts(path, sheet="spot art")) == ["second"]
        with pytest.raises(InputInvalid) as caught:
            open_prompts(path, sheet="Spott art")
        assert "did you mean Spot art?" in caught.value.problems[0].message


def test_repeated_cells_spaces_and_comments_of_ods_are_read(tmp_path: Path) -> None:
    """LibreOffice stores equal neighbors once."""
    prompt = (
        "<table:table-cell><office:annotation><text:p>not this</text:p></office:annotation>"
        '<text:p>a<text:s text:c="3"/>fox<text:tab/>and '
        "<text:span>a <text:span>hen</text:span></text:span> here</text:p>"
        "</table:table-cell>"
    )
    header = ods_cell("prompt") + ods_cell("a") + ods_cell("b")
    lines = [header, prompt + ods_cell("x", 'table:number-columns-repeated="2"')]
    twice = f'<table:table-row table:number-rows-repeated="2">{ods_cell("same")}</table:table-row>'
    write_ods(tmp_path / "one.ods", {"S": [*lines, twice]})
    read = rows(open_prompts(tmp_path / "one.ods"))
    assert read[0].prompt == "a   fox\tand a hen here"
    assert dict(read[0].user) == {"a": "x", "b": "x"}
    assert [row.prompt for row in read[1:]] == ["same", "same"]


def refusal(path: Path) -> str:
    """Return why a file can't be read."""
    with pytest.raises(InputInvalid) as caught:
        list(open_prompts(path).rows())
    return caught.value.problems[0].message


def test_archives_that_unpack_to_too_much_are_refused(tmp_path: Path) -> None:
    """A small file must not fill memory or take hours."""
    xlsx = write_xlsx(tmp_path / "bomb.xlsx", [["prompt"], ["a"]])
    with ZipFile(xlsx, "a", ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet9.xml", b"0" * (1 << 26))
    assert "packed too tightly" in refusal(xlsx)
    wide = ods_cell("a", 'table:number-columns-repeated="16384"')
    row = f'<table:table-row table:number-rows-repeated="1000000">{wide}</table:table-row>'
    assert "20,000,000 cells" in refusal(write_ods(tmp_path / "wide.ods", {"S": [ods_cell("prompt"), row]}))
    entity = '<!DOCTYPE a [<!ENTITY b "bbbb">]>'
    assert "entities" in refusal(write_ods(tmp_path / "entity.ods", {"S": [ods_cell("prompt")]}, before=entity))


@pytest.mark.parametrize("name", ["one.xlsx", "one.ods"])
def test_damaged_and_foreign_files_are_refused_with_a_message(tmp_path: Path, name: str) -> None:
    """None of them causes a traceback."""
    path = tmp_path / name
    (write_xlsx if name.endswith("xlsx") else text_ods)(path, [["prompt"], ["a"]])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "damaged" in refusal(path)
    for at in range(0, len(whole), 101):
        damaged = bytearray(whole)
        damaged[at : at + 20] = b"\xff" * 20
        path.write_bytes(damaged)
        with suppress(InputInvalid):  # no error where the damaged part is never read
            list(open_prompts(path).rows())
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600)
    assert "password" in refusal(path)
    with ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<a/>")
    assert "not a spreadsheet" in refusal(path)


def test_an_empty_sheet_and_one_with_only_a_header_are_refused(tmp_path: Path) -> None:
    """Nothing is sent for either."""
    assert "is empty" in refusal(write_xlsx(tmp_path / "empty.xlsx", []))
    path = write_xlsx(tmp_path / "header.xlsx", [["prompt"]])
    with pytest.raises(InputInvalid) as caught:
        make_plan(make_settings({"prompts": str(path)}), today=TODAY)
    assert "no prompts" in caught.value.problems[0].message


def test_secrets_of_a_sheet_are_not_copied(tmp_path: Path) -> None:
    """The stored copy has the same rows on the same lines."""
    path = write_xlsx(
        tmp_path / "one.xlsx", [["api_key", "prompt", "", "id"], ["s3cret", "a", "x", "1"], [], ["t", "b", "", "2"]]
    )
    copy = tmp_path / "copy.jsonl"
    with copy.open("wb") as target:
        assert open_prompts(path).copy_to(target)
    assert b"s3cret" not in copy.read_bytes()
    before, after = rows(open_prompts(path)), rows(open_prompts(copy))
    assert [(row.line, row.prompt, row.id, dict(row.user)) for row in before] == [
        (row.line, row.prompt, row.id, dict(row.user)) for row in after
    ]


@pytest.mark.parametrize(
    ("value", "code", "shown"), [(1e300, "0.00", None), (float("nan"), "0", None), (-0.4, "0", "-0")]
)
def test_extreme_numbers_are_formatted_without_an_error(value: float, code: str, shown: str | None) -> None:
    """Every number has some text."""
    text = number_text(value, code)
    assert shown is None or text == shown


def test_an_unknown_date_format_causes_no_error() -> None:
    """Unknown letters are text."""
    assert date_text(date(2026, 1, 2), "zzz yyyy") == "zzz 2026"
