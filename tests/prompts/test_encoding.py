"""Tests that every file is read in the encoding in which it was written, or refused."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from tests.support.prompt_files import open_content, prompts, refusal

PROMPT = "Łódź żółta — 京都の夜景"
TEXT = f"prompt,note\r\n{PROMPT},1\r\n"


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"),
    ],
)
@pytest.mark.parametrize("name", ["p.csv", "p"])
def test_unicode_is_read_without_a_warning(tmp_path: Path, data: bytes, name: str) -> None:
    """A byte order mark is not part of the first column's name."""
    file = open_content(tmp_path, data, name=name)
    assert (prompts(file), file.columns, file.warnings) == ([PROMPT], ("prompt", "note"), ())


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_recognized(tmp_path: Path, codec: str) -> None:
    """Otherwise its zero bytes would be taken for NULs."""
    file = open_content(tmp_path, TEXT.encode(codec))
    assert (prompts(file), file.encoding) == ([PROMPT], codec)
    assert codec in file.warnings[0]


@pytest.mark.parametrize(
    "text",
    [
        "it’s a café – “fine”",
        "a café in Paris, naïve",
        "Füchse im Grünen",
        "señor, ¿dónde está?",
        "l’été à la plage",
    ],
)
def test_western_text_is_read_as_cp1252(tmp_path: Path, text: str) -> None:
    """The warning names the encoding and shows a line that was read with it."""
    file = open_content(tmp_path, f'prompt\n"{text}"\n'.encode("cp1252"))
    assert (prompts(file), file.encoding) == ([text], "cp1252")
    assert "read as cp1252" in file.warnings[0]
    assert "line 2" in file.warnings[0]


def test_other_alphabets_are_detected_in_a_long_text(tmp_path: Path) -> None:
    """A short text would be read as cp1252."""
    text = "Привет, лиса на лугу, где растут старые ивы"
    file = open_content(tmp_path, f"{text}\n".encode("cp1251"), name="p.txt")
    assert (prompts(file), file.encoding) == ([text], "cp1251")


def test_bytes_that_are_not_cp1252_are_read_as_latin_1(tmp_path: Path) -> None:
    """The whole file is read strictly, not only the sample."""
    file = open_content(tmp_path, b"prompt\ncaf\xe9 \x81\n" + b"a fox\n" * 10)
    assert len(prompts(file)) == 11


def test_damaged_utf_8_is_refused_and_not_guessed(tmp_path: Path) -> None:
    """One bad byte must not turn every other line into mojibake."""
    (problem,) = refusal(tmp_path, "prompt\ncafé\nété\n".encode() + b"caf\xe9\n")
    assert problem.line == 4
    assert "--encoding" in problem.message


def test_a_marked_file_that_is_not_valid_is_refused(tmp_path: Path) -> None:
    """The problem has the line number."""
    (problem,) = refusal(tmp_path, codecs.BOM_UTF8 + b"prompt\na\ncaf\xe9\n")
    assert problem.line == 3
    assert "not valid utf-8-sig" in problem.message


def test_the_encoding_can_be_forced(tmp_path: Path) -> None:
    """There is no warning, and a byte order mark is still not text."""
    file = open_content(tmp_path, "prompt\nŁódź\n".encode("cp1250"), encoding="cp1250")
    assert (prompts(file), file.warnings) == (["Łódź"], ())
    for codec, mark in [("utf-8", codecs.BOM_UTF8), ("utf-16-le", codecs.BOM_UTF16_LE)]:
        assert prompts(open_content(tmp_path, mark + "prompt\nŁódź\n".encode(codec), encoding=codec)) == ["Łódź"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("klingon", "no text encoding"), ("base64", "no text encoding"), ("ascii", "not valid")],
)
def test_a_forced_encoding_must_fit(tmp_path: Path, name: str, message: str) -> None:
    """No other encoding silently replaces it."""
    assert message in refusal(tmp_path, "prompt\né\n", encoding=name)[0].message


def test_a_spreadsheet_is_refused_with_advice(tmp_path: Path) -> None:
    """An .xlsx file is a zip."""
    assert "save it as CSV" in refusal(tmp_path, b"PK\x03\x04" + bytes(60), name="p.xlsx")[0].message
