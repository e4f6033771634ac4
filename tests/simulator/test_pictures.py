"""Images have the requested shape and type, are reproducible and contain the stamp."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imagen_batch.simulator import Simulator, read_stamp
from imagen_batch.simulator.api.models.served_models import MODELS, Model
from imagen_batch.simulator.api.parsed_request import ValidRequest
from imagen_batch.simulator.pictures.drawing import draw
from imagen_batch.simulator.pictures.fit_text import fit, legible
from tests.support.http import GEMINI, generate, predict

MODEL = MODELS["gemini-3.1-flash-image"]


def opened(data: bytes) -> Image.Image:
    """Return the image, fully decoded."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def order(prompt: str, *, model: Model = MODEL, ratio: str = "1:1", size: str = "512") -> ValidRequest:
    """Return an order for a small image."""
    return ValidRequest("generateContent", model, prompt, ratio, size, mime_type=model.mime_type)


@pytest.mark.parametrize(
    ("ratio", "size", "pixels"),
    [
        ("1:1", "1K", (1024, 1024)),
        ("16:9", "2K", (2752, 1536)),
        ("21:9", "512", (792, 336)),
        ("1:8", "1K", (352, 2928)),
        ("8:1", "512", (1464, 176)),
        ("4:5", "4K", (3712, 4608)),
    ],
)
def test_an_image_has_the_pixels_of_the_table(ratio: str, size: str, pixels: tuple[int, int]) -> None:
    """Shape and size are as requested."""
    image = opened(draw(order("a", ratio=ratio, size=size), 1))
    assert (image.size, image.format) == (pixels, "JPEG")


def test_every_shape_of_every_model_can_be_drawn() -> None:
    """Texts find space in a banner, too."""
    long = "A magnolia branch, " * 90
    for model in MODELS.values():
        for ratio, pixels in model.shapes.items():
            order_1k = ValidRequest("generateContent", model, long, ratio, "1K", mime_type=model.mime_type)
            assert Image.open(io.BytesIO(draw(order_1k, 1))).size == pixels


def test_the_type_is_chosen_by_the_service_or_the_caller(sim: Simulator) -> None:
    """It is PNG for predict unless JPEG is requested; JPEG for Gemini models except the oldest."""
    assert opened(predict(sim).images[0]).format == "PNG"
    assert opened(predict(sim, outputOptions={"mimeType": "image/jpeg"}).images[0]).format == "JPEG"
    assert opened(generate(sim, model=GEMINI).images[0]).format == "JPEG"
    assert opened(generate(sim, model="gemini-2.5-flash-image").images[0]).format == "PNG"


def test_the_same_request_gets_the_same_bytes(sim: Simulator) -> None:
    """Another sample, prompt or parameter gets another image."""
    assert generate(sim).body == generate(sim).body
    different = [
        generate(sim),
        generate(sim, sample=2),
        generate(sim, "b"),
        generate(sim, config={"seed": 4}),
    ]
    assert len({reply.images[0] for reply in different}) == 4


def test_samples_are_numbered_through_all_requests_of_a_row(sim: Simulator) -> None:
    """The header has the first number of a request; the same number always gets the same image."""
    three = predict(sim, sampleCount=3).images
    one = predict(sim, sampleCount=1).images
    assert one == three[:1]
    assert [read_stamp(data)["sample"] for data in three] == [1, 2, 3]
    assert read_stamp(generate(sim, sample=7).images[0])["sample"] == 7


def test_an_image_states_in_its_metadata_that_it_is_simulated(sim: Simulator) -> None:
    """It has the whole prompt."""
    stamp = read_stamp(generate(sim, "ein Bär 🐻", config={"seed": 4}, aspectRatio="4:3").images[0])
    assert stamp == {
        "simulator": True,
        "prompt": "ein Bär 🐻",
        "model": GEMINI,
        "sample": 1,
        "aspect_ratio": "4:3",
        "image_size": "1K",
        "seed": 4,
        "digital_source_type": "algorithmicMedia",
    }


def test_a_foreign_image_has_no_stamp() -> None:
    """Reading one is an error, not an empty result."""
    for kind in ("PNG", "JPEG"):
        file = io.BytesIO()
        Image.new("RGB", (8, 8)).save(file, kind)
        with pytest.raises(ValueError, match="no stamp"):
            read_stamp(file.getvalue())


@pytest.mark.parametrize("mime_type", ["image/png", "image/jpeg"])
def test_a_prompt_of_any_length_is_stamped_whole(mime_type: str) -> None:
    """It may take several comments of a JPEG."""
    prompt = "日本語 " * 30_000
    data = draw(ValidRequest("predict", MODEL, prompt, "1:1", "512", mime_type=mime_type), 1)
    assert read_stamp(data)["prompt"] == prompt
    opened(data)


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=300))
def test_any_text_can_be_drawn(prompt: str) -> None:
    """This includes every script, symbol and control character."""
    assert read_stamp(draw(order(prompt), 1))["prompt"] == prompt


def test_text_that_cannot_be_drawn_is_replaced_by_a_note() -> None:
    """Nobody sees empty boxes."""
    assert legible("Café — “naïve”") == "Cafe - “naive”"
    assert legible("Портрет старого рыбака, масло") == "[20 letters of Cyrillic], [5 letters of Cyrillic]"
    assert legible("a 🐱") == "a [cat face]"


def test_a_long_prompt_ends_in_an_ellipsis() -> None:
    """It fills the available lines."""
    size, lines = fit("word " * 500, sizes=[40, 20], width=400, height=100)
    assert (size, len(lines)) == (20, 3)
    assert lines[-1].endswith("…")


def test_a_short_prompt_is_written_large() -> None:
    """It is as large as fits."""
    assert fit("word", sizes=[40, 20], width=400, height=100) == (40, ["word"])
