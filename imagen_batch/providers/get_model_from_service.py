"""Looks up a model at the service with a GET, which makes nothing and costs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urlsplit

import orjson
import requests
import urllib3

from imagen_batch.providers.endpoint_and_credential import Provider
from imagen_batch.providers.http.explain_no_connection import explain_no_connection
from imagen_batch.providers.http.strict_connections import WatchedAdapter
from imagen_batch.providers.wire.classify_errors import read_error
from imagen_batch.system.is_loopback import is_loopback

_MAX_BYTES = 2**20
_HEADERS = {"Accept": "application/json", "User-Agent": "imagen-batch"}


@dataclass(frozen=True, slots=True)
class ModelReply:
    """What the service says about a model, and its own time, if it named one.

    `refusal` is the message of a reply that is about the request itself; `methods` is None where the reply names
    none.
    """

    methods: tuple[str, ...] | None
    service_time: datetime | None
    refusal: str | None = None


def look_up_model(provider: Provider, model: str, *, timeout: float = 10.0) -> ModelReply:
    """Ask the Gemini API, or a host that is compatible with it, for one model.

    Raises Transient where there is no usable reply, and Fatal where key, model or address are refused, or where
    certificates or a proxy must be corrected. Neither contains the key.
    """
    url = f"{provider.base_url}/v1beta/models/{quote(model, safe='')}"
    try:
        status, headers, body = _get(url, provider, timeout)
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise explain_no_connection(error, url) from None
    moment = _parse_date(headers)
    if status != 200:
        (sample, *_) = read_error(status, headers, body, requested=1).samples
        return ModelReply(None, moment, refusal=provider.credential.redact(getattr(sample, "reason", "")))
    return ModelReply(_parse_methods(body), moment)


def _get(url: str, provider: Provider, timeout: float) -> tuple[int, Mapping[str, str], bytes]:
    with requests.Session() as session:
        if is_loopback(urlsplit(url).hostname or ""):  # never through a proxy, as for generations
            session.proxies = {"http": "", "https": ""}
        session.mount("https://", WatchedAdapter())
        reply = session.get(
            url, auth=provider.credential, headers=_HEADERS, timeout=timeout, allow_redirects=False, stream=True
        )
        with reply:
            body = b""
            for block in reply.iter_content(2**14):
                body += block
                if len(body) > _MAX_BYTES:
                    break
            return reply.status_code, reply.headers, body


def _parse_date(headers: Mapping[str, str]) -> datetime | None:
    try:
        moment = parsedate_to_datetime(headers.get("Date", ""))
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _parse_methods(body: bytes) -> tuple[str, ...] | None:
    try:
        methods = orjson.loads(body)["supportedGenerationMethods"]
        return tuple(map(str, methods))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
