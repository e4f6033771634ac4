"""What does the body of an error say? (api: 4, 4.2: google.rpc.Status, and what stands in for it)"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from imagen_batch.providers.wire.json_body import (
    Json,
    count,
    dig,
    looks_like_markup,
    objects,
    parse_object,
    short,
    text,
)

_LONGEST_TEXT = 20_000  # characters that are looked at; services say what they mean in a few hundred
_LONGEST_NAME = 1000
_POINTER = re.compile(r"(?:For more information|To monitor)[^:]{0,200}: https?://\S+\s*")
_ADDRESS = re.compile(r"https?://\S+")
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Violation:
    """A quota that was broken, as the service names it."""

    name: str  # id and metric, folded: lower case without "_"
    value: float | None = None  # the limit

    def says(self, word: str) -> bool:
        """Whether `word` (folded) is in its id or its metric."""
        return word in self.name


@dataclass(frozen=True, slots=True)
class ServiceError:
    """An error body's facts. All are empty where the body has none."""

    message: str = ""  # the service's own words
    status: str = ""  # "RESOURCE_EXHAUSTED"
    code: int = 0
    reason: str = ""  # ErrorInfo: "API_KEY_INVALID"
    link: str = ""  # Help: the first
    retry_delay: str = ""  # RetryInfo: "34s"
    violations: tuple[Violation, ...] = ()
    debug: str = ""  # DebugInfo: the cause where the message names none, lower case

    @property
    def plain(self) -> str:
        """The words in lower case and without addresses, to look for phrases in."""
        return _ADDRESS.sub(" ", self.message.lower())

    @property
    def words(self) -> str:
        """The words on one line, cut so that they fit into a message, without standing pointers."""
        return short(_POINTER.sub("", self.message), 300)


def parse_service_error(body: bytes) -> ServiceError:
    """The facts of any body, also of HTML and of none."""
    answer = parse_object(body)
    if answer is None:
        return ServiceError(message=_readable(body))
    error = dig(answer, "error") or answer
    details = objects(dig(error, "details"))
    return ServiceError(
        message=_message(error),
        status=text(dig(error, "status")) or "",
        code=count(dig(error, "code")),
        reason=_first(details, "ErrorInfo", "reason"),
        link=next((url for item in _all(details, "links") if (url := text(dig(item, "url")))), ""),
        retry_delay=_first(details, "RetryInfo", "retryDelay"),
        violations=(*map(_violation, _all(details, "violations")), *_metadata_violations(details)),
        debug=short(_first(details, "DebugInfo", "detail"), 2000).lower(),
    )


def _message(error: object) -> str:
    """The message; Vertex repeats it in `errors`, a gateway may say `detail` or nothing but a text."""
    listed = [dig(item, "message") for item in objects(dig(error, "errors"))]
    candidates = [dig(error, "message"), *listed, dig(error, "detail"), error]
    return next((words for it in candidates if (words := text(it))), "")[:_LONGEST_TEXT]


def _first(details: list[Json], kind: str, name: str) -> str:
    of_kind = (item for item in details if (text(dig(item, "@type")) or "").endswith(kind))
    return next((value for item in of_kind if (value := text(dig(item, name)))), "")


def _all(details: list[Json], name: str) -> list[Json]:
    return [item for detail in details for item in objects(dig(detail, name))]


def _violation(item: Json) -> Violation:
    name = f"{text(dig(item, 'quotaId')) or ''} {text(dig(item, 'quotaMetric')) or ''}"[:_LONGEST_NAME]
    return Violation(name.lower().replace("_", ""), _number(dig(item, "quotaValue")))


def _metadata_violations(details: list[Json]) -> list[Violation]:
    """The quota that an ErrorInfo names, in place of a QuotaFailure or beside it."""
    named = [metadata for detail in details if text(dig(metadata := dig(detail, "metadata"), "quota_limit"))]
    return [
        Violation(
            f"{dig(metadata, 'quota_limit')} {dig(metadata, 'quota_metric') or ''}".lower().replace("_", ""),
            _number(dig(metadata, "quota_limit_value")),
        )
        for metadata in named
    ]


def _number(value: object) -> float | None:
    """A limit, which the wire writes as text."""
    if not isinstance(value, str | int | float):  # anything nested may be too deep to be written
        return None
    return float(str(value)) if re.fullmatch(r"\d{1,15}(\.\d{1,15})?", str(value), re.ASCII) else None


def _readable(body: bytes) -> str:
    words = body[:_LONGEST_TEXT].decode("utf-8", "replace")
    if not looks_like_markup(body):
        return words.strip()
    title = _TITLE.search(words)
    return "a web page" + (f": {title[1].strip()}" if title and title[1].strip() else "")


DESCRIPTIONS: Mapping[str, str] = {
    "bad_key": "the service refuses the API key",
    "unauthenticated": "the service does not accept the credential",
    "permission": "the credential may not do this",
    "service_disabled": "the API is not enabled in the project",
    "proxy_sign_in": "a proxy in between asks for a sign-in",
    "location": "the service is not offered where the request comes from",
    "redirect": "the address redirects elsewhere, where the key must not go",
    "not_billed": "the model needs a project with billing",
    "prepay_empty": "the prepaid balance is used up",
    "spend_cap": "the project's monthly spending cap is reached",
    "free_tier_zero": "the free tier has no quota for this model: it needs billing",
    "quota_zero": "the project has no quota for this model",
    "model_gone": "the service does not know the model: retired, misspelt or not in this location",
    "wrong_address": "nothing answers at this address: check base URL, project and location",
    "quota_day": "the daily quota is used up",
    "quota_minute": "over the quota per minute",
    "quota_spend": "over the spending limit per ten minutes",
    "quota_shared": "the capacity that all customers share is used up",
    "quota_bare": "over a limit that the service does not name",
    "http_408": "the service gave up waiting for the request",
    "http_409": "the request collided with another",
    "http_499": "the request was cancelled on the way",
    "http_500": "the service failed inside",
    "http_502": "a gateway lost the answer",
    "overloaded": "the service is overloaded",
    "deadline": "the service did not finish in time",
}


def describe(kind: str, words: str, *, status: int) -> str:
    """What happened in one line, and the service's own words about it."""
    said = f"{DESCRIPTIONS.get(kind, 'the service gave no answer to work with')} (HTTP {status})"
    return f"{said}: {words}" if words else said
