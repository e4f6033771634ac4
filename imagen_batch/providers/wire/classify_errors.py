"""Decides how to handle an error reply: try again, stop the run, or record the failure of the row. (api: 4)

Only this module and `quota` know status codes and the service's phrases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from imagen_batch.errors import Fatal, Transient
from imagen_batch.providers.wire.quota import read_quota_error
from imagen_batch.providers.wire.retry_after import wait_hint
from imagen_batch.providers.wire.service_error import ServiceError, describe, parse_service_error
from imagen_batch.providers.wire.support_codes import filtered_sample, support_codes
from imagen_batch.records import NoImage, Reply


@dataclass(frozen=True, slots=True)
class _FatalRule:
    """An error that stops the run, and how to recognize it. The first rule that fits applies."""

    status: int
    kind: str
    cause: str
    phrases: tuple[str, ...] = ()  # any of these phrases in the message, lower case
    reason: str = ""  # or a reason of ErrorInfo that begins so
    refreshable: bool = False

    def fits(self, status: int, error: ServiceError) -> bool:
        if status != self.status:
            return False
        if self.kind == "model_gone" and not (error.status or error.code):
            return False  # a gateway's own page that repeats the URL is no evidence about the model
        if not self.phrases and not self.reason:
            return True
        has_phrase = any(phrase in error.plain or phrase in error.debug for phrase in self.phrases)
        return has_phrase or bool(self.reason and error.reason.startswith(self.reason))


# (api: 4.1, 4.2) A rule without phrases is for all other errors of its status. 402, 405, 407 and 410 come from
# gateways, not from Google; they too concern the address or the account, never a row.
_FATAL_RULES = (
    _FatalRule(400, "bad_key", "auth", ("api key not valid", "api key expired"), "API_KEY_"),
    _FatalRule(400, "not_billed", "billing", ("only accessible to billed users", "only available on paid plans")),
    _FatalRule(400, "not_billed", "billing", ("enable billing",), "BILLING_DISABLED"),
    _FatalRule(400, "location", "auth", ("user location is not supported",)),
    _FatalRule(401, "unauthenticated", "auth", refreshable=True),
    _FatalRule(402, "not_billed", "billing"),
    _FatalRule(403, "service_disabled", "auth", ("it is disabled",), "SERVICE_DISABLED"),
    _FatalRule(403, "not_billed", "billing", ("requires billing",), "BILLING_DISABLED"),
    _FatalRule(403, "bad_key", "auth", ("api key",), "API_KEY_"),
    _FatalRule(403, "permission", "auth"),
    _FatalRule(404, "model_gone", "model_gone", ("models/", "publisher model", "is not supported for")),
    _FatalRule(404, "wrong_address", "address"),
    _FatalRule(405, "wrong_address", "address"),
    _FatalRule(407, "proxy_sign_in", "auth"),
    _FatalRule(410, "model_gone", "model_gone", ("models/", "publisher model", "is not supported for")),
    _FatalRule(410, "wrong_address", "address"),
)

# (api: 4.1) Kind, and whether images may have been made and billed because the reply was lost behind a gateway.
# The service does not bill requests that it failed to do.
_TRANSIENT = {
    408: ("http_408", True),
    409: ("http_409", False),
    499: ("http_499", True),
    500: ("http_500", False),
    502: ("http_502", True),
    503: ("overloaded", False),
    504: ("deadline", True),
}

# The HTTP status that belongs to an error with HTTP 200 and without a usable `code`.
_STATUS_OF = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


def utcnow() -> datetime:
    """Return the time, with its zone."""
    return datetime.now(UTC)


def read_error(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    requested: int,
    now: Callable[[], datetime] = utcnow,
) -> Reply:
    """Return the samples of a request that is itself the cause of the error: its prompt was refused, or it is wrong.

    Raises Transient, RateLimited or Fatal for all other errors, whatever the body is.
    """
    error = parse_service_error(body)
    if 200 <= status < 300:
        status = _true_status(status, error)
    if 300 <= status < 400:
        raise _redirect(status, headers)
    if rule := next((rule for rule in _FATAL_RULES if rule.fits(status, error)), None):
        raise _fatal(rule, error)
    wait = wait_hint(headers, error, now=now())
    if status == 429:
        raise read_quota_error(error, wait=wait, now=now())
    if status in _TRANSIENT or not 400 <= status < 500:
        raise _transient(status, error, wait=wait)
    return Reply(samples=(_failed_sample(status, error),) * requested, http_status=status)


def _true_status(status: int, error: ServiceError) -> int:
    """Return what the HTTP status should have been, for an error reply with status 200."""
    if 400 <= error.code < 600:
        return error.code
    return _STATUS_OF.get(error.status, 500 if error.message else status)


def _redirect(status: int, headers: Mapping[str, str]) -> Fatal:
    location = next((value for name, value in headers.items() if name.lower() == "location"), "")
    try:
        host = urlsplit(location).hostname
    except ValueError:
        host = None
    message = describe("redirect", f"to {host}" if host else "", status=status)
    return Fatal(message, kind="redirect", cause="address", http_status=status)


def _fatal(rule: _FatalRule, error: ServiceError) -> Fatal:
    words = f"{error.words} See {error.link}" if error.link else error.words
    return Fatal(
        describe(rule.kind, words, status=rule.status),
        kind=rule.kind,
        cause=rule.cause,
        http_status=rule.status,
        refreshable=rule.refreshable,
    )


def _transient(status: int, error: ServiceError, *, wait: float | None) -> Transient:
    kind, maybe_charged = _TRANSIENT.get(status, (f"http_{status}", True))
    return Transient(
        describe(kind, error.words, status=status),
        kind=kind,
        http_status=status,
        retry_after=wait,
        maybe_charged=maybe_charged,
    )


def _failed_sample(status: int, error: ServiceError) -> NoImage:
    refused = "prompt could not be submitted" in error.plain or support_codes(error.message)
    if status == 400 and refused:
        return filtered_sample(error.message, stage="input")
    return NoImage("failed", kind="bad_request", reason=error.words or f"HTTP {status}, without a message")
