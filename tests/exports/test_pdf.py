"""Tests the contact sheet: unchanged image data, groups, captions, and a placeholder for each missing image."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imagen_batch.errors import SettingsInvalid
from imagen_batch.exports.export import export
from imagen_batch.exports.pdf.entries_and_pages import Entry, Page, files
from tests.exports.runs import HOSTILE, book, draw_image, image_sample, rows_of, write_run
from tests.support.images import sound

pytest.importorskip("reportlab", reason="belongs to the extra `pdf`")
pikepdf = pytest.importorskip("pikepdf", reason="belongs to the extra `exports-test`")
pdfium = pytest.importorskip("pypdfium2", reason="belongs to the extra `exports-test`")


@pytest.fixture
def no_other_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide all fonts of the machine, so that only those of the program remain."""
    monkeypatch.setattr("imagen_batch.exports.pdf.system_fonts.system_fonts", lambda: iter(()))


def _text(path: Path) -> list[str]:
    """Return the text of each page."""
    document = pdfium.PdfDocument(path)
    return [page.get_textpage().get_text_range() for page in document]


def _images(document: Any) -> list[Any]:
    """Return the image objects of all pages."""
    return [image for page in document.pages for image in page.get_images().values()]


def test_jpeg_data_is_passed_through_and_png_pixels_are_kept(tmp_path: Path) -> None:
    """Every form that a service may send is compared with the original as Pillow reads it."""
    forms = {
        name: data
        for name, data in sound().items()
        if name.split()[0] in {"jpeg", "png", "webp"} and "pixel" not in name
    }
    mimes = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
    samples = [
        image_sample(row, data, mime_type=mimes[name.split()[0]], prompt=name)
        for row, (name, data) in enumerate(forms.items(), 1)
    ]
    run = write_run(tmp_path / "run", samples)
    export(run, to="pdf", out=tmp_path / "out", per_page=20)
    with pikepdf.open(tmp_path / "out" / "contact-sheet.pdf") as document:
        raw = {bytes(image.read_raw_bytes()) for image in _images(document)}
    jpegs = [data for name, data in forms.items() if name.startswith("jpeg")]
    assert len(jpegs) > 8
    assert all(data in raw for data in jpegs)
    opaque = [data for name, data in forms.items() if name.startswith("png")]
    pixels = _decoded(tmp_path / "out" / "contact-sheet.pdf")
    for data in opaque:
        with Image.open(io.BytesIO(data)) as original:
            assert original.convert("RGB").tobytes() in pixels


def _decoded(path: Path) -> set[bytes]:
    with pikepdf.open(path) as document:
        return {
            pikepdf.PdfImage(image).as_pil_image().convert("RGB").tobytes()
            for image in _images(document)
            if "DCTDecode" not in str(image.get("/Filter"))
        }


def test_every_font_is_embedded(tmp_path: Path) -> None:
    """Printers refuse files that rely on fonts of their machines."""
    export(book(tmp_path / "book"), to="pdf", out=tmp_path / "out")
    with pikepdf.open(tmp_path / "out" / "contact-sheet.pdf") as document:
        fonts = [
            item
            for item in document.objects
            if isinstance(item, pikepdf.Dictionary) and item.get("/Type") == pikepdf.Name.Font
        ]
        assert fonts
        assert all("/FontFile2" in font.FontDescriptor for font in fonts)


def test_groups_are_in_contents_outline_and_page_headers(tmp_path: Path) -> None:
    """They are in the order of their first row."""
    run = book(tmp_path / "book")
    export(run, to="pdf", out=tmp_path / "out", group_by="chapter", title="Willows")
    cover, *pages = _text(tmp_path / "out" / "contact-sheet.pdf")
    assert cover.split("\r\n")[:2] == ["Willows", "10 images, 2 missing"]
    assert "drawn by the simulator as gemini-nano-banana-2.1" in cover
    assert [page.split()[0] for page in pages] == ["2", "3", "1"]
    with pikepdf.open(tmp_path / "out" / "contact-sheet.pdf") as document, document.open_outline() as outline:
        assert [item.title for item in outline.root] == ["2", "3", "1"]


def test_a_refused_sample_has_a_placeholder_with_reason_and_prompt(tmp_path: Path) -> None:
    """Otherwise nobody would notice the missing image."""
    run = book(tmp_path / "book")
    export(run, to="pdf", out=tmp_path / "out")
    text = " ".join(_text(tmp_path / "out" / "contact-sheet.pdf")).replace("\r\n", " ")
    assert text.count("No image") == 2
    assert "Refused for violence." in text
    assert "a fox in scene 5" in text


def test_hostile_prompts_are_text_of_at_most_a_few_lines(tmp_path: Path, no_other_fonts: None) -> None:
    """They contain no script, link or direction override; missing characters are reported."""
    run = book(tmp_path / "book", prompts=HOSTILE, rows=0)
    done = export(run, to="pdf", out=tmp_path / "out", per_page=4, title=HOSTILE[2])
    text = "\n".join(_text(tmp_path / "out" / "contact-sheet.pdf"))
    assert "<script>alert(1)</script>" in text
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert len(text) < 5_000
    assert "give a TrueType font" in done.warnings[0]
    assert len(done.warnings) == 1
    with pikepdf.open(tmp_path / "out" / "contact-sheet.pdf") as document:
        names = {str(key) for item in document.objects if isinstance(item, pikepdf.Dictionary) for key in item}
    assert not names & {"/JS", "/JavaScript", "/AA", "/OpenAction", "/URI", "/Launch"}


def test_a_font_of_the_user_supplies_missing_characters(tmp_path: Path, no_other_fonts: None) -> None:
    """It may be any TrueType font; another file is refused with a message."""
    run = book(tmp_path / "book", prompts=["Łódź Ελλάδα Москва"], rows=0)
    assert export(run, to="pdf", out=tmp_path / "out").warnings
    with pytest.raises(SettingsInvalid, match=r"--font .*: no TrueType font"):
        export(run, to="pdf", out=tmp_path / "out", fonts=(run / "manifest.csv",))
    font = next((path for path in map(Path, _DEJAVU) if path.exists()), None)
    if font is None:
        pytest.skip("no DejaVu font on this machine")
    assert not export(run, to="pdf", out=tmp_path / "out", fonts=(font,)).warnings
    assert "Ελλάδα Москва" in _text(tmp_path / "out" / "contact-sheet.pdf")[1]


_DEJAVU = ("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", "/usr/share/fonts/dejavu/DejaVuSans.ttf")


def test_a_word_wider_than_its_column_is_broken(tmp_path: Path) -> None:
    """Text of languages without spaces is such a word."""
    run = book(tmp_path / "book", prompts=["w" * 400], rows=0)
    export(run, to="pdf", out=tmp_path / "out", per_page=20)
    lines = [line for line in _text(tmp_path / "out" / "contact-sheet.pdf")[1].split("\r\n") if "ww" in line]
    assert len(lines) == 3
    assert max(map(len, lines)) < 60
    assert lines[-1].endswith("…")


def test_an_unknown_column_is_refused(tmp_path: Path) -> None:
    """The message says where the known columns are."""
    run = book(tmp_path / "book")
    with pytest.raises(SettingsInvalid, match=r"no column 'chaptr'.* The first line of manifest.csv has all"):
        export(run, to="pdf", out=tmp_path / "out", group_by="chaptr")


def test_files_are_divided_so_that_each_fits_into_memory() -> None:
    """The limit is about 200 MB of images."""
    entry = Entry("", (1, 1), "", "", "", None, 60_000_000)
    parts = files([Page("", [entry])] * 10)
    assert [len(part) for part in parts] == [3, 3, 3, 1]


def test_page_numbers_continue_in_further_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The contents are in the first file."""
    monkeypatch.setattr("imagen_batch.exports.pdf.entries_and_pages._FILE_BYTES", 1)
    run = book(tmp_path / "book")
    export(run, to="pdf", out=tmp_path / "out", group_by="chapter")
    names = sorted(path.name for path in (tmp_path / "out").glob("*.pdf"))
    assert names == [f"contact-sheet-{n:02}.pdf" for n in (1, 2, 3)]
    assert _text(tmp_path / "out" / names[2])[0].split()[:3] == ["1", "book", "4"]


def test_the_data_of_every_image_is_checked(tmp_path: Path) -> None:
    """A proof never shows an image that the run did not receive."""
    run = book(tmp_path / "book")
    (run / rows_of(run)[3]["file"]).write_bytes(draw_image(1234))
    with pytest.raises(SettingsInvalid, match="is not the file that was received"):
        export(run, to="pdf", out=tmp_path / "out")
