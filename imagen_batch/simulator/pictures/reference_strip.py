"""Shows the reference images of a request small, in a row at the top of the drawn image."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from imagen_batch.simulator.api.input_images import open_image

_PAPER = (244, 240, 230)
_PER_ROW = 7


def with_thumbnails(image: Image.Image, references: Sequence[tuple[str, bytes]]) -> Image.Image:
    """Return the image with a thumbnail of each reference, in order. HEIC images are shown as an empty frame."""
    side = max(12, min(image.width, image.height) // (_PER_ROW + 3))
    gap = max(2, side // 8)
    left, top = round(image.width * 0.06), round(image.height * 0.16)
    canvas = ImageDraw.Draw(image)
    for index, (mime_type, data) in enumerate(references):
        x = left + index % _PER_ROW * (side + gap)
        y = top + index // _PER_ROW * (side + gap)
        canvas.rectangle((x - 2, y - 2, x + side + 1, y + side + 1), outline=_PAPER, width=2)
        reference = open_image(data, mime_type)
        if reference is not None:
            thumbnail = reference.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
            image.paste(thumbnail, (x, y))
    return image
