"""Tests that hostile text becomes harmless for the program that displays it."""

from __future__ import annotations

from imagen_batch.exports.escaping import excel_safe, one_line, shorten, xml_text


def test_one_line_has_no_controls_and_no_direction_overrides() -> None:
    """Words remain separated."""
    assert one_line("a\r\nb\tc\x00\x1b[2J\u2028d") == "a b c [2J d"
    assert one_line("x\u202egnp\u202c.exe \u2066\ufeff\ud800y") == "xgnp.exe y"


def test_a_shortened_text_ends_with_an_ellipsis() -> None:
    """Only the beginning of a long text is read."""
    assert shorten("a fox", 10) == "a fox"
    assert shorten("a red fox in snow", 9) == "a red fo…"
    assert shorten(" " * 1_000_000 + "x", 10) == "…"
    assert len(shorten("long " * 30_000, 900)) <= 900


def test_xml_text_is_well_formed() -> None:
    """Markup is escaped, and characters that XML does not allow are removed."""
    assert xml_text('<a & "b">\x00\ud800\uffff') == "&lt;a &amp; &quot;b&quot;&gt;"


def test_only_cells_that_would_run_get_an_apostrophe() -> None:
    """Numbers with a sign are such cells."""
    texts = ("=1", " @x", "a=1", "-5", "", "\uff1dcmd()", "\uff0b1", "\uff0d1", " \uff20x")
    safe = ["'=1", "' @x", "a=1", "'-5", "", "'\uff1dcmd()", "'\uff0b1", "'\uff0d1", "' \uff20x"]
    assert [excel_safe(text) for text in texts] == safe
