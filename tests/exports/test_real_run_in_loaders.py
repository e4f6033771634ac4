"""Tests that a real run of 1,632 prompts is loaded from every export by the library that people use.

PARTIPROMPTS=PartiPrompts.tsv make test-exports     with the published prompts instead of those drawn here
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from imagen_batch.exports.export import export
from imagen_batch.simulator import Simulator
from tests.exports.runs import tree
from tests.support.runs import FinishedRun, run

datasets = pytest.importorskip("datasets", reason="belongs to the extra `exports-test`")
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(900)]  # the libraries' own warnings

COUNT = 1_632
SPLIT = {"split": "train=0.8,validation=0.1,test=0.1"}
WORDS = ("a fox", '"quoted"', "snow, ink & water", "水墨画", "“curly”", "café", "the word 'NULL'", "3/4 view", "7")


def _write_prompts(path: Path) -> Path:
    """Write a table with the header and the oddities of the published one: raw quotes, blanks, repeated prompts."""
    dice = random.Random(1)
    lines = ["Prompt\tCategory\tChallenge\tYear"]
    for row in range(1, COUNT + 1):
        prompt = " ".join(dice.choices(WORDS, k=dice.randrange(1, 40))) + (f" {row}" if row % 50 else "")
        lines.append(f"{' ' * (row % 7 == 0)}{prompt}\tAnimals\tBasic\t{1900 + row % 100 if row % 3 else ''}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FinishedRun]:
    """Return the finished run, made by the simulator."""
    home = tmp_path_factory.mktemp("parti")
    published = os.environ.get("PARTIPROMPTS")
    source = home / "prompts.tsv"
    if published:
        source.write_bytes(Path(published).read_bytes())
    else:
        _write_prompts(source)
    with Simulator() as sim:
        yield run(source, sim, model="gemini-3.1-flash-image", image_size="512", concurrency=16)


@pytest.fixture(scope="module")
def originals(done: FinishedRun) -> dict[str, tuple[str, str]]:
    """Return prompt and hash of every image, by the stem of its name in an export."""
    table = pq.read_table(done.folder / "manifest.parquet").to_pylist()
    source = (done.folder.parent / "prompts.tsv").read_text("utf-8").splitlines()[1:]
    assert [row["prompt"] for row in table] == [line.split("\t")[0].strip() for line in source]
    assert len(table) == COUNT
    return {f"{row['row']:06}_01_{row['key'][:8]}": (row["prompt"], row["sha256"]) for row in table}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("to", ["imagefolder", "parquet", "webdataset"])
def test_datasets_loads_every_prompt_and_every_byte(
    done: FinishedRun, originals: dict[str, tuple[str, str]], to: str, tmp_path: Path
) -> None:
    """One line loads the splits that the export names."""
    exported = export(done.folder, to=to, out=tmp_path / "out", shard_size=20_000_000, **SPLIT)
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {name: len(part) for name, part in loaded.items()} == exported.splits
    seen = {}
    for part in loaded.values():
        column = next(name for name in ("image", "png", "jpg") if name in part.column_names)
        for row in part.cast_column(column, datasets.Image(decode=False)):
            data = row[column]["bytes"] or Path(row[column]["path"]).read_bytes()
            stem = row["__key__"] if to == "webdataset" else Path(row[column]["path"]).stem
            about = row["json"] if to == "webdataset" else row
            seen[stem.rsplit("/", 1)[-1]] = (about["prompt"], _digest(data))
    assert seen == originals
    if "Year" in pq.read_schema(done.folder / "manifest.parquet").names and to != "webdataset":
        assert str(loaded["train"].features["Year"].dtype) == "int64"


def test_webdataset_streams_every_sample(
    done: FinishedRun, originals: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    """Its keys have no dots."""
    wds = pytest.importorskip("webdataset")
    export(done.folder, to="webdataset", out=tmp_path / "out", shard_size=20_000_000)
    shards = [str(path) for path in sorted((tmp_path / "out" / "data").iterdir())]
    assert len(shards) > 1
    samples = wds.WebDataset(shards, shardshuffle=False)
    image = {".jpg": "jpg", ".png": "png"}
    seen = {
        sample["__key__"].rsplit("/", 1)[-1]: (
            sample["txt"].decode(),
            _digest(next(sample[name] for name in image.values() if name in sample)),
        )
        for sample in samples
    }
    assert seen == originals


def test_pycocotools_and_label_studio_find_every_image(
    done: FinishedRun, originals: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    """Both refer to images by path."""
    tools = pytest.importorskip("pycocotools.coco")
    export(done.folder, to="coco", out=tmp_path / "coco")
    coco = tools.COCO(str(tmp_path / "coco" / "annotations" / "captions_train.json"))
    seen = {}
    for image in coco.loadImgs(coco.getImgIds()):
        (caption,) = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
        path = tmp_path / "coco" / "train" / image["file_name"]
        seen[path.stem] = (caption["caption"], _digest(path.read_bytes()))
    assert seen == originals
    export(done.folder, to="labelstudio", out=tmp_path / "studio")
    tasks = json.loads((tmp_path / "studio" / "tasks.json").read_text("utf-8"))
    paths = [tmp_path / "studio" / task["data"]["image"].partition("?d=")[2] for task in tasks]
    prompts = [task["data"]["prompt"] for task in tasks]
    seen = {path.stem: (text, _digest(path.read_bytes())) for path, text in zip(paths, prompts, strict=True)}
    assert seen == originals


def test_captions_and_the_csv_have_every_prompt(
    done: FinishedRun, originals: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    """A caption is one line."""
    export(done.folder, to="captions", out=tmp_path / "captions")
    images = [path for path in (tmp_path / "captions").iterdir() if path.suffix in {".png", ".jpg"}]
    assert {path.stem: _digest(path.read_bytes()) for path in images} == {
        stem: digest for stem, (_, digest) in originals.items()
    }
    for path in images:
        assert path.with_suffix(".txt").read_text("utf-8").split() == originals[path.stem][0].split()
    export(done.folder, to="csv", out=tmp_path / "csv")
    table = pd.read_csv(tmp_path / "csv" / "images.csv", dtype=str, keep_default_na=False)
    assert list(table["prompt"]) == [prompt for prompt, _ in originals.values()]


@pytest.mark.parametrize("to", ["imagefolder", "parquet"])
def test_mlcroissant_reads_every_record(
    done: FinishedRun, originals: dict[str, tuple[str, str]], to: str, tmp_path: Path
) -> None:
    """Its checks find no error."""
    croissant = pytest.importorskip("mlcroissant")
    export(done.folder, to=to, out=tmp_path / "out", license="https://creativecommons.org/licenses/by/4.0/")
    dataset: Any = croissant.Dataset(jsonld=str(tmp_path / "out" / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    prompts = sorted(record["default/prompt"].decode() for record in dataset.records(record_set="default"))
    assert prompts == sorted(prompt for prompt, _ in originals.values())


@pytest.mark.parametrize("to", ["imagefolder", "parquet", "webdataset", "coco", "captions", "labelstudio", "csv"])
def test_two_builds_are_identical(done: FinishedRun, to: str, tmp_path: Path) -> None:
    """Every byte of every file is the same."""
    for name in ("a", "b"):
        export(done.folder, to=to, out=tmp_path / name, **SPLIT)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_the_folder_itself_opens_in_duckdb_polars_pandas_and_datasets(done: FinishedRun, tmp_path: Path) -> None:
    """These are the lines of docs/exports.md."""
    duckdb, polars = pytest.importorskip("duckdb"), pytest.importorskip("polars")
    manifest = str(done.folder / "manifest.parquet")
    query = f"select count(*), count(distinct prompt) from '{manifest}' where status = 'ok'"
    [(count, distinct)] = duckdb.sql(query).fetchall()
    assert count == COUNT
    assert distinct <= COUNT
    assert duckdb.sql(f"select count(*) from '{done.folder / 'manifest.csv'}'").fetchall() == [(COUNT,)]
    assert polars.read_parquet(manifest).filter(polars.col("status") == "ok").height == COUNT
    assert len(pd.read_parquet(manifest).query("status == 'ok'")) == COUNT
    loaded = datasets.load_dataset(str(done.folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(loaded) == COUNT
    ratings = f"select r.category, count(*) from '{manifest}', unnest(safety_ratings) as t(r) group by all"
    assert all(number == COUNT for _, number in duckdb.sql(ratings).fetchall())


def test_df_gallery_makes_a_page_of_the_folder(done: FinishedRun) -> None:
    """This is the line of docs/exports.md; the page finds each image from where it lies."""
    pytest.importorskip("df_gallery")
    home, folder = done.folder.parent, done.folder.name
    words = ["build", f"{folder}/manifest.csv", "--path-col", "file", "--img-root", folder, "--relative-to-html"]
    program = Path(sys.executable).with_name("df-gallery")
    command = [str(program), *words, "--out", "book.html", "--no-open"]
    subprocess.run(command, cwd=home, check=True, capture_output=True, timeout=120)
    sources = re.findall(r'"src": *"([^"]+)"', (home / "book.html").read_text("utf-8"))
    assert len(sources) == COUNT
    assert all((home / source).is_file() for source in sources)
