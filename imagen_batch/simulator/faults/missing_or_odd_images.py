"""Lists the faults that leave images out, damage them or send them in another form (api: 3.3, 8.4, 10)."""

from __future__ import annotations

from typing import Any

from imagen_batch.simulator.api import error_bodies
from imagen_batch.simulator.faults import altered_replies as altered
from imagen_batch.simulator.faults.fault import Fault, reply_instead

_INPUT_CODE, _OUTPUT_CODE = "90789179", "63429089"  # support codes: sexual, prompt and output filter


def _predict_fault(name: str, description: str, alter: altered.Alter, **options: Any) -> Fault:
    return Fault(name, "3.3", description, alter=alter, options=options, verb="predict")


def _generate_fault(name: str, section: str, description: str, alter: altered.Alter, **options: Any) -> Fault:
    return Fault(name, section, description, alter=alter, options=options, verb="generateContent")


def _readable_fault(name: str, description: str, alter: altered.Alter, **options: Any) -> Fault:
    return Fault(name, "10", description, alter=alter, options=options, readable=True)


IMAGES = (
    reply_instead(
        "prompt_refused_400",
        "3.3",
        "400: prompt refused",
        lambda a: error_bodies.prompt_refused(a.options),
        codes=_INPUT_CODE,
    ),
    _predict_fault(
        "partial", "the last images are filtered, with a reason each", altered.partial, count=1, codes=_OUTPUT_CODE
    ),
    _predict_fault(
        "partial_summary", "the same, one reason for all", altered.partial_summary, count=1, codes=_OUTPUT_CODE
    ),
    _predict_fault("partial_silent", "the same without a reason", altered.partial_silent, count=1),
    _predict_fault(
        "all_filtered", "no image; one text if includeRaiReason, else {}", altered.all_filtered, codes=_OUTPUT_CODE
    ),
    _predict_fault("empty_object", "{} for everything filtered", lambda *_: {}),
    _predict_fault("bare_code", "digits in place of every image", altered.bare_code, codes=_OUTPUT_CODE),
    Fault(
        "filtered",
        "3.3, 8.4",
        "samples 1..count of the row are filtered (0: all), in either dialect",
        alter=altered.filter_samples,
        options={"count": 0, "codes": _OUTPUT_CODE},
    ),
    _generate_fault(
        "blocked_prompt", "8.4", "no candidates but a blockReason", altered.blocked_prompt, reason="SAFETY"
    ),
    _generate_fault("text_only", "8.4", "STOP with text and no image", altered.text_only),
    _generate_fault("thought_image", "8.3", "thoughts come before the image", altered.thought_image),
    *(
        _generate_fault(f"finish_{reason}", "8.4", f"no image, finishReason {reason}", altered.finish_with(reason))
        for reason in altered.FINISH_REASONS
    ),
    Fault("bad_base64", "10", "characters that are not base64", alter=altered.each_image(altered.bad_base64)),
    Fault("half_picture", "10", "half of the image's bytes", alter=altered.each_image(altered.half_image)),
    Fault(
        "half_of_one",
        "10",
        "half of the bytes of one sample's image",
        alter=altered.half_of_one,
        options={"sample": 1},
    ),
    Fault("unknown_type", "10", "bytes of an unknown type", alter=altered.each_image(altered.unknown_type)),
    _readable_fault("base64_in_pieces", "base64 in two padded pieces", altered.rewrite_base64(altered.in_pieces)),
    _readable_fault("base64_in_lines", "base64 with line breaks", altered.rewrite_base64(altered.in_lines)),
    _readable_fault(
        "base64_unpadded", "base64 without its padding", altered.rewrite_base64(lambda text: text.rstrip("="))
    ),
    _readable_fault(
        "base64_for_urls",
        "base64 in the alphabet of URLs",
        altered.rewrite_base64(lambda text: text.replace("+", "-").replace("/", "_")),
    ),
    _readable_fault("data_url", "a data: URL", altered.rewrite_base64(lambda text: f"data:image/png;base64,{text}")),
    _readable_fault(
        "other_format", "GIF, AVIF, TIFF, BMP, JPEG2000, ...", altered.other_format, format="gif", lie=False
    ),
    _generate_fault("thought_signature", "8.3", "a large thought signature", altered.add_signature, bytes=2_900_000),
    Fault("lying_mime", "10", "stated as PNG, is JPEG; or the reverse", alter=altered.each_image(altered.lying_mime)),
)
