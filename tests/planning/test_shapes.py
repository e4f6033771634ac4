"""Tests that named shapes become aspect ratio and size, and that their print resolution is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagen_batch.errors import InputInvalid, SettingsInvalid
from imagen_batch.planning.book_shapes import read_shapes
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.planning.plan import RunPlan
from imagen_batch.settings import make_settings
from imagen_batch.simulator import Simulator
from tests.support.runs import TODAY, write_csv
from tests.support.shell import Shell

ROWS = [{"prompt": "a", "shape": shape} for shape in ("cover", "Full page", "spread", "spot", "")]


def plan_rows(folder: Path, rows: list[dict[str, str]], **settings: object) -> RunPlan:
    """Plan these rows."""
    source = write_csv(folder / "book.csv", rows)
    return make_plan(make_settings({"prompts": str(source), "provider": "simulator", **settings}), today=TODAY)


def ratios_and_sizes(plan: RunPlan) -> list[tuple[str | None, str | None]]:
    """Return ratio and size of each row."""
    return [(row.options.aspect_ratio, row.options.image_size) for row in plan.planned_rows()]


def test_shapes_have_ratio_and_size(tmp_path: Path) -> None:
    """A row without a shape is unchanged."""
    assert ratios_and_sizes(plan_rows(tmp_path, ROWS)) == [
        ("3:4", "4K"),
        ("3:4", "2K"),
        ("3:2", "4K"),
        ("1:1", "1K"),
        (None, None),
    ]


def test_a_page_decides_ratio_and_size(tmp_path: Path) -> None:
    """It gets the smallest size with 300 dpi, else the largest with a warning."""
    plan = plan_rows(tmp_path, ROWS, trim="8.5x8.5in", bleed="0.125in")
    assert ratios_and_sizes(plan) == [("1:1", "4K"), ("1:1", "4K"), ("16:9", "4K"), ("1:1", "2K"), (None, None)]
    lines = "\n".join(plan.totals.shapes)
    assert "cover: 1:1 4K, about 4,096 x 4,096 pixels, 468 dpi on 8.75 x 8.75 in" in lines
    assert "full-page: 1:1 1K, about 1,024 x 1,024 pixels, 117 dpi" in lines
    assert any("full-page" in warning and "below 300 dpi" in warning for warning in plan.warnings)
    assert not any("cover" in warning for warning in plan.warnings)


def test_a_model_with_one_size_gets_the_nearest_ratio(tmp_path: Path) -> None:
    """Imagen 4 Fast makes only 1K and five ratios."""
    plan = plan_rows(tmp_path, ROWS[:3], model="imagen-4.0-fast-generate-001", trim="210x297mm")
    assert [ratio for ratio, _ in ratios_and_sizes(plan)] == ["3:4", "3:4", "4:3"]
    assert "nothing larger" in " ".join(plan.warnings)


def test_drafts_of_all_shapes_have_one_warning(tmp_path: Path) -> None:
    """A row's own size is not a draft and is named with its shape."""
    rows = [{**row, "image_size": "1K" if row["shape"] == "spread" else ""} for row in ROWS[:4]]
    plan = plan_rows(tmp_path, rows, trim="8x10in", image_size="1K")
    assert plan.warnings[0].startswith(
        "image_size: 1K prints below 300 dpi; the plan has the figures of each shape (3 rows"
    )
    assert [("spread" in warning) for warning in plan.warnings] == [False, True]


def test_the_user_s_own_choice_is_kept(tmp_path: Path) -> None:
    """The choice is the row's ratio, or --image-size for drafts."""
    rows = [
        {"prompt": "a", "shape": "cover", "aspect_ratio": "16:9"},
        {"prompt": "b", "shape": "cover", "aspect_ratio": ""},
    ]
    assert ratios_and_sizes(plan_rows(tmp_path, rows, image_size="1K")) == [("16:9", "1K"), ("3:4", "1K")]
    plan = plan_rows(tmp_path, [{"prompt": "a"}], shape="spread", aspect_ratio="1:1")
    assert ratios_and_sizes(plan) == [("1:1", "4K")]


def test_the_user_may_define_shapes(tmp_path: Path) -> None:
    """A shape has a ratio or a printed size."""
    own = {"banner": {"aspect_ratio": "21:9", "image_size": "2K"}, "Card": {"width": "63mm", "height": "88mm"}}
    plan = plan_rows(tmp_path, [{"prompt": "a", "shape": "banner"}, {"prompt": "a", "shape": "card"}], shapes=own)
    assert ratios_and_sizes(plan) in ([("21:9", "2K"), ("3:4", "1K")], [("21:9", "2K"), ("2:3", "1K")])


@pytest.mark.parametrize(("shape", "settings"), [("cvoer", {}), ("round", {"trim": "8x8in"})])
def test_an_unknown_shape_is_invalid_input(tmp_path: Path, shape: str, settings: dict[str, str]) -> None:
    """The problem names the row and the known shapes."""
    with pytest.raises(InputInvalid) as caught:
        plan_rows(tmp_path, [{"prompt": "a", "shape": shape}], **settings)
    (problem,) = caught.value.problems
    assert (problem.line, problem.column, problem.found) == (2, "shape", shape)
    assert "cover" in problem.message


def test_a_column_of_the_user_s_own_that_is_called_shape_stays_theirs(tmp_path: Path) -> None:
    """Inputs of earlier versions keep their keys."""
    plan = plan_rows(tmp_path, [{"prompt": "a", "shape": "round"}])
    assert ratios_and_sizes(plan) == [(None, None)]
    assert list(plan.index) == list(plan_rows(tmp_path, [{"prompt": "a"}]).index)
    assert "'round'" in " ".join(plan.warnings)


@pytest.mark.parametrize(
    "settings",
    [
        {"trim": "8.5"},
        {"trim": "0x8in"},
        {"trim": "1e9x1in"},
        {"trim": "8x8furlongs"},
        {"trim": "900x900in"},
        {"bleed": "1in"},
        {"bleed": "-1in", "trim": "8x8in"},
        {"shape": "cvoer"},
        {"shapes": {"a": {"aspect_ratio": "wide"}}},
        {"shapes": {"a": {"aspectratio": "1:1"}}},
        {"shapes": {"a": {"width": "4in"}}},
        {"shapes": {"a": {"image_size": "9K"}}},
        {"shapes": {"a": {"pages": "x"}}},
    ],
)
def test_invalid_sizes_and_shapes_are_refused(settings: dict[str, object]) -> None:
    """Each is an invalid setting."""
    with pytest.raises(SettingsInvalid):
        read_shapes(make_settings({"prompts": "x", **settings}))


def test_millimeters_and_inches_are_the_same_page() -> None:
    """Each side may have its own unit."""
    inches = read_shapes(make_settings({"prompts": "x", "trim": "8.5x11in"})).trim
    metric = read_shapes(make_settings({"prompts": "x", "trim": "215.9mm x 279.4mm"})).trim
    assert inches == (8.5, 11.0)
    assert metric == pytest.approx(inches)


def test_the_report_measures_the_real_pixels(shell: Shell, tmp_path: Path) -> None:
    """The summary has the ids of the images that print below 300 dpi."""
    book = write_csv(tmp_path / "book.csv", [{"id": "front", "prompt": "a", "shape": "cover", "image_size": "1K"}])
    with Simulator() as sim:
        known = ["--provider", "simulator", "--base-url", sim.url, "--out", tmp_path / "out"]
        result = shell.run("run", book, *known, "--trim", "8.5x8.5in", "--bleed", "0.125in", "--json")
    assert result.code == 0, result.err
    (shape,) = result.json["prints"]
    assert shape == {"shape": "cover", "images": 1, "inches": [8.75, 8.75], "lowest_dpi": 117.0, "below_300_dpi": 1}
    assert "1 below 300 dpi: front:1" in (tmp_path / "out" / "summary.md").read_text()
    assert shell.run("audit", tmp_path / "out").code == 0


@pytest.mark.parametrize(("pages", "accepted"), [(-0.5, False), (0, True), (0.5, True), (10, True), (10.5, False)])
def test_a_shape_is_from_a_part_of_a_page_to_ten_pages_wide(pages: float, accepted: bool) -> None:
    """A part of a page has no bleed."""
    settings = make_settings({"prompts": "p.csv", "provider": "simulator", "shapes": {"own": {"pages": pages}}})
    if accepted:
        assert read_shapes(settings).named["own"].pages == pages
    else:
        with pytest.raises(SettingsInvalid, match=r"shapes\.own: pages must be from 0 to 10"):
            read_shapes(settings)
