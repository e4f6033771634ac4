"""Tests that columns that look like settings are reported, and that ambiguous files and messages are not misread."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.errors import Fatal
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.prompts import open_prompts
from imagen_batch.prompts.column_names import ALIASES
from imagen_batch.prompts.suspicious_columns import column_warning
from imagen_batch.providers.wire.classify_errors import read_error
from imagen_batch.settings import make_settings
from tests.support.runs import TODAY, write_csv

ORDINARY = (
    *(
        "chapter",
        "page",
        "notes",
        "note",
        "scene",
        "title",
        "category",
        "artist",
        "author",
        "book",
        "card",
        "character",
    ),
    *(
        "comment",
        "date",
        "description",
        "difficulty",
        "element",
        "genre",
        "group",
        "hero",
        "keywords",
        "label",
        "level",
    ),
    *(
        "location",
        "mood",
        "mode",
        "name",
        "name_de",
        "number",
        "order",
        "page_number",
        "panel",
        "part",
        "place",
        "power",
    ),
    *(
        "priority",
        "project",
        "rarity",
        "scene_no",
        "section",
        "sequence",
        "series",
        "set",
        "shot",
        "source",
        "species",
    ),
    *("speed", "status", "strength", "subject", "tags", "theme", "topic", "translation", "type", "url", "variant"),
    *("version", "weather", "sample", "example", "examples", "caption", "color", "country", "context", "position"),
    *(
        "prompt_de",
        "prompt_2",
        "style_note",
        "model_sheet",
        "reference",
        "rating",
        "season",
        "count_of_arms",
        "sides",
    ),
    *(
        "Scene Title",
        "chapterTitle",
        "Bild",
        "Kapitel",
        "場面",
        "сцена",
        "",
        "x",
        "column_7",
        "file",
        "image",
        "images",
    ),
)


@pytest.mark.parametrize(
    "header", ["width", "Height", "steps", "num_inference_steps", "CFG Scale", "quality", "sampler"]
)
def test_a_setting_of_another_tool_is_reported(header):
    """The column is kept as the user's own and not sent."""
    assert "looks like a setting that is not sent" in str(column_warning(header, {"prompt"}))


@pytest.mark.parametrize(
    ("header", "known"),
    [
        *[("aspect ration", "aspect_ratio"), ("aspectratio", "aspect_ratio"), ("Apsect Ratio", "aspect_ratio")],
        *[("varients", "variants"), ("smaples", "samples"), ("negativ_prompt", "negative_prompt")],
        *[("file_name", "filename"), ("Filname", "filename"), ("modle", "model"), ("sytle", "style")],
        *[("resoluton", "resolution"), ("image_siz", "image_size"), ("personGeneraton", "person_generation")],
    ],
)
def test_a_misspelled_column_is_reported_with_the_known_name(header, known):
    """Swapped, missing and doubled letters are recognized."""
    assert f"looks like a typo of {known}" in str(column_warning(header, {"prompt"}))


@pytest.mark.parametrize("header", ORDINARY)
def test_ordinary_columns_cause_no_warning(header):
    """Most headings are the user's own."""
    assert column_warning(header, {"prompt"}) is None


@given(st.text(max_size=20))
def test_any_header_gets_a_warning_or_none(header):
    """No header causes an exception."""
    assert column_warning(header, set(ALIASES)) is None or header.strip()


@pytest.mark.parametrize("header", ["reference_image", "Ref Image"])
def test_a_column_for_one_reference_image_is_reported_with_the_name_that_is_read(header):
    """The user learns it before money is spent on images without the reference."""
    assert "read from a column references" in str(column_warning(header, {"prompt"}))


def test_a_plan_warns_about_each_of_these_columns(tmp_path):
    """Each is named once, in the user's spelling, and stays the user's own."""
    row = {"prompt": "a", "ref_image": "a.png", "Width": "1", "aspect ration": "1:1", "chapter": "1"}
    source = write_csv(tmp_path / "p.csv", [row])
    plan = make_plan(make_settings({"prompts": str(source), "provider": "simulator"}), today=TODAY)
    assert len(plan.warnings) == 3
    assert all(f"'{name}'" in " ".join(plan.warnings) for name in ("ref_image", "Width", "aspect ration"))
    assert plan.file.user_columns == ("ref_image", "Width", "aspect ration", "chapter")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8", "utf-8-sig", "cp1252"])
def test_a_txt_of_tabs_with_a_header_is_a_table(tmp_path, encoding):
    """Spreadsheet programs save such a file, in UTF-16, as "Unicode text"."""
    path = tmp_path / "book.txt"
    text = 'chapter\tprompt\tnotes\r\n1\t"a fox, ""red"""\tn\r\n2\tan owl\t\r\n'
    path.write_bytes(text.encode(encoding))
    file = open_prompts(path)
    assert file.format == "tsv"
    assert [row.prompt for row in file.rows()] == ['a fox, "red"', "an owl"]
    assert file.user_columns == ("chapter", "notes")


@pytest.mark.parametrize(
    "text",
    ["a fox\nan owl\n", "a fox\tand an owl\nb\n", "prompt\na fox\n", "text, bold\na fox\n", "prompt;style\na\n"],
)
def test_a_plain_list_stays_a_list(tmp_path, text):
    """Each line is a prompt, even one with tabs or commas."""
    path = tmp_path / "list.txt"
    path.write_text(text, encoding="utf-8")
    file = open_prompts(path)
    assert file.format == "txt"
    assert [row.prompt for row in file.rows()] == text.splitlines()


def test_a_file_that_is_forced_to_txt_stays_a_list(tmp_path):
    """`--format txt` overrides a first line that looks like a header."""
    path = tmp_path / "book.txt"
    path.write_text("id\tprompt\n1\ta fox\n", encoding="utf-8")
    assert len(list(open_prompts(path, format="txt").rows())) == 2


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"<html><title>404 Not Found</title><p>/v1beta/models/gemini-x:generateContent</html>"),
        (404, b"Cannot POST /v1beta/models/gemini-x:generateContent"),
        (404, b'{"detail":"Not Found"}'),
        (404, b""),
        (405, b"<html>Method Not Allowed</html>"),
        (405, b'{"error":{"code":405,"message":"Method not allowed"}}'),
        (410, b"<html>Gone</html>"),
        (410, b"gone: models/x"),
    ],
)
def test_a_wrong_address_is_about_the_address(status, body):
    """Choosing another model would not help."""
    with pytest.raises(Fatal) as caught:
        read_error(status, {}, body, requested=1)
    assert (caught.value.kind, caught.value.cause) == ("wrong_address", "address")


@pytest.mark.parametrize("status", [404, 410])
def test_a_retired_model_is_about_the_model(status):
    """This is Google's own message."""
    body = (
        b'{"error":{"code":%d,"status":"NOT_FOUND","message":"models/imagen-4.0 is not found for v1beta"}}' % status
    )
    with pytest.raises(Fatal) as caught:
        read_error(status, {}, body, requested=1)
    assert (caught.value.kind, caught.value.cause) == ("model_gone", "model_gone")
