"""Tests that a plan finds, checks and prices reference images, and that keys depend on them."""

import tracemalloc
from pathlib import Path
from unittest.mock import patch

import pytest

from imagen_batch.errors import InputInvalid
from imagen_batch.images import reference_file
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.planning.references import file_facts
from imagen_batch.settings import make_settings
from tests.support.reference_files import write_image
from tests.support.runs import TODAY, write_csv


def plan(folder, cells, **chosen):
    """Return the plan of rows with these references."""
    rows = [{"prompt": f"scene {number}", "references": cell} for number, cell in enumerate(cells)]
    settings = {"prompts": str(write_csv(folder / "p.csv", rows)), "provider": "simulator", **chosen}
    return make_plan(make_settings(settings), today=TODAY)


def problems(folder, cells, **chosen):
    """Return the problems of such rows as line, value and message."""
    with pytest.raises(InputInvalid) as caught:
        plan(folder, cells, **chosen)
    return [(each.line, each.found, each.message) for each in caught.value.problems]


def keys(run_plan):
    """Return the row keys of a plan."""
    return [base for base, _ in run_plan.index]


def test_every_problem_has_its_line_and_value(tmp_path):
    """All of them are reported at once, and nothing is sent."""
    write_image(tmp_path / "fox.png")
    (tmp_path / "note.txt").write_text("not an image")
    reported = problems(tmp_path, ["fox.png", "gone.png", "note.txt", ".", "ftp://x/y.png", "fox.png;@nobody"])
    assert [(line, value) for line, value, _ in reported] == [
        *((3, "gone.png"), (4, "note.txt"), (5, "."), (6, "ftp://x/y.png"), (7, "@nobody")),
    ]


def test_more_images_than_the_model_accepts_are_refused(tmp_path):
    """The images of the run count as well."""
    write_image(tmp_path / "fox.png")
    assert plan(tmp_path, [";".join(["fox.png"] * 14)]).rows == 1
    [(line, value, message)] = problems(tmp_path, [";".join(["fox.png"] * 14)], references=["fox.png"])
    assert (line, value) == (2, "15")
    assert "at most 14" in message


def test_a_model_without_a_field_for_images_is_refused(tmp_path):
    """Imagen models accept only a prompt."""
    write_image(tmp_path / "fox.png")
    [(line, _, message)] = problems(tmp_path, ["fox.png", ""], model="imagen-4.0-generate-001")
    assert line == 2
    assert "takes no reference images" in message


def test_images_that_do_not_fit_into_a_request_are_refused(tmp_path):
    """This holds for a single image and for all together."""
    write_image(tmp_path / "fox.png")
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(5 * 2**30)
    [(line, value, message)] = problems(tmp_path, ["huge.png"])
    assert (line, value) == (2, "huge.png")
    assert "78." in message
    limits = {"simulator": 17_500}
    with patch.dict("imagen_batch.planning.references.limits.REQUEST_BYTES", limits):
        [(line, value, message)] = problems(tmp_path, ["fox.png", ";".join(["fox.png"] * 14)])
        assert (line, value) == (3, "14 reference images")
        assert "may have 17.5 kB" in message


@pytest.mark.parametrize(
    ("provider", "uri", "accepted"),
    [
        ("gemini", "https://generativelanguage.googleapis.com/v1beta/files/abc", True),
        ("gemini", "gs://b/fox.png", False),
        ("vertex", "gs://b/fox.png", True),
        ("vertex", "gs://b/fox", False),
        ("vertex", "http://x/fox.png", False),
        ("gemini", "https://me:secret@x/fox.png", False),
        ("gemini", "https://x/fox.gif", False),
        ("gemini", "file:///etc/passwd", False),
    ],
)
def test_an_address_is_taken_where_the_provider_reads_it(tmp_path, provider, uri, accepted):
    """All other addresses are refused with the line."""
    if accepted:
        [row] = plan(tmp_path, [uri], provider=provider).planned_rows()
        assert row.references[0].uri == uri
    else:
        [(line, value, _)] = problems(tmp_path, [uri], provider=provider)
        assert (line, value) == (2, uri)


def test_the_key_follows_the_content_and_not_the_path(tmp_path):
    """Rows without references keep the key they had."""
    write_image(tmp_path / "fox.png")
    write_image(tmp_path / "sheets/same.png")
    write_image(tmp_path / "hat.png", "blue")
    before = plan(tmp_path, ["fox.png", "fox.png;hat.png", ""])
    without = plan(tmp_path, ["", "", ""])
    moved = plan(tmp_path, ["sheets/../sheets/same.png", "hat.png;fox.png", ""])
    assert keys(before)[0] == keys(moved)[0]
    assert keys(before)[1] != keys(moved)[1], "the order is what the prompt counts by"
    assert keys(before)[2] == keys(without)[2]
    assert keys(before)[0] != keys(without)[0]
    write_image(tmp_path / "fox.png", "red")
    changed = plan(tmp_path, ["fox.png", "fox.png;hat.png", ""])
    assert [a == b for a, b in zip(keys(before), keys(changed), strict=True)] == [False, False, True]


def test_the_price_has_the_tokens_of_the_images(tmp_path):
    """Each image has 1,120 input tokens at $1.50 a million."""
    write_image(tmp_path / "fox.png")
    with_one, with_none = plan(tmp_path, ["fox.png"]), plan(tmp_path, [""])
    extra = with_one.totals.worst_usd - with_none.totals.worst_usd
    assert extra == pytest.approx(1120 * 1.5e-6)


def test_references_of_the_run_come_first_in_every_row(tmp_path, monkeypatch):
    """Paths are relative to the prompt file, else to the current folder."""
    write_image(tmp_path / "style.png")
    write_image(tmp_path / "fox.png", "red")
    elsewhere = tmp_path / "elsewhere"
    write_image(elsewhere / "here.png", "blue")
    monkeypatch.chdir(elsewhere)
    run_plan = plan(tmp_path, ["fox.png", ""], references=["style.png", "here.png"])
    paths = [[Path(each.path).name for each in row.references] for row in run_plan.planned_rows()]
    assert paths == [["style.png", "here.png", "fox.png"], ["style.png", "here.png"]]
    assert all(Path(path).is_absolute() for path in run_plan.settings.references)


def test_one_image_of_fifty_thousand_rows_is_read_once_in_flat_memory(tmp_path):
    """A plan holds 48 bytes a row, with references or without."""
    data = write_image(tmp_path / "fox.png")
    source = tmp_path / "p.csv"
    source.write_text("prompt,references\n" + "".join(f"scene {n},fox.png\n" for n in range(50_000)))
    settings = make_settings({"prompts": str(source), "provider": "simulator"})
    reads: list[str] = []

    def count_read(path, *, max_bytes):
        reads.append(path)
        return reference_file.read_file(path, max_bytes=max_bytes)

    tracemalloc.start()
    with patch.object(file_facts, "read_file", count_read):
        run_plan = make_plan(settings, today=TODAY)
        for row in run_plan.planned_rows():
            assert row.references[0].bytes == len(data)
        held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(reads) == 1
    assert held < 15_000_000


def test_settings_without_references_stay_as_the_user_gave_them(tmp_path):
    """An option that was not given must not override that of a stored run."""
    settings = plan(tmp_path, [""]).settings
    assert "references" not in settings.model_fields_set


def test_a_row_with_references_has_no_key_of_an_earlier_version(tmp_path):
    """Earlier versions sent no images, so that no image of theirs is one of this row."""
    write_image(tmp_path / "fox.png")
    rows = [{"prompt": "A fox.", "style": "ink", "references": cell} for cell in ("", "fox.png")]
    settings = {"prompts": str(write_csv(tmp_path / "p.csv", rows)), "provider": "simulator"}
    run_plan = make_plan(make_settings(settings), today=TODAY)
    assert [row.earlier_prompt for row in run_plan.planned_rows()] == ["A fox., ink", None]
    assert [row for row, *_ in run_plan.index.earlier_keys()] == [1]
