"""In which ways can the simulator misbehave? A table with a row for each of api.md 3.3, 4.1, 4.3 and 8.4."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from imagen_batch.simulator.api import error_bodies as refused
from imagen_batch.simulator.api.replies import Reply, error, html
from imagen_batch.simulator.faults import altered_replies as altered
from imagen_batch.simulator.faults import broken_transfers as sent
from imagen_batch.simulator.faults.fault import Attempt, Fault


def _says(name: str, section: str, description: str, reply: Callable[[Attempt], Reply], **options: Any) -> Fault:
    return Fault(name, section, description, instead=reply, options=options)


def _error(name: str, code: int, status: str, message: str) -> Fault:
    reply = error(code, status, message)
    return Fault(name, "4.1", f"{code} {status}: {message}", instead=lambda _: reply)


def _breaks(name: str, section: str, description: str, carry: sent.Carry) -> Fault:
    return Fault(name, section, description, carry=carry, breaks=True)


def _predict(name: str, description: str, alter: altered.Alter, **options: Any) -> Fault:
    return Fault(name, "3.3", description, alter=alter, options=options, verb="predict")


def _generate(name: str, section: str, description: str, alter: altered.Alter, **options: Any) -> Fault:
    return Fault(name, section, description, alter=alter, options=options, verb="generateContent")


def _readable(name: str, description: str, alter: altered.Alter, **options: Any) -> Fault:
    return Fault(name, "10", description, alter=alter, options=options, readable=True)


def _rewritten(name: str, description: str, change: Callable[[bytes], bytes]) -> Fault:
    return Fault(name, "10", description, carry=sent.rewritten(change))


def _quota(window: str) -> Callable[[Attempt], Reply]:
    def reply(attempt: Attempt) -> Reply:
        limit, delay = attempt.options["limit"], float(attempt.options["delay"])
        return refused.quota(attempt.order, window=window, limit=limit, delay=delay)

    return reply


def _silence(_: Attempt) -> Reply:
    """Nothing is drawn for a reply that never comes."""
    return html(500, "Never sent", "")


_IN, _OUT = "90789179", "63429089"  # support codes: sexual, prompt and output filter

_ERRORS = (
    _says("bad_key", "4.1", "400: the API key is not valid", lambda _: refused.key_refused()),
    _says(
        "key_expired",
        "4.1",
        "400: the API key has expired",
        lambda _: refused.key_refused("API key expired. Please renew the API key."),
    ),
    _error("not_billed", 400, "INVALID_ARGUMENT", "Imagen API is only accessible to billed users at this time."),
    _error(
        "paid_plans",
        400,
        "INVALID_ARGUMENT",
        "Image generation is only available on paid plans. Please upgrade.",
    ),
    _error("location", 400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
    _says("location_debug", "4.2", "400: the location, told by DebugInfo alone", lambda _: refused.location_debug()),
    _error("bad_request", 400, "INVALID_ARGUMENT", "Image size 8K is not supported for this model."),
    _says("unauthenticated", "4.1", "401: the token is missing or expired", lambda _: refused.unauthenticated()),
    _says(
        "permission",
        "4.1",
        "403: an IAM permission is missing",
        lambda a: refused.permission(a.order, a.call),
    ),
    _says("service_disabled", "4.2", "403: the API is not enabled", lambda _: refused.service_disabled()),
    _error(
        "key_leaked",
        403,
        "PERMISSION_DENIED",
        "Your API key was reported as leaked. Please use another API key.",
    ),
    _says("model_gone", "4.1", "404: the model is retired", lambda a: refused.model_gone(a.call)),
    _says("html_404", "4", "404 in HTML: a wrong location", lambda _: html(404, "Error 404 (Not Found)!!1", "")),
    _says("timeout_408", "4.1", "408: request timeout", lambda _: refused.undescribed(408, "Request timeout.")),
    _says(
        "cancelled_499",
        "4.1",
        "499: cancelled",
        lambda _: refused.undescribed(499, "The operation was cancelled."),
    ),
    _error("aborted_409", 409, "ABORTED", "The operation was aborted."),
    _says(
        "too_large_413",
        "4.1",
        "413: the request is too large",
        lambda _: html(413, "413 Request Entity Too Large", ""),
    ),
    _error("internal_500", 500, "INTERNAL", "An internal error has occurred. Please retry or report it."),
    _says("empty_500", "4", "500 with an empty body", lambda _: Reply(500, b"")),
    _says("bad_gateway_502", "4.1", "502: a proxy's HTML page", lambda _: html(502, "502 Bad Gateway", "nginx")),
    _says(
        "overloaded_503",
        "4.1",
        "503: high demand; retry_after adds that header",
        lambda a: refused.overloaded(a.options),
        retry_after=0.0,
    ),
    _says("listed_503", "4", "503 inside a one-element list", lambda _: refused.listed()),
    _error("deadline_504", 504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
)

_QUOTAS = (
    _says("quota_minute", "4.3", "429: per minute, with RetryInfo", _quota("Minute"), delay=1.0, limit=10),
    _says("quota_day", "4.3", "429: per day, hours to wait", _quota("Day"), delay=67202.33, limit=70),
    _says("quota_day_short_delay", "4.3", "429: per day, but a short wait", _quota("Day"), delay=57.0, limit=70),
    _says(
        "quota_spend",
        "4.3",
        "429: spent too much in 10 minutes",
        lambda a: refused.spend(a.options),
        delay=0.0,
    ),
    _says(
        "prepay_empty",
        "4.3",
        "429: the prepaid balance is used up",
        lambda _: refused.exhausted("Your prepayment credits are depleted. Please add credits to continue."),
    ),
    _says("free_tier_zero", "4.3", "429: no free tier, limit 0", lambda a: refused.free_tier(a.order)),
    _says(
        "quota_bare",
        "4.3",
        "429 without details",
        lambda _: refused.exhausted("Resource has been exhausted (e.g. check quota)."),
    ),
    _says(
        "quota_in_error_info", "4.3", "429: a quota of 0, named by ErrorInfo", lambda _: refused.error_info_quota()
    ),
    _says(
        "quota_shared",
        "4.3",
        "429: Vertex' shared quota",
        lambda _: refused.exhausted("Resource exhausted. Please try again later."),
    ),
)

_PICTURES = (
    _says(
        "prompt_refused_400",
        "3.3",
        "400: prompt refused",
        lambda a: refused.prompt_refused(a.options),
        codes=_IN,
    ),
    _predict("partial", "the last pictures are filtered, a reason each", altered.partial, count=1, codes=_OUT),
    _predict("partial_summary", "the same, one reason for all", altered.partial_summary, count=1, codes=_OUT),
    _predict("partial_silent", "the same without a word", altered.partial_silent, count=1),
    _predict("all_filtered", "no picture; one text if includeRaiReason, else {}", altered.all_filtered, codes=_OUT),
    _predict("empty_object", "{} for everything filtered", lambda *_: {}),
    _predict("bare_code", "digits in place of every picture", altered.bare_code, codes=_OUT),
    Fault(
        "filtered",
        "3.3, 8.4",
        "samples 1..count of the row are filtered (0: all), in either dialect",
        alter=altered.filtered,
        options={"count": 0, "codes": _OUT},
    ),
    _generate("blocked_prompt", "8.4", "no candidates but a blockReason", altered.blocked_prompt, reason="SAFETY"),
    _generate("text_only", "8.4", "STOP with text and no picture", altered.text_only),
    _generate("thought_image", "8.3", "fine, but thoughts come before the picture", altered.thought_image),
    *(
        _generate(f"finish_{reason}", "8.4", f"no picture, finishReason {reason}", altered.finished(reason))
        for reason in altered.FINISH_REASONS
    ),
    Fault("bad_base64", "10", "signs that base64 lacks", alter=altered.each_picture(altered.bad_base64)),
    Fault("half_picture", "10", "half of the picture's bytes", alter=altered.each_picture(altered.half_picture)),
    Fault(
        "half_of_one",
        "10",
        "half of the bytes of one sample's picture",
        alter=altered.half_of_one,
        options={"sample": 1},
    ),
    Fault("unknown_type", "10", "bytes of no known type", alter=altered.each_picture(altered.unknown_type)),
    _readable("base64_in_pieces", "base64 in two padded pieces", altered.spelled(altered.in_pieces)),
    _readable("base64_in_lines", "base64 with line breaks", altered.spelled(altered.in_lines)),
    _readable("base64_unpadded", "base64 without its padding", altered.spelled(lambda text: text.rstrip("="))),
    _readable(
        "base64_for_urls",
        "base64 in the alphabet of URLs",
        altered.spelled(lambda text: text.replace("+", "-").replace("/", "_")),
    ),
    _readable("data_url", "a data: URL", altered.spelled(lambda text: f"data:image/png;base64,{text}")),
    _readable("other_format", "GIF, AVIF, TIFF, BMP, JPEG2000, ...", altered.other_format, format="gif", lie=False),
    _generate("thought_signature", "8.3", "a large thought signature", altered.signed, bytes=2_900_000),
    Fault("lying_mime", "10", "says PNG, is JPEG; or reverse", alter=altered.each_picture(altered.lying_mime)),
)

_TRANSFERS = (
    Fault("reset", "4.1", "reset before the reply", instead=_silence, carry=sent.reset),
    Fault(
        "stall",
        "4.1",
        "silence, then nothing",
        instead=_silence,
        carry=sent.stall,
        options={"seconds": 3600.0},
    ),
    _breaks("reset_midway", "4.1", "reset within the body", sent.reset_midway),
    _breaks("wrong_length", "4.1", "ends before the length it told", sent.wrong_length),
    _breaks("cut_json", "10", "half of the JSON as if whole", sent.cut_json),
    _rewritten("byte_order_mark", "a UTF-8 mark before the JSON", lambda body: b"\xef\xbb\xbf" + body),
    _rewritten("utf_16", "the JSON in UTF-16", lambda body: body.decode().encode("utf-16")),
    _rewritten("in_an_array", "the JSON as the one item of an array", lambda body: b"[" + body + b"]"),
    _rewritten("nuls_around", "NULs and blanks around the JSON", lambda body: b"\0 \r\n" + body + b"\0\0\n"),
    Fault(
        "trickle",
        "4.1",
        "a few bytes at a time",
        carry=sent.trickle,
        options={"seconds": 0.1, "bytes": 64, "headers": False},
    ),
    Fault(
        "gzip_bomb",
        "4.1",
        "unpacks to this size",
        instead=_silence,
        carry=sent.gzip_bomb,
        options={"megabytes": 1024},
    ),
    Fault(
        "endless",
        "4.1",
        "a body without end",
        instead=_silence,
        carry=sent.endless,
        options={"seconds": 0.0, "bytes": 65536},
    ),
    _says(
        "html_200",
        "4.1",
        "200 with a proxy's page",
        lambda _: html(200, "Please log in", "Welcome to the café."),
    ),
    _says(
        "redirect",
        "4.1",
        "302 to another host",
        lambda a: refused.redirect(a.options),
        location="http://elsewhere.invalid/",
    ),
    _says("echo_key", "5", "500 whose message repeats the key", lambda a: refused.echoed_key(a.credential)),
)

FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in (*_ERRORS, *_QUOTAS, *_PICTURES, *_TRANSFERS)}
