"""What does the picture of one sample look like?

The same order and number always give the same bytes. The prompt decides the hue, which the number shifts a
little; parameters and number decide the scene.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

from PIL import Image, ImageDraw

from imagen_batch.simulator.api.requests import Order
from imagen_batch.simulator.pictures import scenery
from imagen_batch.simulator.pictures.lettering import fit, font, line_height, wrap
from imagen_batch.simulator.pictures.stamp import write_stamp


def draw(order: Order, number: int) -> bytes:
    """The encoded picture of sample `number`, with the simulator's stamp inside."""
    prompt_hash = hashlib.sha256(order.prompt.encode("utf-8", "surrogatepass")).hexdigest()
    image = scenery.scene(order.model.shapes[order.aspect_ratio], _composition(order, number, prompt_hash))
    image = image.copy() if image.size == order.pixels else image.resize(order.pixels, Image.Resampling.BICUBIC)
    _letter(image, order, number=number, prompt_hash=prompt_hash)
    image.putpalette(scenery.palette((int(prompt_hash[:2], 16) + 7 * number) % 256 / 256))
    return write_stamp(_encode(image, order), _facts(order, number))


def _composition(order: Order, number: int, prompt_hash: str) -> int:
    """Neighbouring samples of a row never share a scene."""
    start = hashlib.sha256(f"{prompt_hash}{order.model.id}{order.parameters}{order.seed}".encode()).digest()
    return (start[0] + number * 5) % scenery.COMPOSITIONS


@dataclass(frozen=True, slots=True)
class _Measures:
    """Sizes in pixels, from the picture's own."""

    width: int
    height: int

    @property
    def unit(self) -> float:
        """The short side, but not less than half of the square of the same area: for banners."""
        return float(max(min(self.width, self.height), (self.width * self.height) ** 0.5 / 2))

    @property
    def margin(self) -> int:
        return round(min(self.unit * 0.07, min(self.width, self.height) * 0.09))

    @property
    def measure(self) -> int:
        """How wide a line may be: no wider than is good to read."""
        return round(min(self.width - 2 * self.margin, self.unit * 2.2))

    def type_size(self, part: float) -> int:
        return max(9, round(self.unit * part))


def _letter(image: Image.Image, order: Order, *, number: int, prompt_hash: str) -> None:
    canvas, measures = ImageDraw.Draw(image), _Measures(*image.size)
    _head(canvas, measures, number)
    foot_top = _foot(canvas, measures, _small_print(order, prompt_hash))
    _prompt(canvas, measures, order.prompt, foot_top)


def _head(canvas: ImageDraw.ImageDraw, measures: _Measures, number: int) -> None:
    margin, size = measures.margin, measures.type_size(0.034)
    x = float(margin)
    for letter in "SIMULATOR":
        canvas.text((x, margin), letter, font=font(size), fill=scenery.INK)
        x += font(size).getlength(letter) + size * 0.22
    corner = (measures.width - margin, margin)
    canvas.text(corner, str(number), font=font(measures.type_size(0.1)), fill=scenery.INK, anchor="rt")


def _small_print(order: Order, prompt_hash: str) -> list[str]:
    width, height = order.pixels
    facts = [order.model.id, order.aspect_ratio, order.image_size, f"{width} x {height}"]
    seed = [] if order.seed is None else [f"seed {order.seed}"]
    return [*facts, *seed, f"prompt {prompt_hash[:8]}"]


def _foot(canvas: ImageDraw.ImageDraw, measures: _Measures, facts: list[str]) -> int:
    """Draws a hairline with the small print below it, and says where the line is."""
    margin, size = measures.margin, measures.type_size(0.025)
    right = measures.width - margin
    lines = list(wrap(facts, size=size, width=right - margin, gap="  ·  "))
    text_top = measures.height - margin - len(lines) * line_height(size)
    rule = text_top - size // 2
    canvas.line((margin, rule, right, rule), fill=130, width=max(1, round(measures.unit / 700)))
    for i, line in enumerate(lines):
        canvas.text((margin, text_top + (i + 0.2) * line_height(size)), line, font=font(size), fill=215)
    return rule


def _prompt(canvas: ImageDraw.ImageDraw, measures: _Measures, prompt: str, bottom: int) -> None:
    """The prompt stands on the hairline, as large as it can."""
    sizes = [measures.type_size(part) for part in (0.066, 0.052, 0.042, 0.034)]
    top = round(measures.height * scenery.DARK_FROM)
    size, lines = fit(prompt, sizes=sizes, width=measures.measure, height=bottom - sizes[-1] - top)
    y = bottom - size * 0.6 - len(lines) * line_height(size)
    for i, line in enumerate(lines):
        canvas.text((measures.margin, y + i * line_height(size)), line, font=font(size), fill=scenery.PAPER)


def _encode(image: Image.Image, order: Order) -> bytes:
    file = io.BytesIO()
    if order.mime_type == "image/png":
        image.save(file, "PNG", compress_level=1)
    else:
        image.convert("RGB").save(file, "JPEG", quality=min(max(order.quality, 1), 95))
    return file.getvalue()


def _facts(order: Order, number: int) -> dict[str, object]:
    return {
        "simulator": True,
        "prompt": order.prompt,
        "model": order.model.id,
        "sample": number,
        "aspect_ratio": order.aspect_ratio,
        "image_size": order.image_size,
        "seed": order.seed,
        "digital_source_type": "algorithmicMedia",
    }
