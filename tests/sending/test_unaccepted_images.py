"""Images in unusual forms are read where possible; unusable ones are quarantined and paid for twice at most."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imagen_batch.audit.audit import audit
from imagen_batch.images.validate import validate
from imagen_batch.ledger.history import read_history
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.settings import make_settings
from imagen_batch.simulator import Simulator
from tests.support.images import chunk
from tests.support.rare_images import HEIC
from tests.support.runs import IMAGEN, TODAY, FinishedRun, prompts, run
from tests.support.scripted_service import Script, answering, gemini_reply, imagen_reply

NANO = "gemini-nano-banana-2.1"
MODELS = {"predict": IMAGEN, "generate_content": NANO}
READABLE = (
    "byte_order_mark",
    "utf_16",
    "in_an_array",
    "nuls_around",
    "base64_in_pieces",
    "base64_in_lines",
    "base64_unpadded",
    "base64_for_urls",
    "data_url",
)
FORMATS = {
    "gif": "image/gif",
    "avif": "image/avif",
    "tiff": "image/tiff",
    "bmp": "image/bmp",
    "jpeg2000": "image/jp2",
    "webp": "image/webp",
}


def rule(fault: str, *, times: int | None = None, **options: Any) -> dict[str, Any]:
    """Return a fault that affects every prompt."""
    return {"match": "*", "fault": fault, "options": options} | ({} if times is None else {"times": times})


def quarantined(ran: FinishedRun) -> list[Path]:
    return sorted((ran.folder / ".imagen-batch" / "quarantine").glob("*"))


def failed_attempts(ran: FinishedRun) -> list[dict[str, Any]]:
    """Return the ledger's records of attempts without a result."""
    files = (ran.folder / ".imagen-batch" / "ledger").rglob("*.jsonl")
    records = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
    return [record for record in records if record["t"] == "back"]


def spent(ran: FinishedRun) -> float:
    return read_history(ran.folder / ".imagen-batch" / "ledger").cost_bounds().spent


@pytest.mark.parametrize("model", MODELS.values())
@pytest.mark.parametrize("fault", READABLE)
def test_good_images_in_an_unusual_form_are_bought_once(tmp_path: Path, fault: str, model: str) -> None:
    """The bytes are exactly those that the service generated."""
    with Simulator(faults=[rule(fault)]) as sim:
        ran = run(prompts(tmp_path, "one"), sim, model=model)
        assert ran.statuses == ["ok"]
        assert len(sim.requests) == 1
        assert [row["sha256"] for row in ran.rows] == [image.sha256 for image in sim.images]
        assert ran.rows[0]["error_kind"] is None


@pytest.mark.parametrize("model", MODELS.values())
@pytest.mark.parametrize("image_format", FORMATS)
def test_a_whole_image_of_a_rare_format_is_kept_as_what_it_is(tmp_path: Path, image_format: str, model: str) -> None:
    """One request is sent; extension and type follow the content, the bytes stay, and the manifest notes it."""
    with Simulator(faults=[rule("other_format", format=image_format)]) as sim:
        ran = run(prompts(tmp_path, "one"), sim, model=model)
        (row,) = ran.rows
        assert (row["status"], row["mimeType"]) == ("ok", FORMATS[image_format])
        assert row["error_kind"] == (None if image_format == "webp" else "rare_format")
        assert len(sim.requests) == 1
        assert row["sha256"] == sim.images[0].sha256
        assert validate(ran.image(row)).extension == Path(row["file"]).suffix
        assert ran.summary.exit_code == 0


@pytest.mark.parametrize("image_format", ["gif", "avif", "webp"])
def test_a_type_that_the_service_misstated_is_reported(tmp_path: Path, image_format: str) -> None:
    """The image is kept; the row is ok and has the stated type."""
    with Simulator(faults=[rule("other_format", format=image_format, lie=True)]) as sim:
        ran = run(prompts(tmp_path, "one"), sim)
        (row,) = ran.rows
        assert (row["status"], row["mimeType"], row["error_kind"]) == ("ok", FORMATS[image_format], "mime_mismatch")
        assert "image/png" in row["error"]
        assert len(sim.requests) == 1


@pytest.mark.parametrize("model", MODELS.values())
@pytest.mark.parametrize("fault", ["bad_base64", "half_picture", "unknown_type", "cut_json"])
def test_the_same_damage_is_not_bought_more_than_twice(tmp_path: Path, fault: str, model: str) -> None:
    """A second request may fix a transfer problem; a third one would only cost money."""
    with Simulator(faults=[rule(fault)]) as sim:
        ran = run(prompts(tmp_path, "one"), sim, model=model, max_attempts=5)
        assert ran.statuses == ["failed"]
        assert ran.rows[0]["error_kind"] == "transient_exhausted"
        assert "2 attempts" in ran.rows[0]["error"]
        assert len(sim.requests) == 2
        assert run(prompts(tmp_path, "one"), sim, model=model).statuses == ["failed"]
        assert len(sim.requests) == 2


@pytest.mark.parametrize("fault", ["half_picture", "unknown_type"])
def test_bytes_that_are_not_a_whole_image_are_quarantined(tmp_path: Path, fault: str) -> None:
    """The row names the file, and no table lists it as an image."""
    with Simulator(faults=[rule(fault)]) as sim:
        ran = run(prompts(tmp_path, "one"), sim)
        files = quarantined(ran)
        assert files
        assert any(str(file.relative_to(ran.folder)) in ran.rows[0]["error"] for file in files)
        assert all(file.read_bytes() for file in files)
        assert list((ran.folder / "images").glob("*")) == []


def test_the_cost_of_damaged_images_is_counted_from_their_usage(tmp_path: Path) -> None:
    """Both attempts reported their usage: both costs are known, and none counts as lost."""
    with Simulator(faults=[rule("bad_base64")]) as sim:
        ran = run(prompts(tmp_path, "one"), sim)
        (back,) = failed_attempts(ran)
        assert (back["charged"], back["kind"]) == ("yes", "bad_base64")
        assert back["usd"] == pytest.approx(0.0336, rel=0.2)
        (row,) = ran.rows
        assert (row["cost_is"], row["cost_usd"]) == ("exact", pytest.approx(2 * back["usd"]))
        assert spent(ran) == pytest.approx(2 * back["usd"])
        assert (ran.summary.cost_low_usd, ran.summary.lost_attempts) == (pytest.approx(spent(ran), abs=1e-4), 0)
        assert ran.summary.cost_high_usd == pytest.approx(ran.summary.cost_low_usd)


def test_damage_that_a_second_request_fixes_is_counted_as_well(tmp_path: Path) -> None:
    """The row is ok, the run cost two images, and the limits count both."""
    with Simulator(faults=[rule("half_picture", times=1)]) as sim:
        ran = run(prompts(tmp_path, "one"), sim)
        assert ran.statuses == ["ok"]
        (back,) = failed_attempts(ran)
        assert back["usd"] > 0
        assert spent(ran) == pytest.approx(ran.rows[0]["cost_usd"])
        assert spent(ran) == pytest.approx(2 * back["usd"], rel=0.01)
        history = read_history(ran.folder / ".imagen-batch" / "ledger")
        assert history.max_images_made() == 2


def test_damaged_images_without_usage_are_counted_at_their_list_price(tmp_path: Path) -> None:
    """Imagen reports no tokens: the cost is an estimate, not 0."""
    with Simulator(faults=[rule("half_picture")]) as sim:
        ran = run(prompts(tmp_path, "one"), sim, model=IMAGEN)
        assert spent(ran) == pytest.approx(0.08)
        assert (ran.rows[0]["cost_usd"], ran.rows[0]["cost_is"]) == (0.08, "estimate")


def test_an_unknown_cost_is_not_shown_as_zero(tmp_path: Path) -> None:
    """Where no price is known, damaged images make the sum unknown."""
    with Simulator(faults=[rule("half_picture")], models=["sim-new"]) as sim:
        ran = run(prompts(tmp_path, "one"), sim, model="sim-new", dialect="predict")
        assert (ran.rows[0]["cost_usd"], ran.rows[0]["cost_is"]) == (None, "unknown")
        assert ran.summary.cost_usd is None


def test_a_lost_reply_before_another_error_leaves_the_cost_unknown(tmp_path: Path) -> None:
    """The last attempt certainly cost nothing; the one before it may have been charged."""
    faults = [rule("reset_midway", times=1), rule("internal_500")]
    with Simulator(faults=faults) as sim:
        ran = run(prompts(tmp_path, "one"), sim, max_attempts=2)
        assert ran.statuses == ["failed"]
        assert (ran.rows[0]["cost_usd"], ran.rows[0]["cost_is"]) == (None, "unknown")


def requested_samples(sim: Simulator) -> list[int]:
    return [json.loads(request.body)["parameters"]["sampleCount"] for request in sim.requests]


@pytest.mark.parametrize("sample", [1, 3, 4])
def test_a_damaged_image_among_good_ones_is_requested_alone(tmp_path: Path, sample: int) -> None:
    """The requests are for 4 and 1 images, the bill is 5; the three good ones are paid for once."""
    with Simulator(faults=[rule("half_of_one", times=1, sample=sample)]) as sim:
        ran = run(prompts(tmp_path, "one"), sim, model=IMAGEN, samples=4)
        assert ran.statuses == ["ok"] * 4
        assert requested_samples(sim) == [4, 1]
        assert sim.bill.total == 5
        assert spent(ran) == pytest.approx(5 * 0.04)
        assert sim.requests[1].headers["x-imagen-batch-sample"] == str(sample)
        assert len({row["sha256"] for row in ran.rows}) == 4


def test_a_damaged_image_among_good_ones_is_bought_twice_at_most(tmp_path: Path) -> None:
    """The payment among the four counts as the first one."""
    with Simulator(faults=[rule("half_of_one", sample=2)]) as sim:
        ran = run(prompts(tmp_path, "one"), sim, model=IMAGEN, samples=4)
        assert ran.statuses == ["ok", "failed", "ok", "ok"]
        assert requested_samples(sim) == [4, 1]
        assert spent(ran) == pytest.approx(5 * 0.04)
        assert sum(row["cost_usd"] for row in ran.rows) == pytest.approx(5 * 0.04)


def test_a_refusal_beside_a_damaged_image_is_not_requested_again(tmp_path: Path) -> None:
    """The refused samples have their result; the damaged one is requested alone."""
    with Simulator(faults=[rule("half_of_one", times=1, sample=1)]) as sim:
        ran = run(prompts(tmp_path, "one [[sim:partial 3*1]]"), sim, model=IMAGEN, samples=4)
        assert sorted(ran.statuses) == ["filtered", "filtered", "filtered", "ok"]


def png(*, width: int = 8, height: int = 8, color: str = "red") -> bytes:
    """Return a PNG of 8 x 8 pixels. The header may claim another size, with a matching checksum."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8), color).save(file, "PNG")
    data = file.getvalue()
    header = struct.pack(">II", width, height) + data[24:29]
    return data[:8] + chunk(b"IHDR", header) + data[33:]


def run_against(server: Script, tmp_path: Path, **chosen: Any) -> FinishedRun:
    return run(prompts(tmp_path, "one"), None, base_url=server.url, **chosen)


UNACCEPTED = {
    "a decompression bomb": (png(width=40_000, height=40_000), "damaged_picture"),
    "an image of absurd width": (png(width=2**31 - 1, height=1), "damaged_picture"),
    "an SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "not_a_picture"),
    "an icon": (b"\0\0\1\0\1\0" + bytes(60), "not_a_picture"),
    "a JPEG XL": (b"\xff\x0a" + bytes(60), "not_a_picture"),
}


@pytest.mark.parametrize("name", UNACCEPTED)
def test_data_of_no_accepted_format_is_kept_byte_for_byte_and_paid_for_twice(tmp_path: Path, name: str) -> None:
    """Nothing crashes, nothing is discarded, and both costs are known."""
    data, kind = UNACCEPTED[name]
    with answering(gemini_reply(data)) as server:
        ran = run_against(server, tmp_path)
        assert ran.statuses == ["failed"]
        assert kind in ran.rows[0]["error"]
        assert len(server.requests) == 2
        assert [file.read_bytes() for file in quarantined(ran)] == [data]
        assert spent(ran) == pytest.approx(2 * (1120 * 30 + 2 * 1.5) / 1e6)


def test_a_whole_image_before_a_damaged_one_is_used(tmp_path: Path) -> None:
    """Two came where one was requested; the sound one is used and not paid for again."""
    with answering(gemini_reply(png(), png(color="blue")[:-9])) as server:
        ran = run_against(server, tmp_path)
        assert (ran.statuses, len(server.requests)) == (["ok"], 1)
        assert ran.image(ran.rows[0]) == png()


def test_a_surplus_image_replaces_a_damaged_one_in_the_other_dialect(tmp_path: Path) -> None:
    """Imagen sent three where two were requested."""
    with answering(imagen_reply(png(), png()[:-9], png(color="blue"))) as server:
        ran = run_against(server, tmp_path, model=IMAGEN, samples=2)
        assert (ran.statuses, len(server.requests)) == (["ok", "ok"], 1)
        assert {ran.image(row) for row in ran.rows} == {png(), png(color="blue")}


def test_surplus_images_are_quarantined(tmp_path: Path) -> None:
    """They were paid for as well."""
    with answering(gemini_reply(png(color="green"), png())) as server:
        ran = run_against(server, tmp_path)
        assert ran.image(ran.rows[0]) == png()
        assert [file.read_bytes() for file in quarantined(ran)] == [png(color="green")]


def test_a_heic_is_kept_as_what_it_is(tmp_path: Path) -> None:
    """Pillow can't decode it; its boxes show that it is whole, and its size."""
    with answering(gemini_reply(HEIC, mime_type="image/heif")) as server:
        ran = run_against(server, tmp_path)
        (row,) = ran.rows
        assert (row["status"], row["mimeType"], row["width"], row["height"]) == ("ok", "image/heic", 96, 64)
        assert row["file"].endswith(".heic")


def test_damage_is_not_paid_for_again_with_on_unknown_hold(tmp_path: Path) -> None:
    """Nothing that may have been charged is sent twice."""
    with answering(gemini_reply(png()[:-9])) as server:
        assert run_against(server, tmp_path, on_unknown="hold").statuses == ["failed"]
        assert len(server.requests) == 1


def test_each_kind_of_damage_is_counted_separately(tmp_path: Path) -> None:
    """Each kind may occur once, within the maximum number of attempts."""
    bodies = (gemini_reply(png()[:-9]), gemini_reply(b"???"), b'{"cand', gemini_reply(png()))
    with answering(*bodies) as server:
        ran = run_against(server, tmp_path)
        assert (ran.statuses, len(server.requests)) == (["ok"], 4)


def test_a_run_that_receives_only_damaged_images_stops(tmp_path: Path) -> None:
    """A service that sends only garbage has an outage: the other rows must not be paid for."""
    with answering(gemini_reply(b"rubbish")) as server:
        source = prompts(tmp_path, *(f"prompt {number}" for number in range(60)))
        ran = run(source, None, base_url=server.url, outage_limit=0.01, concurrency=1)
        assert ran.summary.exit_code == 75
        assert len(server.requests) < 60


def test_a_folder_keeps_its_keys_when_it_moves_between_hosts(tmp_path: Path) -> None:
    """`store` is not sent to Vertex, and `labels` only to Vertex; neither changes a row's key."""
    rows = []
    for provider, extra in (("gemini", {}), ("vertex", {"project": "p"})):
        chosen = {"parameters": {"store": False, "labels": {"team": "art"}}, "provider": provider, **extra}
        plan = make_plan(
            make_settings({"prompts": str(prompts(tmp_path, "one")), "out": str(tmp_path / "o"), **chosen}),
            today=TODAY,
        )
        rows.append([base for base, _ in plan.index])
    assert rows[0] == rows[1]


@pytest.mark.parametrize("image_format", ["gif", "avif", "tiff", "bmp", "jpeg2000"])
def test_an_audit_finds_nothing_wrong_with_a_rare_format(tmp_path: Path, image_format: str) -> None:
    """Extension, type and bytes agree; a file in quarantine is not an untracked file."""
    faults = [rule("half_picture", times=1), rule("other_format", format=image_format)]
    with Simulator(faults=faults) as sim:
        ran = run(prompts(tmp_path, "one"), sim)
        assert ran.statuses == ["ok"]
        assert quarantined(ran)
        assert not audit(str(ran.folder)).findings
