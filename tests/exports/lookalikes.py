"""A labeled test set for near-duplicates: different images of three kinds, and fourteen variants of each.

Soft textures, scenes of shapes, and figures that all sit in the middle of a soft background: the last ones differ
while their layout is alike. `other_take` draws another image of the same prompt: the same colors and subject, in
another pose before another background. Every image depends on its numbers only.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from imagen_batch.exports.quality.fingerprint import Fingerprint, fingerprint

SIZE = 384


def texture(number: int) -> Image.Image:
    """Draw clouds of color on several scales."""
    dice = random.Random(f"texture {number}")
    whole = Image.new("RGB", (SIZE, SIZE), (128, 128, 128))
    for grid in (3, 5, 9, 17, 33, 65):
        noise = Image.frombytes("RGB", (grid, grid), dice.randbytes(grid * grid * 3))
        whole = Image.blend(whole, noise.resize((SIZE, SIZE), Image.Resampling.BICUBIC), 0.6 / grid**0.4)
    return whole


def scene(number: int) -> Image.Image:
    """Draw a horizon with shapes before it."""
    dice = random.Random(f"scene {number}")
    whole = Image.new("RGB", (SIZE, SIZE), _color(dice))
    draw = ImageDraw.Draw(whole)
    draw.rectangle((0, dice.randrange(SIZE // 4, SIZE * 3 // 4), SIZE, SIZE), fill=_color(dice))
    for _ in range(dice.randrange(3, 15)):
        x, y, width, height = (dice.randrange(SIZE) for _ in range(4))
        shape = dice.choice([draw.ellipse, draw.rectangle])
        shape((x - width // 4, y - height // 4, x + width // 4, y + height // 4), fill=_color(dice))
    return Image.blend(whole.filter(ImageFilter.GaussianBlur(dice.choice([0, 1, 3]))), texture(-number - 1), 0.15)


def figure(number: int) -> Image.Image:
    """Draw head and shoulders before a blurred background."""
    dice = random.Random(f"figure {number}")
    whole = texture(-number - 10_000).filter(ImageFilter.GaussianBlur(16))
    draw = ImageDraw.Draw(whole)
    x, y, width = SIZE // 2 + dice.randrange(-30, 30), SIZE // 2 + dice.randrange(-20, 45), dice.randrange(68, 128)
    draw.ellipse((x - width, y + width // 2, x + width, y + width + SIZE // 2), fill=_color(dice))
    draw.ellipse((x - width // 2, y - width, x + width // 2, y + width // 3), fill=_color(dice))
    return whole


def other_take(number: int, take: int) -> Image.Image:
    """Draw the figure with the colors of `number` in another pose: what a model sends for a second sample."""
    colors, pose = random.Random(f"figure {number}"), random.Random(f"pose {number} {take}")
    whole = texture(-number * 1_000 - take - 20_000).filter(ImageFilter.GaussianBlur(16))
    draw = ImageDraw.Draw(whole)
    x, y, width = SIZE // 2 + pose.randrange(-30, 30), SIZE // 2 + pose.randrange(-20, 45), pose.randrange(68, 128)
    draw.ellipse((x - width, y + width // 2, x + width, y + width + SIZE // 2), fill=_color(colors))
    draw.ellipse((x - width // 2, y - width, x + width // 2, y + width // 3), fill=_color(colors))
    return whole


KINDS: tuple[Callable[[int], Image.Image], ...] = (texture, scene, figure)


def variants(image: Image.Image, number: int) -> Iterator[tuple[str, bytes]]:
    """Yield the image re-encoded, rescaled, cropped, and with other colors."""
    dice = random.Random(number)
    yield "JPEG 85", encode(image, "JPEG", quality=85)
    yield "JPEG 50", encode(image, "JPEG", quality=50)
    yield "WebP 60", encode(image, "WEBP", quality=60)
    yield "half size", encode(image.resize((SIZE // 2, SIZE // 2)))
    yield "137 %", encode(image.resize((int(SIZE * 1.37),) * 2), "JPEG", quality=85)
    yield "squeezed 4 %", encode(image.resize((SIZE, int(SIZE * 0.96))))
    for percent in (3, 6, 10, 5):
        yield f"crop {percent} %", encode(_crop(image, percent, dice))
    yield "brighter", encode(ImageEnhance.Brightness(image).enhance(1.15))
    yield "contrast", encode(ImageEnhance.Contrast(image).enhance(1.2))
    yield "pale", encode(ImageEnhance.Color(image).enhance(0.6))
    red, green, blue = image.split()
    warm = (red.point(lambda value: min(255, int(value * 1.08))), green, blue.point(lambda value: int(value * 0.92)))
    yield "warmer", encode(Image.merge("RGB", warm))


def encode(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    """Return the bytes of the file."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


@dataclass(frozen=True, slots=True)
class Measured:
    """Differing bits: of each variant from its original, of pairs of different images, and of takes of one prompt."""

    variants: Mapping[str, Sequence[int]]
    different: Sequence[int]
    takes: Sequence[int]

    def recall(self, limit: int) -> float:
        """Return the share of variants that are found."""
        every = [bits for found in self.variants.values() for bits in found]
        return sum(bits <= limit for bits in every) / len(every)

    def precision(self, limit: int) -> float:
        """Return the share of pairs found that are an image and its variant."""
        right = sum(bits <= limit for found in self.variants.values() for bits in found)
        wrong = sum(bits <= limit for bits in (*self.different, *self.takes))
        return right / max(1, right + wrong)


def measure(numbers: range, *, others: range = range(0), takes: int = 3) -> Measured:
    """Measure a part of the set. `others` are numbers of images without variants, `takes` more images a prompt."""
    recalled: dict[str, list[int]] = {}
    originals = [fingerprint(encode(kind(number), "JPEG", quality=95)) for number in others for kind in KINDS]
    same_prompt: list[int] = []
    for number in numbers:
        for kind in KINDS:
            image = kind(number)
            original = fingerprint(encode(image))
            originals.append(original)
            for name, data in variants(image, number):
                recalled.setdefault(name, []).append(differing_bits(original, fingerprint(data)))
        drawn = [original, *(fingerprint(encode(other_take(number, take))) for take in range(takes))]
        same_prompt += [differing_bits(first, second) for first, second in combinations(drawn, 2)]
    pairs = [differing_bits(first, second) for first, second in combinations(originals, 2)]
    return Measured(recalled, pairs, same_prompt)


def differing_bits(first: Fingerprint, second: Fingerprint) -> int:
    """Return how many of 128 bits differ."""
    return (first.across ^ second.across).bit_count() + (first.down ^ second.down).bit_count()


def _crop(image: Image.Image, percent: int, dice: random.Random) -> Image.Image:
    lost = SIZE * percent // 100
    left, top = dice.randrange(lost + 1), dice.randrange(lost + 1)
    return image.crop((left, top, left + SIZE - lost, top + SIZE - lost))


def _color(dice: random.Random) -> tuple[int, int, int]:
    return dice.randrange(256), dice.randrange(256), dice.randrange(256)
