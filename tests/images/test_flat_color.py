"""Flat images are recognized in each usual format, and no other image is called flat."""

import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, PngImagePlugin

from imagen_batch.images import flat_color
from imagen_batch.images.flat_color import is_flat_color
from imagen_batch.images.validate import validate

FLAT = Image.new("RGB", (512, 384), (200, 30, 77))


def encoded(image, kind, **options):
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def is_flat(data):
    return validate(data).flat_color


@pytest.mark.parametrize("size", [(512, 512), (1024, 1024), (2048, 2048)])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("PNG", {"compress_level": 1}),
        ("JPEG", {}),
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("JPEG", {"progressive": True}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_a_flat_image_is_recognized(size, kind, options):
    assert is_flat(encoded(FLAT.resize(size), kind, **options))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1", "I;16"])
def test_a_flat_image_of_any_mode_is_recognized(mode):
    flat = Image.new("I;16", (512, 512), 30_000) if mode == "I;16" else Image.new("RGB", (512, 512)).convert(mode)
    assert is_flat(encoded(flat, "PNG"))


def test_signed_provenance_does_not_hide_a_flat_image():
    text = PngImagePlugin.PngInfo()
    text.add_text("note", "".join(random.Random(1).choices("abcdefgh", k=60_000)))
    assert is_flat(encoded(FLAT, "PNG", pnginfo=text))
    jpeg = encoded(FLAT, "JPEG")
    segment = (
        b"\xff\xeb" + (60_000).to_bytes(2, "big") + bytes(random.Random(1).randbytes(59_998)).replace(b"\xff", b"\0")
    )
    assert is_flat_color(jpeg[:2] + segment + jpeg[2:], "image/jpeg", pixels=512 * 384)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_small_mark_on_a_flat_ground_is_not_flat(kind):
    image = FLAT.copy()
    ImageDraw.Draw(image).rectangle((200, 100, 216, 116), fill="white")
    assert not is_flat(encoded(image, kind))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_gradient_is_not_flat(kind):
    assert not is_flat(encoded(Image.linear_gradient("L").resize((512, 512)).convert("RGB"), kind))


def test_a_transparent_image_is_flat_whatever_color_is_under_it():
    image = Image.linear_gradient("L").resize((512, 512)).convert("RGBA")
    image.putalpha(0)
    assert is_flat(encoded(image, "PNG"))


def test_an_image_of_the_usual_size_is_never_decoded(monkeypatch):
    noise = Image.frombytes("RGB", (512, 512), random.Random(7).randbytes(512 * 512 * 3))
    bodies = [encoded(noise, kind) for kind in ("PNG", "JPEG")]
    monkeypatch.setattr(flat_color.Image, "open", lambda *_args, **_kwargs: pytest.fail("the image was decoded"))
    for data, mime_type in zip(bodies, ("image/png", "image/jpeg"), strict=True):
        assert not is_flat_color(data, mime_type, pixels=512 * 512)


def test_an_image_that_claims_too_many_pixels_is_not_decoded(monkeypatch):
    monkeypatch.setattr(flat_color.Image, "open", lambda *_args, **_kwargs: pytest.fail("the image was decoded"))
    assert not is_flat_color(encoded(FLAT, "PNG"), "image/png", pixels=89_000_000)


@given(
    st.sampled_from([("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")]),
    st.integers(0, 4000),
    st.binary(max_size=40),
)
def test_damaged_bytes_raise_nothing(kind, at, wrong):
    data = encoded(FLAT, kind[0])
    damaged = data[: at % len(data)] + wrong + data[at % len(data) + len(wrong) :]
    assert is_flat_color(damaged, kind[1], pixels=512 * 384) in {True, False}
    assert is_flat_color(wrong, kind[1], pixels=512 * 384) is False
