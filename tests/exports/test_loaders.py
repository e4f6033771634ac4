"""Tests that the usual libraries load each export, with every prompt and every image unchanged."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from imagen_batch.exports.export import export
from tests.exports.runs import HOSTILE, book, draw_image, image_sample, rows_of, set_columns, write_run

pytestmark = pytest.mark.filterwarnings("default")  # the libraries' own
EXTRA = "belongs to the extra `exports-test`"
SPLIT = {"split": "train=0.6,test=0.4"}
USER = ("chapter", "page")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Write a run with hostile prompts, two refusals, and columns of types that later versions write."""
    folder = book(tmp_path / "test-run", prompts=HOSTILE)
    count = pq.read_metadata(folder / "manifest.parquet").num_rows
    set_columns(
        folder, {"cover_file_name": ["images/none.png"] * count, "rating": [0.5] * count, "image": ["x"] * count}
    )
    return folder


def _originals(run: Path) -> dict[str, bytes]:
    return {row["prompt"]: (run / row["file"]).read_bytes() for row in rows_of(run)}


@pytest.mark.parametrize("to", ["imagefolder", "parquet", "webdataset"])
def test_datasets_loads_the_export_in_one_line(run: Path, to: str, tmp_path: Path) -> None:
    """It has all splits, all rows, and the columns under their names."""
    datasets = pytest.importorskip("datasets", reason=EXTRA)
    export(run, to=to, out=tmp_path / "out", shard_size=1_000_000, **SPLIT)
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert set(loaded) == {"train", "test"}
    loaded_images = {}
    for part in loaded.values():
        column = next(name for name in ("image", "png") if name in part.column_names)
        for row in part.cast_column(column, datasets.Image(decode=False)):
            prompt = row["txt"] if to == "webdataset" else row["prompt"]
            data = row[column]["bytes"] or Path(row[column]["path"]).read_bytes()
            loaded_images[prompt] = data
            about = row["json"] if to == "webdataset" else row
            assert about["model"] == "gemini-nano-banana-2.1"
    assert loaded_images == _originals(run)
    first = next(iter(loaded["train"]))
    assert isinstance(first["png" if to == "webdataset" else "image"], Image.Image)


def test_datasets_loads_an_image_folder_by_its_builder(run: Path, tmp_path: Path) -> None:
    """This form of the line reads no dataset card."""
    datasets = pytest.importorskip("datasets", reason=EXTRA)
    export(run, to="imagefolder", out=tmp_path / "out", **SPLIT)
    loaded = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {name: len(part) for name, part in loaded.items()} == export(
        run, to="csv", out=tmp_path / "csv", **SPLIT
    ).splits
    assert {row["prompt"] for part in loaded.values() for row in part} == set(_originals(run))


def test_a_run_with_exports_inside_still_loads_as_itself(tmp_path: Path) -> None:
    """The dataset card makes that possible; a warning names the form that guesses the splits."""
    datasets = pytest.importorskip("datasets", reason=EXTRA)
    run = book(tmp_path / "run")
    for to in ("imagefolder", "parquet", "webdataset", "coco"):
        assert "now finds this export instead of the run" in export(run, to=to, where="row < 3").warnings[0]
    assert export(run, to="csv").warnings == ()
    loaded = datasets.load_dataset(str(run), cache_dir=str(tmp_path / "cache"))
    assert {name: len(part) for name, part in loaded.items()} == {"train": 10}


def test_parquet_keeps_types_row_groups_and_shards_small(tmp_path: Path) -> None:
    """The test reads it with pyarrow and pandas."""
    size = (400, 300)
    samples = (image_sample(row, draw_image(row, size=size), prompt=f"p {row}") for row in range(1, 251))
    run = write_run(tmp_path / "run", samples)
    export(run, to="parquet", out=tmp_path / "out", shard_size=5_000_000)
    shards = sorted((tmp_path / "out" / "data").iterdir())
    assert [path.name for path in shards] == [f"train-{n:05}-of-{len(shards):05}.parquet" for n in range(len(shards))]
    assert len(shards) > 2
    groups = [pq.ParquetFile(path).metadata for path in shards]
    assert all(group.row_group(n).num_rows <= 100 for group in groups for n in range(group.num_row_groups))
    table = pd.concat([pd.read_parquet(path) for path in shards])
    assert list(table["prompt"]) == [f"p {row}" for row in range(1, 251)]
    assert table["width"].dtype == "int64"
    assert [data["bytes"] for data in table["image"]] == [(run / row["file"]).read_bytes() for row in rows_of(run)]
    about = json.loads(pq.read_schema(shards[0]).metadata[b"huggingface"])
    assert about["info"]["features"]["image"] == {"_type": "Image"}


def test_webdataset_reads_the_shards(run: Path, tmp_path: Path) -> None:
    """It uses its own decoders."""
    wds = pytest.importorskip("webdataset", reason=EXTRA)
    export(run, to="webdataset", out=tmp_path / "out", **SPLIT)
    loaded_images = {}
    for shard in sorted((tmp_path / "out" / "data").iterdir()):
        for sample in wds.WebDataset(str(shard), shardshuffle=False).decode("pil"):
            assert "." not in sample["__key__"]
            loaded_images[sample["txt"]] = sample["png"].size
            assert sample["json"]["prompt"] == sample["txt"]
    assert loaded_images == {prompt: Image.open(io.BytesIO(data)).size for prompt, data in _originals(run).items()}


def test_a_set_of_mixed_types_has_one_extension(tmp_path: Path) -> None:
    """The loader of `datasets` requires that; the content is unchanged."""
    samples = [
        image_sample(row, draw_image(row, form=form), mime_type=f"image/{form.lower()}", prompt=f"p {row}")
        for row, form in enumerate(("JPEG", "PNG", "JPEG", "WEBP"), 1)
    ]
    run = write_run(tmp_path / "run", samples)
    done = export(run, to="webdataset", out=tmp_path / "out")
    assert done.warnings == (
        "images of several types: 1 .png, 1 .webp are named .jpg too; their content is unchanged",
    )
    datasets = pytest.importorskip("datasets", reason=EXTRA)
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))["train"]
    assert [row["jpg"].format for row in loaded] == ["JPEG", "PNG", "JPEG", "WEBP"]


def test_pycocotools_reads_the_captions(run: Path, tmp_path: Path) -> None:
    """Each image has its caption and its file."""
    coco = pytest.importorskip("pycocotools.coco", reason=EXTRA)
    export(run, to="coco", out=tmp_path / "out", **SPLIT)
    loaded_images = {}
    for split in ("train", "test"):
        loaded = coco.COCO(str(tmp_path / "out" / "annotations" / f"captions_{split}.json"))
        for image in loaded.loadImgs(loaded.getImgIds()):
            (caption,) = loaded.loadAnns(loaded.getAnnIds(imgIds=image["id"]))
            loaded_images[caption["caption"]] = (tmp_path / "out" / split / image["file_name"]).read_bytes()
    assert loaded_images == _originals(run)


def test_each_caption_is_one_line_in_a_file_beside_its_image(run: Path, tmp_path: Path) -> None:
    """The trigger word comes first."""
    export(run, to="captions", out=tmp_path / "out", trigger="wllws style")
    images = sorted((tmp_path / "out").glob("*.png"))
    captions = [path.with_suffix(".txt").read_bytes().decode() for path in images]
    assert len(images) == 19
    assert all(text.startswith("wllws style, ") and len(text.splitlines()) == 1 for text in captions)
    assert captions[3] == "wllws style, controls [31m red and lines of text end"


def test_label_studio_tasks_name_images_by_path(run: Path, tmp_path: Path) -> None:
    """The paths are those of its local files."""
    export(run, to="labelstudio", out=tmp_path / "out")
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text("utf-8"))
    loaded_images = {}
    for task in tasks:
        root, _, name = task["data"]["image"].partition("?d=")
        assert root == "/data/local-files/"
        loaded_images[task["data"]["prompt"]] = (tmp_path / "out" / name).read_bytes()
    assert loaded_images == _originals(run)
    assert [task["id"] for task in tasks] == list(range(1, 20))


def test_pandas_reads_the_csv_with_every_prompt_exact(run: Path, tmp_path: Path) -> None:
    """Prompts are text; empty cells are missing values."""
    export(run, to="csv", out=tmp_path / "out", **SPLIT)
    table = pd.read_csv(tmp_path / "out" / "images.csv", dtype=str, keep_default_na=False)
    assert list(table["prompt"]) == [row["prompt"] for row in rows_of(run)]
    assert set(table["split"]) == {"train", "test"}
    left = pd.read_csv(tmp_path / "out" / "left_out.csv", dtype=str)
    assert list(left["left_out"]) == ["filtered"] * 2


def test_no_cell_of_an_excel_safe_csv_runs_as_a_formula(tmp_path: Path) -> None:
    """This holds for cells, headers and the side table."""
    prompts = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "fine", "\r=1", "=2"]
    run = book(tmp_path / "run", prompts=["x", *prompts])
    set_columns(run, {"=cmd|' /C calc'!A0": ["=2"] * 22})
    export(run, to="csv", out=tmp_path / "out", excel_safe=True)
    for name in ("images.csv", "left_out.csv"):
        data = (tmp_path / "out" / name).read_bytes()
        assert data.startswith(b"\xef\xbb\xbf")
        rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
        assert len(rows) > 2
        assert not [cell for row in rows for cell in row if cell.strip()[:1] in {"=", "+", "-", "@"} and cell]


@pytest.mark.parametrize("to", ["imagefolder", "parquet"])
def test_mlcroissant_accepts_the_metadata_and_reads_records(run: Path, to: str, tmp_path: Path) -> None:
    """The metadata have no errors."""
    croissant = pytest.importorskip("mlcroissant", reason=EXTRA)
    export(run, to=to, out=tmp_path / "out", license="https://creativecommons.org/licenses/by/4.0/", **SPLIT)
    dataset: Any = croissant.Dataset(jsonld=str(tmp_path / "out" / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    records = list(dataset.records(record_set="default"))
    prompts = {record["default/prompt"].decode() for record in records}
    assert prompts == set(_originals(run))
    if to == "parquet":
        assert records[0]["default/image"].size == (64, 48)
