"""Draws the image of one sample.

The same request and sample number always give the same bytes. The prompt decides the hue, which the number shifts a
little; parameters and number decide the scene.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

from PIL import Image, ImageDraw

from imagen_batch.simulator.api.parsed_request import ValidRequest
from imagen_batch.simulator.pictures import scenery
from imagen_batch.simulator.pictures.fit_text import fit, font, line_height, wrap
from imagen_batch.simulator.pictures.mark_image import write_stamp
from imagen_batch.simulator.pictures.reference_strip import with_thumbnails


def draw(request: ValidRequest, number: int) -> bytes:
    """Return the encoded image of sample `number`, with the simulator's stamp inside."""
    prompt_hash = hashlib.sha256(request.prompt.encode("utf-8", "surrogatepass")).hexdigest()
    image = scenery.scene(request.model.shapes[request.aspect_ratio], _composition(request, number, prompt_hash))
    image = image.copy() if image.size == request.pixels else image.resize(request.pixels, Image.Resampling.BICUBIC)
    _letter(image, request, number=number, prompt_hash=prompt_hash)
    image.putpalette(scenery.palette((int(prompt_hash[:2], 16) + 7 * number) % 256 / 256))
    if request.images:
        image = with_thumbnails(image.convert("RGB"), request.images)
    return write_stamp(_encode(image, request), _facts(request, number))


def _composition(request: ValidRequest, number: int, prompt_hash: str) -> int:
    """Choose the scene; neighboring samples of a row never share one."""
    start = hashlib.sha256(f"{prompt_hash}{request.model.id}{request.parameters}{request.seed}".encode()).digest()
    return (start[0] + number * 5) % scenery.COMPOSITIONS


@dataclass(frozen=True, slots=True)
class _Measures:
    """Layout sizes in pixels, derived from the size of the image."""

    width: int
    height: int

    @property
    def unit(self) -> float:
        """The short side; for banners at least half the side of a square of the same area."""
        return float(max(min(self.width, self.height), (self.width * self.height) ** 0.5 / 2))

    @property
    def margin(self) -> int:
        return round(min(self.unit * 0.07, min(self.width, self.height) * 0.09))

    @property
    def measure(self) -> int:
        """The greatest width of a line that is comfortable to read."""
        return round(min(self.width - 2 * self.margin, self.unit * 2.2))

    def type_size(self, part: float) -> int:
        return max(9, round(self.unit * part))


def _letter(image: Image.Image, request: ValidRequest, *, number: int, prompt_hash: str) -> None:
    canvas, measures = ImageDraw.Draw(image), _Measures(*image.size)
    _head(canvas, measures, number)
    foot_top = _foot(canvas, measures, _small_print(request, prompt_hash))
    _prompt(canvas, measures, request.prompt, foot_top)


def _head(canvas: ImageDraw.ImageDraw, measures: _Measures, number: int) -> None:
    margin, size = measures.margin, measures.type_size(0.034)
    x = float(margin)
    for letter in "SIMULATOR":
        canvas.text((x, margin), letter, font=font(size), fill=scenery.INK)
        x += font(size).getlength(letter) + size * 0.22
    corner = (measures.width - margin, margin)
    canvas.text(corner, str(number), font=font(measures.type_size(0.1)), fill=scenery.INK, anchor="rt")


def _small_print(request: ValidRequest, prompt_hash: str) -> list[str]:
    width, height = request.pixels
    facts = [request.model.id, request.aspect_ratio, request.image_size, f"{width} x {height}"]
    seed = [] if request.seed is None else [f"seed {request.seed}"]
    return [*facts, *seed, f"prompt {prompt_hash[:8]}"]


def _foot(canvas: ImageDraw.ImageDraw, measures: _Measures, facts: list[str]) -> int:
    """Draw a hairline with the small print below it; returns the position of the line."""
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
    """Write the prompt above the hairline, as large as fits."""
    sizes = [measures.type_size(part) for part in (0.066, 0.052, 0.042, 0.034)]
    top = round(measures.height * scenery.DARK_FROM)
    size, lines = fit(prompt, sizes=sizes, width=measures.measure, height=bottom - sizes[-1] - top)
    y = bottom - size * 0.6 - len(lines) * line_height(size)
    for i, line in enumerate(lines):
        canvas.text((measures.margin, y + i * line_height(size)), line, font=font(size), fill=scenery.PAPER)


def _encode(image: Image.Image, request: ValidRequest) -> bytes:
    file = io.BytesIO()
    if request.mime_type == "image/png":
        image.save(file, "PNG", compress_level=1)
    else:
        image.convert("RGB").save(file, "JPEG", quality=min(max(request.quality, 1), 95))
    return file.getvalue()


def _facts(request: ValidRequest, number: int) -> dict[str, object]:
    return {
        "simulator": True,
        "prompt": request.prompt,
        "model": request.model.id,
        "sample": number,
        "aspect_ratio": request.aspect_ratio,
        "image_size": request.image_size,
        "seed": request.seed,
        **(
            {"references": [hashlib.sha256(data).hexdigest() for _, data in request.images]} if request.images else {}
        ),
        "digital_source_type": "algorithmicMedia",
    }
