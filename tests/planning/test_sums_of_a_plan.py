"""Tests that a plan adds up prices and disk space of the selected rows, and keeps their first names."""

import io
import re
from datetime import date

import pytest

from imagen_batch.errors import InputInvalid, SettingsInvalid
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.providers.catalogue import load_catalogue
from imagen_batch.settings import make_settings
from tests.support.plans import small_plan
from tests.support.runs import IMAGEN, TODAY

NANO = "gemini-nano-banana-2.1"


def test_the_worst_case_is_the_price_of_each_image(tmp_path):
    """Five images at 25 cents; a row beyond the limit costs nothing."""
    rows = [{"prompt": "a", "samples": 3}, {"prompt": "b", "samples": 2}, {"prompt": "c", "samples": 4}]
    totals = small_plan(tmp_path, rows, price=0.25, limit=2).totals
    assert totals.worst_usd == pytest.approx(1.25)
    assert (totals.selected_samples, totals.samples, totals.unpriced) == (5, 9, 0)
    assert (totals.selected_rows, totals.rows, totals.requests) == (2, 3, 2)


def test_images_without_a_price_are_counted(tmp_path):
    """They are not in the worst case."""
    totals = small_plan(tmp_path, [{"prompt": "a", "samples": 3}], model="of-our-own", dialect="predict").totals
    assert (totals.unpriced, totals.worst_usd) == (3, 0.0)


def test_the_disk_space_depends_on_the_size_of_the_images(tmp_path):
    """An image of 1K counts as 1.5 MB, one of 2K as four times as much."""
    plan = small_plan(tmp_path, [{"prompt": "a", "samples": 3, "image_size": ""}])
    assert plan.disk_bytes == 4_500_000
    larger = small_plan(
        tmp_path, [{"prompt": "a", "samples": 2, "image_size": "2K"}, {"prompt": "b", "samples": 1, "image_size": ""}]
    )
    assert larger.disk_bytes == 13_500_000


def test_the_names_of_the_first_three_images_are_known(tmp_path):
    """The text of a plan shows them."""
    rows = [{"prompt": letter, "filename": f"name-{letter}"} for letter in "abcd"]
    plan = small_plan(tmp_path, rows)
    assert plan.names == ["images/name-a", "images/name-b", "images/name-c"]
    assert plan.totals.has_names


def test_the_copy_of_standard_input_is_deleted_with_the_plan(tmp_path):
    """It holds all prompts, and nothing else would remove it."""
    settings = make_settings({"prompts": "-", "out": str(tmp_path / "out"), "provider": "simulator", "model": NANO})
    plan = make_plan(settings, today=TODAY, stdin=io.BytesIO(b"prompt\na\n"))
    assert plan.spool is not None
    assert plan.source is None
    copy = plan.spool.path
    assert copy.exists()
    plan.delete_spool()
    assert not copy.exists()


def test_a_warning_names_its_first_line_and_counts_its_rows(tmp_path):
    """A style is added to the prompt in two of three rows."""
    rows = [{"prompt": "a", "style": ""}, {"prompt": "b", "style": "ink"}, {"prompt": "c", "style": "ink"}]
    (warning,) = small_plan(tmp_path, rows).row_warnings
    assert warning == "style: is added to the end of the prompt (2 rows, first in line 3)"
    (single,) = small_plan(tmp_path, rows[:2]).row_warnings
    assert single == "style: is added to the end of the prompt (line 3)"


def test_the_price_with_the_successor_of_a_model_is_computed(tmp_path):
    """It counts each image of the selected rows."""
    catalogue = load_catalogue()
    model = catalogue.get(IMAGEN)
    assert model is not None
    successor = catalogue.get(model.successor or "")
    assert successor is not None
    each = successor.worst_price("1K", "a")
    assert each
    rows = [{"prompt": "a", "samples": 2}, {"prompt": "a", "samples": 1}, {"prompt": "a", "samples": 9}]
    totals = small_plan(tmp_path, rows, limit=2).totals
    assert totals.images_by_model == {IMAGEN: 3}
    assert totals.successor_usd[IMAGEN] == pytest.approx(3 * each, rel=0.01)


def test_a_retired_model_is_refused_with_its_successor_s_price(tmp_path):
    """Another host may still serve it, so it is accepted there."""
    rows = [{"prompt": "a", "samples": 3}]
    with pytest.raises(SettingsInvalid) as caught:
        small_plan(tmp_path, rows, provider="gemini", today=date(2099, 1, 1))
    text = str(caught.value)
    assert "this run asks for 3 images of it" in text
    assert re.search(r"change to its successor \S+ \(at most \$0\.\d\d+ for these images\)", text)
    hosted = small_plan(
        tmp_path, rows, provider="gemini", today=date(2099, 1, 1), base_url="http://127.0.0.1:1", price=1
    )
    assert hosted.samples == 3


def test_a_limit_in_usd_needs_prices(tmp_path):
    """This holds for the selected rows and for either limit."""
    rows = [{"prompt": "a", "samples": 2}]
    for limit in ("max_cost", "max_cost_per_run"):
        own = {"model": "of-our-own", "dialect": "predict", limit: 1.0}
        option = f"--{limit.replace('_', '-')}"
        with pytest.raises(SettingsInvalid, match=f"{option} needs prices, and none is known for 2 images"):
            small_plan(tmp_path, rows, **own)
        assert small_plan(tmp_path, rows, **own, price=0.1).totals.unpriced == 0
    assert small_plan(tmp_path, rows, max_images=1, model="of-our-own", dialect="predict").totals.unpriced == 2


def test_the_copy_of_standard_input_is_deleted_when_the_plan_fails(tmp_path, monkeypatch):
    """There is no plan that could delete it later."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    settings = make_settings({"prompts": "-", "out": str(tmp_path / "out"), "provider": "simulator", "model": NANO})
    with pytest.raises(InputInvalid) as caught:
        make_plan(settings, today=TODAY, stdin=io.BytesIO(b"prompt,samples\na,x\n"))
    assert list(tmp_path.iterdir()) == []  # while the traceback still holds the plan's variables
    assert caught.tb is not None
