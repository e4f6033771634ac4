"""Tests captions in scripts that the built-in font does not have."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagen_batch.exports.export import export
from tests.exports.runs import book

pytest.importorskip("reportlab", reason="belongs to the extra `pdf`")
pdfium = pytest.importorskip("pypdfium2", reason="belongs to the extra `exports-test`")

from imagen_batch.exports.pdf.right_to_left import visual_order  # noqa: E402 - its package needs no extra, but stays beside it
from imagen_batch.exports.pdf.system_fonts import system_fonts  # noqa: E402


@pytest.mark.parametrize(
    ("line", "drawn"),
    [
        ("a mole", "a mole"),
        ("שלום", "םולש"),
        ("שלום (עולם)", "(םלוע) םולש"),
        ("a שלום עולם 12 b", "a םלוע םולש 12 b"),
        ("שלום 12 abc", "12 abc םולש"),
        ("שָׁלוֹם", "םוֹלשָׁ"),
        ("", ""),
        ("...", "..."),
    ],
)
def test_right_to_left_words_are_drawn_from_the_right(line: str, drawn: str) -> None:
    """Numbers keep their order, brackets are mirrored, vowel marks stay after their letter."""
    assert visual_order(line) == drawn


def test_fonts_of_the_machine_supply_missing_characters(tmp_path: Path) -> None:
    """A caption in Russian is readable if the machine has a font for it."""
    if not any(path.name == "DejaVuSans.ttf" for path in system_fonts()):
        pytest.skip("needs the font DejaVu Sans")
    run = book(tmp_path / "book", prompts=["Крот на берегу реки", "Ένας τυφλοπόντικας"], rows=0)
    done = export(run, to="pdf", out=tmp_path / "out")
    text = pdfium.PdfDocument(tmp_path / "out" / "contact-sheet.pdf")[1].get_textpage().get_text_range()
    assert done.warnings == ()
    assert "Крот на берегу реки" in text
    assert "Ένας τυφλοπόντικας" in text


def test_a_machine_without_fonts_causes_no_error(tmp_path: Path) -> None:
    """Folders may be missing, unreadable, or contain files that are not fonts."""
    (tmp_path / "fonts").mkdir()
    (tmp_path / "fonts" / "DejaVuSans.ttf").write_bytes(b"no font")
    assert list(system_fonts([str(tmp_path / "nothing")])) == []
    assert list(system_fonts([str(tmp_path / "fonts")])) == [tmp_path / "fonts" / "DejaVuSans.ttf"]
    from imagen_batch.exports.pdf.typeset import typefaces  # noqa: PLC0415

    regular, _ = typefaces((), [tmp_path / "fonts" / "DejaVuSans.ttf"])
    assert regular.width("Крот", 10) > 0
    assert regular.missing == set("Крот")


def test_arabic_captions_come_with_a_warning(tmp_path: Path) -> None:
    """Their letters are not joined."""
    run = book(tmp_path / "book", prompts=["خلد على ضفة النهر"], rows=0)
    assert any("Arabic letters" in warning for warning in export(run, to="pdf", out=tmp_path / "out").warnings)
