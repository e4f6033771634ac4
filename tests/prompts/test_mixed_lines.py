"""Tests that a Western encoding is recognized although single lines are valid UTF-8 by chance."""

from __future__ import annotations

from pathlib import Path

from tests.support.prompt_files import open_content, prompts

BY_CHANCE = "the sign reads Ã©"  # its Latin-1 bytes are UTF-8 for another character
LINES = ("un café à Paris", "une forêt d'été", BY_CHANCE, "un chien")


def test_a_latin_1_file_with_a_line_that_happens_to_be_utf_8_is_read_as_latin_1(tmp_path: Path) -> None:
    """Every line is read in the same encoding; the lines that are not UTF-8 are in the majority."""
    BY_CHANCE.encode("latin-1").decode("utf-8")
    file = open_content(tmp_path, "".join(f"{line}\n" for line in LINES).encode("latin-1"), name="p.txt")
    assert prompts(file) == list(LINES)
    assert file.encoding == "cp1252"


def test_a_file_with_equally_many_lines_of_each_kind_is_read_as_latin_1(tmp_path: Path) -> None:
    """Only a majority of UTF-8 lines means that the file is damaged UTF-8."""
    lines = ("un café à Paris", BY_CHANCE)
    file = open_content(tmp_path, "".join(f"{line}\n" for line in lines).encode("latin-1"), name="p.txt")
    assert prompts(file) == list(lines)
