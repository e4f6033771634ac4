"""Tests delivery under descriptive names: names are safe, sidecars valid, signed files unchanged."""

from __future__ import annotations

import io
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from imagen_batch.errors import SettingsInvalid
from imagen_batch.exports.documents.xmp import embed, packet
from imagen_batch.exports.export import export
from tests.exports.runs import HOSTILE, book, draw_image, image_sample, rows_of, set_columns, tree, write_run
from tests.support.images import signed, sound

IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"


def _properties(xmp: bytes) -> dict[str, str]:
    root = ElementTree.fromstring(xmp)
    description = root.find(f"{RDF}RDF/{RDF}Description")
    assert description is not None
    return {item.tag: "".join(item.itertext()) for item in description}


def test_names_follow_the_template_and_every_image_has_a_sidecar(tmp_path: Path) -> None:
    """`chapter` and `page` are padded numbers."""
    run = book(tmp_path / "book")
    export(run, to="folder", out=tmp_path / "out", name_template="{chapter:02}/{page:03}_{id}")
    names = {name for name in tree(tmp_path / "out") if name.endswith(".png")}
    assert {"02/001_1.png", "01/012_12.png"} <= names
    assert len(names) == 10
    for row in rows_of(run):
        delivered = tmp_path / "out" / f"{int(row['chapter']):02}/{int(row['page']):03}_{row['row']}.png"
        assert delivered.read_bytes() == (run / row["file"]).read_bytes()
        about = _properties(delivered.with_name(delivered.name + ".xmp").read_bytes())
        assert about[f"{IPTC}AIPromptInformation"] == row["prompt"]
        assert about[f"{IPTC}AISystemUsed"] == row["model"]


def test_only_a_model_makes_trained_algorithmic_media() -> None:
    """The simulator is an algorithm."""
    source = "http://cv.iptc.org/newscodes/digitalsourcetype/"
    for provider, kind in (("gemini", "trainedAlgorithmicMedia"), ("simulator", "algorithmicMedia")):
        about = _properties(packet({"provider": provider, "model": "m", "prompt": "p"}))
        assert about[f"{IPTC}DigitalSourceType"] == source + kind


@pytest.mark.parametrize("prompt", HOSTILE)
def test_a_sidecar_is_well_formed_for_any_prompt(prompt: str) -> None:
    """Control characters, which XML does not allow, are removed."""
    about = _properties(packet({"provider": "gemini", "model": "m", "prompt": prompt + "]]>\ud800\uffff"}))
    plain = "".join(char for char in prompt if char in "\t\n\r" or ord(char) >= 32)
    assert about[f"{IPTC}AIPromptInformation"] == plain.replace("\r\n", "\n") + "]]>"


def test_equal_names_get_the_same_suffixes_in_every_export(tmp_path: Path) -> None:
    """Names that differ only in case count as equal."""
    samples = [
        image_sample(1, draw_image(1), number=number, prompt="a", user={"name2": "Fox" if number % 2 else "fox"})
        for number in range(1, 5)
    ]
    run = write_run(tmp_path / "run", samples, user=("name2",))
    export(run, to="folder", out=tmp_path / "out", name_template="{name2}")
    names = sorted(name for name in tree(tmp_path / "out") if name.endswith(".png"))
    assert names == ["Fox.png", "Fox_03.png", "fox_02.png", "fox_04.png"]


def test_no_name_leads_out_of_the_folder(tmp_path: Path) -> None:
    """Cells are data; a template that leads out is refused."""
    run = book(tmp_path / "book", prompts=["../../../evil", "/etc/passwd", "..\\..\\x", "CON", "a\x00b\u202egnp"])
    export(run, to="folder", out=tmp_path / "out", name_template="{prompt}")
    assert {path.parent for path in (tmp_path / "out").rglob("*.png")} == {tmp_path / "out"}
    for template in ("../{id}", "/abs/{id}", "{nope}", "{id.__class__}", "{id!r}", ""):
        with pytest.raises(SettingsInvalid, match="--name-template"):
            export(run, to="folder", out=tmp_path / "out", name_template=template)


@pytest.mark.parametrize(
    "name", [name for name in sound() if name.startswith(("png", "jpeg")) and "signed" not in name]
)
def test_embedding_keeps_every_pixel(name: str) -> None:
    """Pillow reads the packet."""
    original = sound()[name]
    xmp = packet({"provider": "gemini", "model": "m", "prompt": '<b> & "c" 水'})
    changed = embed(original, xmp)
    assert changed is not None
    with Image.open(io.BytesIO(original)) as before, Image.open(io.BytesIO(changed)) as after:
        assert after.tobytes() == before.tobytes()
        embedded = after.info.get("xmp") or after.info["XML:com.adobe.xmp"].encode()
    assert embedded == xmp
    assert embed(changed, xmp) is None


def test_what_has_no_room_for_a_packet_stays_as_it_is() -> None:
    """A JPEG segment holds 64 KB; WebP would need a new container."""
    long = packet({"provider": "gemini", "model": "m", "prompt": "long " * 30_000})
    assert embed(sound()["jpeg baseline"], long) is None
    assert embed(sound()["webp lossy"], long) is None


def test_signed_images_are_never_changed(tmp_path: Path) -> None:
    """Whatever the manifest says about them; unsigned ones carry the packet."""
    files = {**signed(), "png rgb": sound()["png rgb"], "jpeg baseline": sound()["jpeg baseline"]}
    mimes = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
    samples = [
        image_sample(row, data, mime_type=mimes[name.split()[0]], c2pa=False)
        for row, (name, data) in enumerate(files.items(), 1)
    ]
    run = write_run(tmp_path / "run", samples)
    done = export(run, to="folder", out=tmp_path / "out", name_template="{row}", embed_metadata=True)
    assert "3 images took no embedded metadata" in done.warnings[0]
    for (name, data), row in zip(files.items(), rows_of(run), strict=True):
        (delivered,) = (path for path in (tmp_path / "out").glob(f"{row['row']}.*") if path.suffix != ".xmp")
        assert (delivered.read_bytes() == data) is ("signed" in name)
        assert (b"Iptc4xmpExt" in delivered.read_bytes()) is ("signed" not in name)
        assert (run / row["file"]).read_bytes() == data


def test_an_image_that_is_not_valid_any_more_is_delivered_unchanged(tmp_path: Path) -> None:
    """A later version may check images more strictly: whether such a file is signed is not known."""
    data = sound()["png rgb"][:-4]
    run = write_run(tmp_path / "run", [image_sample(1, data)])
    done = export(run, to="folder", out=tmp_path / "out", name_template="{row}", embed_metadata=True)
    assert (tmp_path / "out" / "1.png").read_bytes() == data
    assert "1 image took no embedded metadata" in done.warnings[0]


def test_only_approved_images_are_delivered_on_request(tmp_path: Path) -> None:
    """Rejected ones never are."""
    run = book(tmp_path / "book")
    set_columns(run, {"review": ["approved", "rejected", *["approved"] * 4, *[None] * 6]})
    assert export(run, to="folder", out=tmp_path / "out", approved=True).images == 4
    assert export(run, to="folder", out=tmp_path / "out").images == 9
