"""Tests that images which differ from the request are kept, recorded, counted and reported."""

import io
import json

import orjson
import pytest
from PIL import Image

from imagen_batch.images.compare_aspect_ratio import has_other_ratio
from imagen_batch.ledger.history import read_history
from imagen_batch.reports.render import to_json, to_markdown, to_terminal
from imagen_batch.storage import LEDGER
from tests.support.runs import IMAGEN, prompts, run, write_csv
from tests.support.scripted_service import answering, gemini_reply, imagen_reply

GEMINI = "gemini-nano-banana-2.1"


def gradient(number, size=(320, 180)):
    """Return an image that is not flat, a different one for each number."""
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    image.putpixel((number % size[0], number // size[0]), (255, 0, 255))
    return to_png(image)


def to_png(image):
    target = io.BytesIO()
    image.save(target, "PNG")
    return target.getvalue()


FLAT = to_png(Image.new("RGB", (320, 320), "teal"))


def warnings_of(ran):
    return [row["warnings"] for row in ran.rows]


def done_samples(folder):
    lines = [line for path in (folder / LEDGER).rglob("*.jsonl") for line in path.read_bytes().splitlines()]
    records = [orjson.loads(line) for line in lines]
    return [sample for record in records if record["t"] == "done" for sample in record["samples"]]


@pytest.mark.parametrize(
    ("sides", "requested", "dialect", "other"),
    [
        ((1408, 768), "16:9", "generate_content", False),  # 3.1 % off: the services' own rounding
        ((1024, 1024), "16:9", "generate_content", True),
        ((768, 1408), "16:9", "predict", True),
        ((1280, 896), "4:3", "predict", False),  # documented for Imagen
        ((1280, 896), "4:3", "generate_content", True),
        ((1024, 1024), None, "predict", False),
        ((None, None), "1:1", "predict", False),
        ((10, 10), "0:1", "predict", False),
        ((10, 10), "1:0", "predict", False),
        ((10, 10), "wide", "predict", False),
        ((10, 10), "1e999:1e999", "predict", False),
    ],
)
def test_a_ratio_differs_if_it_is_off_by_more_than_four_percent(sides, requested, dialect, other):
    assert has_other_ratio(*sides, requested, dialect=dialect) is other


def test_another_aspect_ratio_than_requested_is_recorded_and_kept(tmp_path):
    with answering(gemini_reply(gradient(1, (320, 320)))) as service:
        ran = run(prompts(tmp_path, "a fox"), service, model=GEMINI, aspect_ratio="16:9")
    assert (ran.statuses, ran.summary.exit_code) == (["ok"], 0)
    assert warnings_of(ran) == ["aspect_ratio"]
    assert [sample["warnings"] for sample in done_samples(ran.folder)] == [["aspect_ratio"]]


def test_the_same_bytes_for_different_samples_are_found(tmp_path):
    with answering(*[gemini_reply(gradient(number)) for number in (1, 2, 1, 3)]) as service:
        ran = run(prompts(tmp_path, "one", "two", "three", "four"), service, model=GEMINI, concurrency=1)
    assert sorted(map(str, warnings_of(ran))) == ["None", "None", "duplicate_bytes", "duplicate_bytes"]
    assert ran.summary.image_warnings == {"duplicate_bytes": 2}
    assert ran.summary.exit_code == 0


def test_the_same_bytes_within_one_reply_are_found(tmp_path):
    with answering(imagen_reply(gradient(1), gradient(1), gradient(2))) as service:
        ran = run(prompts(tmp_path, "one"), service, model=IMAGEN, samples=3)
    assert warnings_of(ran) == ["duplicate_bytes", "duplicate_bytes", None]


def test_a_sample_that_is_made_again_is_not_a_duplicate_of_itself(tmp_path):
    with answering(gemini_reply(gradient(1))) as service:
        source = prompts(tmp_path, "one")
        ran = run(source, service, model=GEMINI)
        (ran.folder / ran.rows[0]["file"]).unlink()
        again = run(source, service, model=GEMINI, retry=("missing",))
    assert len(done_samples(ran.folder)) == 2
    assert warnings_of(again) == [None]


def test_a_flat_color_and_a_dropped_second_image_are_recorded(tmp_path):
    with answering(gemini_reply(gradient(1), FLAT)) as service:
        ran = run(prompts(tmp_path, "one"), service, model=GEMINI)
    assert warnings_of(ran) == ["flat_color;extra_image"]
    [kept] = (ran.folder / ".imagen-batch/quarantine").iterdir()
    assert kept.read_bytes() == gradient(1)


def test_a_row_without_warnings_has_no_such_field_in_the_ledger(tmp_path):
    with answering(gemini_reply(gradient(1))) as service:
        ran = run(prompts(tmp_path, "one"), service, model=GEMINI, aspect_ratio="16:9")
    assert "warnings" not in done_samples(ran.folder)[0]
    assert warnings_of(ran) == [None]
    assert to_json(ran.summary)["image_warnings"] == {}
    assert "column warnings" not in to_terminal(ran.summary, color=False) + to_markdown(ran.summary)


def test_warnings_are_counted_in_words_in_every_summary(tmp_path):
    with answering(gemini_reply(FLAT)) as service:
        source = write_csv(tmp_path / "rows.csv", [{"prompt": text, "aspect_ratio": "16:9"} for text in "ab"])
        ran = run(source, service, model=GEMINI)
    expected = {"aspect_ratio": 2, "duplicate_bytes": 2, "flat_color": 2}
    assert json.loads((ran.folder / "summary.json").read_text())["image_warnings"] == expected
    for text in (to_terminal(ran.summary, color=False), (ran.folder / "summary.md").read_text()):
        assert (
            "2 images have another aspect ratio than requested (column warnings of manifest.csv: aspect_ratio)"
            in text
        )
        assert "2 images have the same bytes as another sample's, as from a cache" in text
        assert "2 images are a single flat color" in text


def test_an_image_whose_file_is_missing_has_no_warnings(tmp_path):
    with answering(gemini_reply(FLAT)) as service:
        source = prompts(tmp_path, "one")
        ran = run(source, service, model=GEMINI)
        (ran.folder / ran.rows[0]["file"]).unlink()
        again = run(source, service, model=GEMINI)
    assert (again.statuses, warnings_of(again)) == (["failed"], [None])


def test_the_history_of_an_empty_folder_has_no_duplicates(tmp_path):
    assert not read_history(tmp_path).duplicates().has("ab" * 32, 1)
