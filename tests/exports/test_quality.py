"""Tests that images that look wrong are reported with a reason, and left out only on request."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from imagen_batch.errors import SettingsInvalid
from imagen_batch.exports.export import export
from imagen_batch.exports.options import FINDINGS, Options
from imagen_batch.exports.quality.duplicates import near_pairs
from imagen_batch.exports.quality.fingerprint import fingerprint
from tests.exports.lookalikes import encode, figure, measure, scene, texture, variants
from tests.exports.runs import image_sample, rows_of, set_columns, tree, write_run

EXTRA = "belongs to the extra `near-duplicates`"
without_library = patch("imagen_batch.exports.quality.examine.can_hash", lambda: False)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Write a run with two good images and one for each kind of finding."""
    sound, other = encode(texture(1)), encode(scene(1))
    near = dict(variants(texture(1), 1))["JPEG 50"]
    flat = encode(Image.new("RGB", (384, 384), (200, 30, 30)), "JPEG")
    blue = encode(Image.new("RGB", (384, 384), (20, 30, 200)), "JPEG")
    wide = encode(figure(1).resize((512, 288)))
    small = encode(figure(2).resize((128, 128)))
    data = [sound, other, sound, near, flat, blue, wide, small]
    mimes = {b"\x89": "image/png", b"\xff": "image/jpeg"}
    samples = [
        image_sample(row, each, mime_type=mimes[each[:1]], prompt=f"p {row}") for row, each in enumerate(data, 1)
    ]
    folder = write_run(tmp_path / "run", samples)
    table = pq.read_table(folder / "manifest.parquet")
    place = table.schema.get_field_index("aspect_ratio")
    pq.write_table(table.set_column(place, "aspect_ratio", pa.array(["1:1"] * 8)), folder / "manifest.parquet")
    return folder


def test_each_finding_has_its_reason_and_pairs_name_the_other_image(run: Path, tmp_path: Path) -> None:
    """Flat images of different colors are not duplicates of each other."""
    pytest.importorskip("imagehash", reason=EXTRA)
    done = export(run, to="captions", out=tmp_path / "out", report=True)
    assert done.images == 8
    assert done.findings == {"identical": 1, "near_duplicate": 1, "flat": 2, "shape": 1, "small": 1}
    with (tmp_path / "out" / "report.csv").open(newline="", encoding="utf-8") as file:
        findings = {(row["finding"], int(row["row"])): row for row in csv.DictReader(file)}
    first = rows_of(run)[0]["file"]
    assert set(findings) == {
        ("identical", 3),
        ("near_duplicate", 4),
        ("flat", 5),
        ("flat", 6),
        ("shape", 7),
        ("small", 8),
    }
    assert findings["identical", 3]["other_file"] == findings["near_duplicate", 4]["other_file"] == first
    assert findings["shape", 7]["reason"] == "512 x 288 is +78% off 1:1"
    assert findings["small", 8]["reason"] == "128 x 128: a side is under 256 pixels"
    text = (tmp_path / "out" / "report.txt").read_text("utf-8")
    assert text.startswith("8 images examined, 6 findings.")
    assert "Near-duplicates: 1\n  row 4," in text


def test_the_documented_sizes_of_a_service_are_no_finding(tmp_path: Path) -> None:
    """Imagen documents 1280 x 896 for 4:3, which is 7 % off: summary, audit and export agree that this is right."""
    folder = write_run(
        tmp_path / "run", [image_sample(row, encode(texture(row).resize((640, 448)))) for row in (1, 2)]
    )
    set_columns(folder, {"aspect_ratio": ["4:3", "4:3"], "dialect": ["predict", "generate_content"]})
    export(folder, to="captions", out=tmp_path / "out", report=True)
    with (tmp_path / "out" / "report.csv").open(newline="", encoding="utf-8") as file:
        findings = [(row["row"], row["finding"], row["reason"]) for row in csv.DictReader(file)]
    assert findings == [("2", "shape", "640 x 448 is +7% off 4:3")]


def test_drop_leaves_out_the_named_findings(run: Path, tmp_path: Path) -> None:
    """The first image of each pair stays."""
    pytest.importorskip("imagehash", reason=EXTRA)
    done = export(run, to="captions", out=tmp_path / "out", drop=("identical", "near_duplicate", "flat"))
    assert done.left_out == {"flat": 2, "identical": 1, "near_duplicate": 1}
    assert [name[:6] for name in sorted(tree(tmp_path / "out")) if name.endswith((".png", ".jpg"))] == [
        "000001",
        "000002",
        "000007",
        "000008",
    ]
    assert export(run, to="csv", out=tmp_path / "all", drop=FINDINGS).images == 2
    with pytest.raises(SettingsInvalid, match="--drop blurry: expected identical"):
        export(run, to="csv", drop=("blurry",))


def test_near_duplicates_are_found_and_different_images_are_not() -> None:
    """These images were not used to choose the threshold.

    For the whole table: python -m benchmarks.accuracy.near_duplicates
    """
    pytest.importorskip("imagehash", reason=EXTRA)
    measured = measure(range(1000, 1006), others=range(2000, 2045))
    limit = Options().near
    recall = {name: sum(bits <= limit for bits in found) / len(found) for name, found in measured.variants.items()}
    assert len(measured.different) > 10_000
    assert len(measured.takes) == 6 * 6
    assert measured.precision(limit) == 1.0
    assert measured.recall(limit) > 0.88
    assert recall["crop 5 %"] > 0.8
    assert recall.pop("crop 10 %") < recall.pop("crop 6 %") > 0.5
    assert min(share for name, share in recall.items() if name != "crop 5 %") > 0.95, recall


@without_library
def test_without_the_library_everything_else_is_found_and_the_report_says_so(run: Path, tmp_path: Path) -> None:
    """Identical bytes need no perceptual hash."""
    done = export(run, to="captions", out=tmp_path / "out", report=True)
    assert done.findings == {"identical": 1, "flat": 2, "shape": 1, "small": 1}
    said = "near-duplicates were not looked for, identical bytes were; to find both: pip install "
    assert done.warnings[0].startswith(said)
    assert said in (tmp_path / "out" / "report.txt").read_text("utf-8")
    assert export(run, to="csv", out=tmp_path / "plain").warnings == ()


@without_library
def test_near_duplicates_are_not_dropped_in_silence_without_the_library(run: Path, tmp_path: Path) -> None:
    """Nothing is exported; the message has the command and what works without it."""
    for kinds in (("near_duplicate",), FINDINGS):
        with pytest.raises(
            SettingsInvalid, match=r"pip install .*near-duplicates.* --drop identical,flat,shape,small"
        ):
            export(run, to="csv", out=tmp_path / "out", drop=kinds)
    assert not (tmp_path / "out").exists()
    assert export(run, to="csv", out=tmp_path / "out", drop=("identical", "flat")).images == 5


def test_near_pairs_equal_those_of_a_plain_comparison() -> None:
    """Each hash is paired with its nearest earlier one, even across blocks."""
    dice = random.Random(5)
    across = [dice.getrandbits(64) for _ in range(700)]
    down = [dice.getrandbits(64) for _ in range(700)]
    across[650], down[650] = across[3] ^ 0b101, down[3] ^ 1
    across[651], down[651] = across[649], down[649]
    assert list(near_pairs(across, down, distance=10)) == [(650, 3, 3), (651, 649, 0)]
    assert list(near_pairs([], [], distance=10)) == []


def test_gray_palette_and_transparent_images_have_a_fingerprint() -> None:
    """A service may send any of these forms."""
    pytest.importorskip("imagehash", reason=EXTRA)
    image = texture(7)
    prints = [
        fingerprint(encode(form, kind))
        for form, kind in (
            (image.convert("L"), "PNG"),
            (image.quantize(64), "PNG"),
            (image.convert("RGBA"), "WEBP"),
            (image.convert("CMYK"), "JPEG"),
        )
    ]
    assert all((print_.width, print_.height, print_.flat) == (384, 384, False) for print_ in prints)


def test_a_flat_image_may_vary_as_much_as_encoders_change_it() -> None:
    """A soft gradient is not flat."""
    gradient = Image.linear_gradient("L").resize((300, 300)).point(lambda value: 100 + value // 16)
    assert fingerprint(encode(Image.new("RGB", (300, 300), "white"), "JPEG")).flat
    assert not fingerprint(encode(gradient)).flat
    tiny = Image.new("RGB", (2, 2))
    assert fingerprint(encode(tiny)).flat
