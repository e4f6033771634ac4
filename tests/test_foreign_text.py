"""Foreign text does nothing in a terminal, a page or a spreadsheet."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.audit.findings import Audit, Finding
from imagen_batch.audit.report import audit_text
from imagen_batch.cli.dispatch import main
from imagen_batch.cli.progress import make_progress
from imagen_batch.records import OUTCOMES, Problem, SampleResult
from imagen_batch.reports.input_problems import problems_json, problems_text
from imagen_batch.reports.render import to_json_text, to_markdown, to_terminal
from imagen_batch.reports.summary import RunFacts, StopReason, SummaryBuilder
from imagen_batch.reports.tables.write import TableWriter
from imagen_batch.reports.tables.write_without_raising import UnwrittenFile
from imagen_batch.storage import Folder
from imagen_batch.text import no_formula, one_line, printable, printable_lines
from tests.support.entries import entry

HOSTILE = "\x1b[2J\x1b]0;owned\x07 \x9b31m \u202egnp.exe \u2028next \ud800 \u2066x\u2069 \x00\r"
FORMULAS = ("=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\uff1d1")


def harmless(text: str) -> bool:
    """Return whether every character except a line end can be printed."""
    return all(char.isprintable() or char in "\n\u200c\u200d" for char in text)


@given(st.text())
def test_printable_text_is_one_line_without_control_characters(text: str) -> None:
    """It can always be written as UTF-8."""
    shown = printable(text)
    assert not set(shown) & set("\n\r\x1b\x9b\u202e\u2028\x00\x7f")
    assert len(shown.splitlines()) <= 1
    shown.encode()


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S", "M"])))
def test_ordinary_text_of_any_script_is_shown_unchanged(text: str) -> None:
    """Letters, digits, signs and marks stay."""
    assert printable(text) == text


def test_control_characters_are_shown_as_escapes() -> None:
    """A reader sees that a character was there."""
    assert printable("a\x1b[31mb") == "a\\x1b[31mb"
    assert printable("a\u202eb\ud800") == "a\\u202eb\\ud800"
    assert printable_lines("one\ntwo\x1b") == "one\ntwo\\x1b"
    assert printable("👩\u200d🚀") == "👩\u200d🚀"


def test_one_line_is_cut() -> None:
    """It ends with three dots."""
    assert one_line("a  b\nc" + "d" * 100, 10) == "a b cdd..."


def test_verbose_progress_prints_the_service_s_words_harmlessly() -> None:
    """With -v the text of a refusal is printed on the terminal."""
    stream = io.StringIO()
    progress = make_progress(1, mode="none", verbose=True, stream=stream)
    progress.update((SampleResult(1, "filtered", reason=HOSTILE),))
    assert harmless(stream.getvalue())
    assert len(stream.getvalue().splitlines()) == 1


def test_problems_and_findings_print_column_and_file_names_harmlessly() -> None:
    """Header cells and file names are foreign text too."""
    problem = Problem(2, HOSTILE, HOSTILE, f"column {HOSTILE} is wrong")
    assert harmless(problems_text([problem]))
    assert len(problems_text([problem]).splitlines()) == 2
    text = problems_json([problem])
    assert text.isprintable()
    assert orjson.loads(text)["problems"][0]["column"] == HOSTILE.replace("\ud800", "\\ud800")
    assert harmless(audit_text(Audit("out", 1, (Finding("foreign", HOSTILE, path=HOSTILE),))))


@pytest.mark.parametrize("text", FORMULAS)
def test_the_service_s_text_is_no_formula_in_a_table(tmp_path, text: str) -> None:
    """In CSV files an apostrophe precedes it; the user's own text stays as it is."""
    refused = entry(
        1,
        status="filtered",
        prompt=text.strip(),
        user={"note": text},
        reason=text,
        error=text,
        finish_reason=text,
        safety=text,
        filter_category=text,
        filter_codes=(text,),
    )
    storage = Folder(tmp_path)
    with TableWriter(storage, user_columns=["note"], columns=["prompt", "note"], provider="gemini") as tables:
        tables.add(refused)
    for name, columns in {
        "manifest.csv": (
            *("raiFilteredReason", "error", "finishReason", "safetyAttributes", "filter_category", "filter_codes"),
        ),
        "failures.csv": ("reason",),
    }.items():
        with (tmp_path / name).open(newline="", encoding="utf-8") as file:
            (row,) = csv.DictReader(file)
        assert {row[column] for column in columns} == {f"'{text}"}
        assert row["note"] == text
        assert row["prompt"] == text.strip()
    assert no_formula(None) is None
    assert no_formula("a = b") == "a = b"


def test_a_summary_prints_foreign_text_harmlessly_everywhere() -> None:
    """Text from the service, prompts, the folder's name and the command, in every format."""
    tally = SummaryBuilder()
    for row, status in enumerate(OUTCOMES, 1):
        tally.add(
            entry(
                row,
                status=status,
                prompt=HOSTILE,
                reason=HOSTILE,
                error=HOSTILE,
                filter_category=HOSTILE,
                cost_usd=0.1,
            )
        )
    moment = datetime(2026, 11, 23, tzinfo=UTC)
    ended = StopReason("stopped", 2, HOSTILE, "auth")
    lost = (UnwrittenFile("manifest.csv", HOSTILE, "manifest.new.csv"),)
    summary = tally.build(RunFacts(f"out/{HOSTILE}", moment, moment, stop_reason=ended, unwritten=lost))
    assert harmless(to_terminal(summary, color=False))
    assert harmless(to_markdown(summary))
    assert harmless(to_json_text(summary))
    assert orjson.loads(to_json_text(summary))["causes"][0]["message"]


def test_a_plan_prints_column_and_file_names_harmlessly(tmp_path, capfd) -> None:
    """Header cells and file names from cells are printed as text."""
    hostile = HOSTILE.replace("\ud800", "").replace("\x00", "").replace("\r", "")
    source = tmp_path / "p\x1b[2J.csv"
    with source.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [["prompt", f"api_key{hostile}", "", "filename"], ["a", "b", "c", f"x{hostile}"], ["d", "e", "f", "test"]]
        )
    assert main(["plan", str(source), "--provider", "simulator", "--out", str(tmp_path / hostile)]) == 0
    out, err = capfd.readouterr()
    assert harmless(out)
    assert harmless(err)
    assert "warning" in err


def test_problems_of_a_file_are_printed_harmlessly(tmp_path, capfd) -> None:
    """Problems quote values."""
    source = tmp_path / "p.csv"
    source.write_text('prompt,samples,model\na,"\x1b[31m\u202e",\x1b]0;x\x07\n', encoding="utf-8")
    assert main(["plan", str(source), "--provider", "simulator"]) == 5
    out, err = capfd.readouterr()
    assert harmless(out + err)
    assert len(err.splitlines()) >= 2
