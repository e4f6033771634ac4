"""Reads the body of an error: google.rpc.Status, or what gateways send instead. (api: 4, 4.2)"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from imagen_batch.providers.wire.lenient_json import (
    Json,
    as_count,
    as_objects,
    as_text,
    dig,
    looks_like_markup,
    parse_object,
    shorten,
)

_MAX_TEXT = 20_000  # characters that are read; messages have a few hundred
_MAX_NAME = 1000
_POINTER = re.compile(r"(?:For more information|To monitor)[^:]{0,200}: https?://\S+\s*")
_ADDRESS = re.compile(r"https?://\S+")
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Violation:
    """A quota that was exceeded, as the service names it."""

    name: str  # id and metric, folded: lower case without "_"
    value: float | None = None  # the limit

    def mentions(self, word: str) -> bool:
        """Return whether `word` (folded) is in its id or its metric."""
        return word in self.name


@dataclass(frozen=True, slots=True)
class ServiceError:
    """The facts in the body of an error. Each is empty if the body has none."""

    message: str = ""  # in the words of the service
    status: str = ""  # "RESOURCE_EXHAUSTED"
    code: int = 0
    reason: str = ""  # ErrorInfo: "API_KEY_INVALID"
    link: str = ""  # the first one of Help
    retry_delay: str = ""  # RetryInfo: "34s"
    violations: tuple[Violation, ...] = ()
    debug: str = ""  # DebugInfo: the cause if the message names none, lower case

    @property
    def plain(self) -> str:
        """The message in lower case and without URLs, to search for phrases."""
        return _ADDRESS.sub(" ", self.message.lower())

    @property
    def words(self) -> str:
        """The message on one line, shortened to fit into ours, without links to general help."""
        return shorten(_POINTER.sub("", self.message), 300)


def parse_service_error(body: bytes) -> ServiceError:
    """Return the facts of any body, also of HTML and of an empty one."""
    answer = parse_object(body)
    if answer is None:
        return ServiceError(message=_readable(body))
    error = dig(answer, "error") or answer
    details = as_objects(dig(error, "details"))
    return ServiceError(
        message=_message(error),
        status=as_text(dig(error, "status")) or "",
        code=as_count(dig(error, "code")),
        reason=_first_text(details, "ErrorInfo", "reason"),
        link=next((url for item in _all_objects(details, "links") if (url := as_text(dig(item, "url")))), ""),
        retry_delay=_first_text(details, "RetryInfo", "retryDelay"),
        violations=(*map(_violation, _all_objects(details, "violations")), *_metadata_violations(details)),
        debug=shorten(_first_text(details, "DebugInfo", "detail"), 2000).lower(),
    )


def _message(error: object) -> str:
    """Find the message. Vertex repeats it in `errors`; a gateway may have `detail`, or only a text."""
    listed = [dig(item, "message") for item in as_objects(dig(error, "errors"))]
    candidates = [dig(error, "message"), *listed, dig(error, "detail"), error]
    return next((words for candidate in candidates if (words := as_text(candidate))), "")[:_MAX_TEXT]


def _first_text(details: list[Json], kind: str, name: str) -> str:
    of_kind = (item for item in details if (as_text(dig(item, "@type")) or "").endswith(kind))
    return next((value for item in of_kind if (value := as_text(dig(item, name)))), "")


def _all_objects(details: list[Json], name: str) -> list[Json]:
    return [item for detail in details for item in as_objects(dig(detail, name))]


def _violation(item: Json) -> Violation:
    name = f"{as_text(dig(item, 'quotaId')) or ''} {as_text(dig(item, 'quotaMetric')) or ''}"[:_MAX_NAME]
    return Violation(name.lower().replace("_", ""), _number(dig(item, "quotaValue")))


def _metadata_violations(details: list[Json]) -> list[Violation]:
    """Return the quota that an ErrorInfo names, instead of a QuotaFailure or beside it."""
    named = [metadata for detail in details if as_text(dig(metadata := dig(detail, "metadata"), "quota_limit"))]
    return [
        Violation(
            f"{dig(metadata, 'quota_limit')} {dig(metadata, 'quota_metric') or ''}".lower().replace("_", ""),
            _number(dig(metadata, "quota_limit_value")),
        )
        for metadata in named
    ]


def _number(value: object) -> float | None:
    """Parse a limit, which the wire writes as text."""
    if not isinstance(value, str | int | float):  # a nested value may be too deep for str()
        return None
    return float(str(value)) if re.fullmatch(r"\d{1,15}(\.\d{1,15})?", str(value), re.ASCII) else None


def _readable(body: bytes) -> str:
    words = body[:_MAX_TEXT].decode("utf-8", "replace")
    if not looks_like_markup(body):
        return words.strip()
    title = _TITLE.search(words)
    return "a web page" + (f": {title[1].strip()}" if title and title[1].strip() else "")


DESCRIPTIONS: Mapping[str, str] = {
    "bad_key": "the service refused the API key",
    "unauthenticated": "the service did not accept the credential",
    "permission": "the credential does not have the permission",
    "service_disabled": "the API is not enabled in the project",
    "proxy_sign_in": "a proxy in between requires a sign-in",
    "location": "the service is not available in your location",
    "redirect": "the address redirects to another one, where the key must not go",
    "not_billed": "the model needs a project with billing",
    "prepay_empty": "the prepaid balance is used up",
    "spend_cap": "the project's monthly spending cap is reached",
    "free_tier_zero": "the free tier has no quota for this model: it needs billing",
    "quota_zero": "the project has no quota for this model",
    "model_gone": "the service does not know the model: retired, misspelled or not in this location",
    "wrong_address": "nothing answers at this address: check base URL, project and location",
    "quota_day": "the daily quota is used up",
    "quota_minute": "over the quota per minute",
    "quota_spend": "over the spending limit per ten minutes",
    "quota_shared": "the capacity that all customers share is used up",
    "quota_bare": "over a limit that the service did not name",
    "http_408": "the service gave up waiting for the request",
    "http_409": "the request conflicted with another",
    "http_499": "the request was canceled on the way",
    "http_500": "the service had an internal error",
    "http_502": "a gateway lost the reply",
    "overloaded": "the service is overloaded",
    "deadline": "the service did not finish in time",
}


def describe(kind: str, words: str, *, status: int) -> str:
    """Return what happened in one line, with the service's own words."""
    description = f"{DESCRIPTIONS.get(kind, 'the service gave no usable answer')} (HTTP {status})"
    return f"{description}: {words}" if words else description
