"""Makes one attempt over HTTP, limited in time and size, without following redirects.

The body is returned as it came. It may echo the credential, which `redaction.py` removes from every text after
decoding. Exceptions of other libraries end here: the result is a `RawReply` or a `Transient`.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from urllib.parse import urlsplit

import requests
import urllib3
from requests.utils import get_environ_proxies
from urllib3.util.ssl_match_hostname import CertificateError

from imagen_batch.errors import Transient
from imagen_batch.providers.attempt_deadline import Deadlines, WatchedCall
from imagen_batch.providers.credentials import Credential
from imagen_batch.providers.http.explain_no_connection import explain_no_connection
from imagen_batch.providers.http.framing import BadReply
from imagen_batch.providers.http.read_reply import Incomplete, Reply
from imagen_batch.providers.http.strict_connections import NotIdle, SingleUsePool, WatchedAdapter
from imagen_batch.providers.http.write_request import first_lines, whole_request
from imagen_batch.providers.wire.lenient_json import looks_like_markup, parse_object
from imagen_batch.system.is_loopback import is_loopback

MAX_REPLY_BYTES = 256 * 2**20
"""The largest accepted reply: four 4K images as base64 are well below."""

MAX_ERROR_BYTES = 2**20
"""How much is read of an error reply: its message is at the beginning."""

_MAX_TIMEOUT_S = 30 * 24 * 3600.0  # the timers of the system have a limit somewhere above
_MAX_CONNECTIONS_TRIED = 3  # for one attempt, where the service closes them before anything is sent
_DECOMPRESS_BYTES = 2**16  # compressed data may expand a thousandfold: the size is checked often
_CONNECT_TIMEOUT_S = 20.0
_HEADERS = (
    ("Content-Type", "application/json"),
    ("Accept", "application/json"),
    ("Accept-Encoding", "identity"),  # a compressed image is hardly smaller and costs three times the CPU
    ("User-Agent", "imagen-batch"),
)


@dataclass(frozen=True, slots=True)
class RawReply:
    """A complete reply as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Route:
    """How a URL is reached: by connections with proxy and certificates of the environment, and these first lines."""

    pool: SingleUsePool
    first_lines: bytes


class Transport:
    """Posts JSON with the provider's credential. All threads share one."""

    def __init__(self, credential: Credential, *, timeout: float) -> None:
        self._credential = credential
        self._timeout = min(timeout, _MAX_TIMEOUT_S)
        self._connect_timeout = min(_CONNECT_TIMEOUT_S, self._timeout)
        self._deadlines = Deadlines()
        self._adapter = WatchedAdapter(max_retries=0)
        self._routes: dict[str, _Route] = {}
        self._routing = threading.Lock()
        self._reached = False  # whether any reply has arrived

    def post(self, url: str, payload: bytes, *, headers: Mapping[str, str] | None = None) -> RawReply:
        """Send `payload` and read the whole reply, all within the timeout.

        Raises Transient, which is `lost` if the request may have reached the service although no reply arrived, and
        Fatal if certificates or a proxy must be corrected before any request can be sent.
        """
        reply = None
        with self._deadlines.within(self._timeout) as attempt:
            try:
                reply = self._send(url, payload, headers or {})
                self._reached = True
                body = _read(reply)
            except (urllib3.exceptions.HTTPError, HTTPException, CertificateError, OSError) as error:
                if not attempt.connected:
                    raise explain_no_connection(error, url, reached_before=self._reached) from None
                raise _translate(error, attempt, timeout=self._timeout) from None
            finally:
                if reply is not None:
                    reply.close()
        redacted = {name.lower(): self._credential.redact(text) for name, text in reply.head.without_framing}
        return RawReply(reply.head.status, redacted, body)

    @property
    def awaits_reply(self) -> bool:
        """Whether a request has been sent whose attempt has not ended yet."""
        return self._deadlines.awaits_reply

    def abort_all(self) -> None:
        """Abort every attempt in progress."""
        self._deadlines.abort_all()

    def close(self) -> None:
        """Close all connections."""
        self._deadlines.close()
        self._adapter.close()
        for route in self._routes.values():
            route.pool.close()

    def _send(self, url: str, payload: bytes, headers: Mapping[str, str]) -> Reply:
        for _ in range(_MAX_CONNECTIONS_TRIED - 1):
            with suppress(NotIdle):
                return self._send_once(url, payload, headers)
        return self._send_once(url, payload, headers)

    def _send_once(self, url: str, payload: bytes, headers: Mapping[str, str]) -> Reply:
        route = self._routes.get(url) or self._find_route(url)
        message = whole_request(route.first_lines, (self._credential.header_line(), *headers.items()), payload)
        return route.pool.exchange(message, connect_timeout=self._connect_timeout, timeout=self._timeout)

    def _find_route(self, url: str) -> _Route:
        with self._routing:  # certificates are loaded once, although several threads begin at the same time
            if url not in self._routes:
                self._routes[url] = _route(url, self._adapter)
            return self._routes[url]


def _route(url: str, adapter: WatchedAdapter) -> _Route:
    """Read proxies and certificates from the environment, once, and never a .netrc."""
    request = requests.Request("POST", url).prepare()
    chosen = requests.Session().merge_environment_settings(
        url, get_environ_proxies(url), stream=True, verify=None, cert=None
    )
    proxies, verify, cert = chosen["proxies"], chosen["verify"], chosen["cert"]
    if is_loopback(urlsplit(url).hostname or ""):  # never through a proxy, where plain HTTP could be read
        proxies = {}
    pool = adapter.get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
    adapter.cert_verify(pool, url, verify, cert)
    assert isinstance(pool, SingleUsePool)
    return _Route(pool, first_lines(request.url or url, adapter.request_url(request, proxies), _HEADERS))


def _read(reply: Reply) -> bytes:
    limit = MAX_REPLY_BYTES if 200 <= reply.head.status < 300 else MAX_ERROR_BYTES
    error: Exception | None = None
    is_complete = partial(_is_complete, reply, limit=limit)
    try:
        received = reply.read(limit, is_complete=is_complete)
        certain = reply.end.by != "close" or reply.head.status != 200 or looks_like_markup(received)
        if _is_truncated(reply, received):
            received = reply.read_on(received, limit, is_complete=is_complete)
    except Incomplete as incomplete:
        received, error, certain = incomplete.partial, incomplete.error, False
    if reply.too_large and 200 <= reply.head.status < 300:
        raise _too_large(reply)
    body = _decompress(reply, received, limit)
    # The end of a connection does not prove that a reply is complete. A body that can be parsed does, however its
    # connection ended.
    if not certain and parse_object(body) is None:
        raise error or BadReply("the connection ended before the reply did")
    return body


def _is_truncated(reply: Reply, received: bytes) -> bool:
    """Return whether the stated length ends in the middle of JSON, which may be behind an inner bracket."""
    if reply.head.status != 200 or reply.end.by != "length" or reply.too_large or received[:1] not in (b"{", b"["):
        return False
    if received[-64:].rstrip()[-1:] not in (b"}", b"]"):
        return True
    return reply.has_surplus and parse_object(received) is None


def _is_complete(reply: Reply, received: bytes, *, limit: int) -> bool:
    try:
        return parse_object(_decompress(reply, received, limit)) is not None
    except (urllib3.exceptions.HTTPError, Transient):
        return False


def _decompress(reply: Reply, received: bytes, limit: int) -> bytes:
    listed = [*reply.head.listed("content-encoding"), *reply.head.listed("transfer-encoding")]
    encodings = [encoding for encoding in listed if encoding not in ("identity", "chunked", "")]
    if not encodings:
        return received
    decoder = urllib3.HTTPResponse(
        io.BytesIO(received), headers={"Content-Encoding": ", ".join(encodings)}, preload_content=False
    )
    pieces: list[bytes] = []
    size = 0
    while piece := decoder.read(_DECOMPRESS_BYTES, decode_content=True):
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            if 200 <= reply.head.status < 300:
                raise _too_large(reply)
            break
    return b"".join(pieces)


def _too_large(reply: Reply) -> Transient:
    return Transient(
        f"the reply is larger than {MAX_REPLY_BYTES // 2**20} MiB",
        kind="reply_too_large",
        http_status=reply.head.status,
        maybe_charged=True,
        lost=True,
    )


def _translate(error: Exception, attempt: WatchedCall, *, timeout: float) -> Transient:
    # The text of the error contains the URL and maybe secrets: it is not passed on.
    if not attempt.sent:
        return Transient("the connection broke before the whole request was sent", kind="no_connection")
    if attempt.aborted:
        message, kind = "aborted by a second signal", "cut"
    elif attempt.overdue or isinstance(error, urllib3.exceptions.TimeoutError | TimeoutError):
        message, kind = f"no complete reply within {timeout:g} s", "timeout"
    else:
        message, kind = "the connection broke before the reply was complete", "connection_broken"
    return Transient(message, kind=kind, maybe_charged=True, lost=True)
