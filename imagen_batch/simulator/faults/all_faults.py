"""Lists all faults: the cases of (api: 3.3, 4.1, 4.3, 8.4), and ways in which gateways fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from imagen_batch.simulator.api import error_bodies
from imagen_batch.simulator.api.replies import Reply, error, html
from imagen_batch.simulator.faults import altered_replies as altered
from imagen_batch.simulator.faults import broken_transfers as broken
from imagen_batch.simulator.faults.fault import Attempt, Fault


def _custom_reply(
    name: str, section: str, description: str, reply: Callable[[Attempt], Reply], **options: Any
) -> Fault:
    return Fault(name, section, description, instead=reply, options=options)


def _error(name: str, code: int, status: str, message: str) -> Fault:
    reply = error(code, status, message)
    return Fault(name, "4.1", f"{code} {status}: {message}", instead=lambda _: reply)


def _broken_transfer(name: str, section: str, description: str, carry: broken.Carry) -> Fault:
    return Fault(name, section, description, carry=carry, breaks=True)


def _predict_fault(name: str, description: str, alter: altered.Alter, **options: Any) -> Fault:
    return Fault(name, "3.3", description, alter=alter, options=options, verb="predict")


def _generate_fault(name: str, section: str, description: str, alter: altered.Alter, **options: Any) -> Fault:
    return Fault(name, section, description, alter=alter, options=options, verb="generateContent")


def _readable_fault(name: str, description: str, alter: altered.Alter, **options: Any) -> Fault:
    return Fault(name, "10", description, alter=alter, options=options, readable=True)


def _rewritten_body(name: str, description: str, change: Callable[[bytes], bytes]) -> Fault:
    return Fault(name, "10", description, carry=broken.rewrite_body(change))


def _quota(window: str) -> Callable[[Attempt], Reply]:
    def reply(attempt: Attempt) -> Reply:
        limit, delay = attempt.options["limit"], float(attempt.options["delay"])
        return error_bodies.quota(attempt.request, window=window, limit=limit, delay=delay)

    return reply


def _never_sent(_: Attempt) -> Reply:
    """Avoid drawing images for a reply that is never sent."""
    return html(500, "Never sent", "")


_INPUT_CODE, _OUTPUT_CODE = "90789179", "63429089"  # support codes: sexual, prompt and output filter

_ERRORS = (
    _custom_reply("bad_key", "4.1", "400: the API key is not valid", lambda _: error_bodies.invalid_key()),
    _custom_reply(
        "key_expired",
        "4.1",
        "400: the API key has expired",
        lambda _: error_bodies.invalid_key("API key expired. Please renew the API key."),
    ),
    _error("not_billed", 400, "INVALID_ARGUMENT", "Imagen API is only accessible to billed users at this time."),
    _error(
        "paid_plans",
        400,
        "INVALID_ARGUMENT",
        "Image generation is only available on paid plans. Please upgrade.",
    ),
    _error("location", 400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
    _custom_reply(
        "location_debug", "4.2", "400: the location, named only by DebugInfo", lambda _: error_bodies.location_debug()
    ),
    _error("bad_request", 400, "INVALID_ARGUMENT", "Image size 8K is not supported for this model."),
    _custom_reply(
        "unauthenticated", "4.1", "401: the token is missing or expired", lambda _: error_bodies.unauthenticated()
    ),
    _custom_reply(
        "permission",
        "4.1",
        "403: an IAM permission is missing",
        lambda a: error_bodies.permission(a.request, a.call),
    ),
    _custom_reply(
        "service_disabled", "4.2", "403: the API is not enabled", lambda _: error_bodies.service_disabled()
    ),
    _error(
        "key_leaked",
        403,
        "PERMISSION_DENIED",
        "Your API key was reported as leaked. Please use another API key.",
    ),
    _custom_reply("model_gone", "4.1", "404: the model is retired", lambda a: error_bodies.model_gone(a.call)),
    _custom_reply(
        "html_404", "4", "404 in HTML: a wrong location", lambda _: html(404, "Error 404 (Not Found)!!1", "")
    ),
    _custom_reply(
        "timeout_408", "4.1", "408: request timeout", lambda _: error_bodies.without_status(408, "Request timeout.")
    ),
    _custom_reply(
        "cancelled_499",
        "4.1",
        "499: cancelled",
        lambda _: error_bodies.without_status(499, "The operation was cancelled."),
    ),
    _error("aborted_409", 409, "ABORTED", "The operation was aborted."),
    _custom_reply(
        "too_large_413",
        "4.1",
        "413: the request is too large",
        lambda _: html(413, "413 Request Entity Too Large", ""),
    ),
    _error("internal_500", 500, "INTERNAL", "An internal error has occurred. Please retry or report it."),
    _custom_reply("empty_500", "4", "500 with an empty body", lambda _: Reply(500, b"")),
    _custom_reply(
        "bad_gateway_502", "4.1", "502: a proxy's HTML page", lambda _: html(502, "502 Bad Gateway", "nginx")
    ),
    _custom_reply(
        "overloaded_503",
        "4.1",
        "503: high demand; retry_after adds that header",
        lambda a: error_bodies.overloaded(a.options),
        retry_after=0.0,
    ),
    _custom_reply("listed_503", "4", "503 inside a one-element list", lambda _: error_bodies.error_in_list()),
    _error("deadline_504", 504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
)

_QUOTAS = (
    _custom_reply("quota_minute", "4.3", "429: per minute, with RetryInfo", _quota("Minute"), delay=1.0, limit=10),
    _custom_reply("quota_day", "4.3", "429: per day, hours to wait", _quota("Day"), delay=67202.33, limit=70),
    _custom_reply(
        "quota_day_short_delay", "4.3", "429: per day, but a short wait", _quota("Day"), delay=57.0, limit=70
    ),
    _custom_reply(
        "quota_spend",
        "4.3",
        "429: spent too much in 10 minutes",
        lambda a: error_bodies.spend_limit(a.options),
        delay=0.0,
    ),
    _custom_reply(
        "prepay_empty",
        "4.3",
        "429: the prepaid balance is used up",
        lambda _: error_bodies.resource_exhausted(
            "Your prepayment credits are depleted. Please add credits to continue."
        ),
    ),
    _custom_reply("free_tier_zero", "4.3", "429: no free tier, limit 0", lambda a: error_bodies.free_tier(a.request)),
    _custom_reply(
        "quota_bare",
        "4.3",
        "429 without details",
        lambda _: error_bodies.resource_exhausted("Resource has been exhausted (e.g. check quota)."),
    ),
    _custom_reply(
        "quota_in_error_info",
        "4.3",
        "429: a quota of 0, named by ErrorInfo",
        lambda _: error_bodies.error_info_quota(),
    ),
    _custom_reply(
        "quota_shared",
        "4.3",
        "429: Vertex' shared quota",
        lambda _: error_bodies.resource_exhausted("Resource exhausted. Please try again later."),
    ),
)

_IMAGES = (
    _custom_reply(
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

_TRANSFERS = (
    Fault("reset", "4.1", "reset before the reply", instead=_never_sent, carry=broken.reset),
    Fault(
        "stall",
        "4.1",
        "no bytes, then the end",
        instead=_never_sent,
        carry=broken.stall,
        options={"seconds": 3600.0},
    ),
    _broken_transfer("reset_midway", "4.1", "reset within the body", broken.reset_midway),
    _broken_transfer("wrong_length", "4.1", "ends before the stated length", broken.wrong_length),
    _broken_transfer("cut_json", "10", "half of the JSON, with a matching length", broken.cut_json),
    _rewritten_body(
        "byte_order_mark", "a UTF-8 byte order mark before the JSON", lambda body: b"\xef\xbb\xbf" + body
    ),
    _rewritten_body("utf_16", "the JSON in UTF-16", lambda body: body.decode().encode("utf-16")),
    _rewritten_body("in_an_array", "the JSON as the only item of an array", lambda body: b"[" + body + b"]"),
    _rewritten_body("nuls_around", "NULs and blanks around the JSON", lambda body: b"\0 \r\n" + body + b"\0\0\n"),
    Fault(
        "trickle",
        "4.1",
        "a few bytes at a time",
        carry=broken.trickle,
        options={"seconds": 0.1, "bytes": 64, "headers": False},
    ),
    Fault(
        "gzip_bomb",
        "4.1",
        "unpacks to this size",
        instead=_never_sent,
        carry=broken.gzip_bomb,
        options={"megabytes": 1024},
    ),
    Fault(
        "endless",
        "4.1",
        "an endless body",
        instead=_never_sent,
        carry=broken.endless,
        options={"seconds": 0.0, "bytes": 65536},
    ),
    _custom_reply(
        "html_200",
        "4.1",
        "200 with a proxy's page",
        lambda _: html(200, "Please log in", "Welcome to the café."),
    ),
    _custom_reply(
        "redirect",
        "4.1",
        "302 to another host",
        lambda a: error_bodies.redirect(a.options),
        location="http://elsewhere.invalid/",
    ),
    _custom_reply(
        "echo_key", "5", "500 whose message repeats the key", lambda a: error_bodies.echoed_key(a.credential)
    ),
)

FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in (*_ERRORS, *_QUOTAS, *_IMAGES, *_TRANSFERS)}
