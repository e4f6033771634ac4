"""Tests that a plan whose rows are read in blocks is the plan of the same rows, one by one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given
from hypothesis import strategies as st

from imagen_batch.errors import InputInvalid, SettingsInvalid
from imagen_batch.planning.checking.count_rows_in_blocks import rows_to_count
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.planning.plan import RunPlan
from imagen_batch.planning.plan_rows_in_blocks import PlannedBlock
from imagen_batch.planning.resolve_rows import PlannedRow, RowPlanner
from imagen_batch.prompts.row_blocks.rows_as_columns import RowBlock
from imagen_batch.settings import make_settings
from tests.support.random_tables import SOUND_CELLS, tables
from tests.support.runs import IMAGEN, TODAY
from tests.support.small_blocks import in_blocks

SETTINGS = (
    {},
    {"samples": 3},
    {"limit": 2},
    {"accept": 2},
    {"trim": "8x8in"},
    {"aspect_ratio": "16:9"},
    {"model": "gemini-2.5-flash-image"},
    {"model": "gemini-2.5-flash-image", "price": 0.25},
    {"negative_prompt": "fog", "provider": "vertex"},
    {"model": "imagen-4.0-generate-001", "seed": 3},
    {"name_template": "{slug}-{sample}"},
)


def plan_of(folder: Path, text: str, **chosen: object) -> RunPlan | list[object] | str:
    """Return the plan of a prompt file with this text, or its problems."""
    source = folder / "prompts.csv"
    source.write_text(text, encoding="utf-8", newline="")
    values = {"prompts": str(source), "out": str(folder / "out"), "provider": "simulator", "model": IMAGEN}
    try:
        return make_plan(make_settings({**values, **chosen}), today=TODAY)
    except InputInvalid as error:
        return list(error.problems)
    except SettingsInvalid as error:
        return str(error)


def facts_of(plan: RunPlan | list[object] | str) -> object:
    """Return everything that a plan knows of its rows."""
    if not isinstance(plan, RunPlan):
        return plan
    rows = range(1, plan.rows + 1)
    return {
        "totals": plan.totals,
        "models": list(plan.totals.images_by_model),
        "shapes": list(plan.totals.images_by_shape),
        "keys": list(plan.index),
        "earlier": list(plan.index.earlier_keys()),
        "prices": [(plan.index.price(row), plan.index.per_request(row)) for row in rows],
        "warnings": plan.warnings,
        "types": plan.user_columns,
    }


def comparable(row: PlannedRow) -> object:
    """Return a row with the names of its images in place of the function that makes them."""
    return replace(row, stem_for_sample=None), [
        row.image_name(number, "f" * 64) for number in range(1, row.samples + 1)
    ]


@given(
    text=st.one_of(tables(), tables(SOUND_CELLS)),
    chosen=st.sampled_from(SETTINGS),
    block_bytes=st.sampled_from([30, 90, 10_000]),
)
@example(
    text="prompt,aspect_ratio,model\n"
    "a,1:1,gemini-2.5-flash-image\nb,16:9,gemini-nano-banana-2.1\nc,1:1,gemini-3-pro-image\n",
    chosen={},
    block_bytes=10_000,
)
@example(text="prompt\na fox\n" + "word " * 600 + "\nb\n", chosen={}, block_bytes=10_000)
@example(text="prompt\n" + "a fox\n" * 6, chosen={"limit": 2}, block_bytes=10_000)
def test_blocks_give_the_same_plan(*, text: str, chosen: dict[str, object], block_bytes: int) -> None:
    """Keys, prices, totals, warnings, types of columns, and every problem."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        one_by_one = plan_of(folder, text, **chosen)
        with in_blocks(block_bytes):
            together = plan_of(folder, text, **chosen)
            assert facts_of(together) == facts_of(one_by_one)
            if not isinstance(together, RunPlan):
                return
            blocks = [list(block) for block in together.planned_blocks()]
        assert isinstance(one_by_one, RunPlan)
        assert [comparable(row) for block in blocks for row in block] == [
            comparable(row) for row in one_by_one.planned_rows()
        ]


def test_ordinary_rows_are_planned_and_counted_together(tmp_path: Path) -> None:
    """Otherwise the comparison above would compare single rows with themselves."""
    text = "id,prompt,aspect_ratio\n" + "".join(
        f"r{at},fox {at % 40},{'16:9' if at % 3 else ''}\n" for at in range(50)
    )
    plan = plan_of(tmp_path, text)
    assert isinstance(plan, RunPlan)
    (rows,) = plan.file.row_blocks()
    assert isinstance(rows, RowBlock)
    assert rows_to_count(rows, RowPlanner(plan.settings, plan.catalogue)) is not None
    (block,) = plan.planned_blocks()
    assert isinstance(block, PlannedBlock)


def test_a_long_file_is_read_in_blocks(tmp_path: Path) -> None:
    """And a short one is not: importing what reads in blocks would delay its first request."""
    plan = plan_of(tmp_path, "prompt\na fox\n")
    assert isinstance(plan, RunPlan)
    assert not plan.file.is_long
    with (tmp_path / "prompts.csv").open("ab") as file:
        file.write(b"a fox\n" * 1_500_000)
    assert plan.file.is_long


def test_rows_below_a_style_may_have_two_keys(tmp_path: Path) -> None:
    """Earlier versions sent another text for the rows with a style, which is the text of later rows."""
    text = "prompt,style\n" + "fox.,ink\n" * 2 + "fox,\n" * 4 + '"fox., ink",\n' * 3
    one_by_one = plan_of(tmp_path, text)
    assert isinstance(one_by_one, RunPlan)
    assert [row for row, *_ in one_by_one.index.earlier_keys()] == [1, 2, 7, 8, 9]
    with in_blocks(20):
        assert facts_of(plan_of(tmp_path, text)) == facts_of(one_by_one)
