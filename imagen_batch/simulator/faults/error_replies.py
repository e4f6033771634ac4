"""Lists the faults that answer with an error: the cases of (api: 4.1, 4.2, 4.3)."""

from __future__ import annotations

from collections.abc import Callable

from imagen_batch.simulator.api import error_bodies
from imagen_batch.simulator.api.http_reply_and_error_json import Reply, error, html
from imagen_batch.simulator.faults.fault import Attempt, Fault, reply_instead


def _error(name: str, code: int, status: str, message: str) -> Fault:
    reply = error(code, status, message)
    return Fault(name, "4.1", f"{code} {status}: {message}", instead=lambda _: reply)


def _quota(window: str) -> Callable[[Attempt], Reply]:
    def reply(attempt: Attempt) -> Reply:
        limit, delay = attempt.options["limit"], float(attempt.options["delay"])
        return error_bodies.quota(attempt.request, window=window, limit=limit, delay=delay)

    return reply


ERRORS = (
    reply_instead("bad_key", "4.1", "400: the API key is not valid", lambda _: error_bodies.invalid_key()),
    reply_instead(
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
    reply_instead(
        "location_debug", "4.2", "400: the location, named only by DebugInfo", lambda _: error_bodies.location_debug()
    ),
    _error("bad_request", 400, "INVALID_ARGUMENT", "Image size 8K is not supported for this model."),
    reply_instead(
        "unauthenticated", "4.1", "401: the token is missing or expired", lambda _: error_bodies.unauthenticated()
    ),
    reply_instead(
        "permission",
        "4.1",
        "403: an IAM permission is missing",
        lambda a: error_bodies.permission(a.request, a.call),
    ),
    reply_instead(
        "service_disabled", "4.2", "403: the API is not enabled", lambda _: error_bodies.service_disabled()
    ),
    _error(
        "key_leaked",
        403,
        "PERMISSION_DENIED",
        "Your API key was reported as leaked. Please use another API key.",
    ),
    reply_instead("model_gone", "4.1", "404: the model is retired", lambda a: error_bodies.model_gone(a.call)),
    reply_instead(
        "html_404", "4", "404 in HTML: a wrong location", lambda _: html(404, "Error 404 (Not Found)!!1", "")
    ),
    reply_instead(
        "timeout_408", "4.1", "408: request timeout", lambda _: error_bodies.without_status(408, "Request timeout.")
    ),
    reply_instead(
        "cancelled_499",
        "4.1",
        "499: cancelled",
        lambda _: error_bodies.without_status(499, "The operation was cancelled."),
    ),
    _error("aborted_409", 409, "ABORTED", "The operation was aborted."),
    reply_instead(
        "too_large_413",
        "4.1",
        "413: the request is too large",
        lambda _: html(413, "413 Request Entity Too Large", ""),
    ),
    _error("internal_500", 500, "INTERNAL", "An internal error has occurred. Please retry or report it."),
    reply_instead("empty_500", "4", "500 with an empty body", lambda _: Reply(500, b"")),
    reply_instead(
        "bad_gateway_502", "4.1", "502: a proxy's HTML page", lambda _: html(502, "502 Bad Gateway", "nginx")
    ),
    reply_instead(
        "overloaded_503",
        "4.1",
        "503: high demand; retry_after adds that header",
        lambda a: error_bodies.overloaded(a.options),
        retry_after=0.0,
    ),
    reply_instead("listed_503", "4", "503 inside a one-element list", lambda _: error_bodies.error_in_list()),
    _error("deadline_504", 504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
)

QUOTAS = (
    reply_instead("quota_minute", "4.3", "429: per minute, with RetryInfo", _quota("Minute"), delay=1.0, limit=10),
    reply_instead("quota_day", "4.3", "429: per day, hours to wait", _quota("Day"), delay=67202.33, limit=70),
    reply_instead(
        "quota_day_short_delay", "4.3", "429: per day, but a short wait", _quota("Day"), delay=57.0, limit=70
    ),
    reply_instead(
        "quota_spend",
        "4.3",
        "429: spent too much in 10 minutes",
        lambda a: error_bodies.spend_limit(a.options),
        delay=0.0,
    ),
    reply_instead(
        "prepay_empty",
        "4.3",
        "429: the prepaid balance is used up",
        lambda _: error_bodies.resource_exhausted(
            "Your prepayment credits are depleted. Please add credits to continue."
        ),
    ),
    reply_instead("free_tier_zero", "4.3", "429: no free tier, limit 0", lambda a: error_bodies.free_tier(a.request)),
    reply_instead(
        "quota_bare",
        "4.3",
        "429 without details",
        lambda _: error_bodies.resource_exhausted("Resource has been exhausted (e.g. check quota)."),
    ),
    reply_instead(
        "quota_in_error_info",
        "4.3",
        "429: a quota of 0, named by ErrorInfo",
        lambda _: error_bodies.error_info_quota(),
    ),
    reply_instead(
        "quota_shared",
        "4.3",
        "429: Vertex' shared quota",
        lambda _: error_bodies.resource_exhausted("Resource exhausted. Please try again later."),
    ),
)
