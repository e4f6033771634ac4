"""One attempt over HTTP: what came back, within a time and a size, and never elsewhere than asked.

The body is passed on as it came: it may echo the credential, which `redaction.py` takes out of every text once it is
decoded. Foreign exceptions end here: what leaves is a `RawReply` reply or a `Transient`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
import urllib3
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies

from imagen_batch.errors import Transient
from imagen_batch.providers.credentials import Credential
from imagen_batch.providers.deadlines import Deadlines, WatchedCall
from imagen_batch.providers.http.connections import NotIdle, PooledReply, WatchedAdapter
from imagen_batch.providers.http.exchange import Incomplete
from imagen_batch.providers.http.framing import BadReply
from imagen_batch.providers.wire.json_body import looks_like_markup, parse_object
from imagen_batch.system.loopback import is_loopback

MAX_REPLY_BYTES = 256 * 2**20
"""Largest reply taken: four 4K pictures as base64 are well below."""

MAX_ERROR_BYTES = 2**20
"""How much is read of a reply that brings no pictures: what it says stands at its beginning."""

_LONGEST_TIMEOUT_S = 30 * 24 * 3600.0  # the system's timers end somewhere above
_MOST_OPENINGS = 3  # for one attempt, where idle connections turn out to be closed
_READ_PACKED_BYTES = 2**16  # packed data may unfold a thousandfold: look at the size often
_CONNECT_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class RawReply:
    """A whole reply as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Route:
    """How an address is reached: connections, with the proxy and certificates of the environment, and what to ask."""

    pool: urllib3.HTTPConnectionPool
    target: str


class Transport:
    """Posts JSON with the provider's credential. One for all threads; `connections` is how many at once."""

    def __init__(self, credential: Credential, *, connections: int, timeout: float) -> None:
        self._credential = credential
        self._timeout = min(timeout, _LONGEST_TIMEOUT_S)
        self._waits = urllib3.Timeout(connect=min(_CONNECT_TIMEOUT_S, self._timeout), read=self._timeout)
        self._deadlines = Deadlines()
        self._adapter = WatchedAdapter(pool_connections=4, pool_maxsize=connections, max_retries=0, pool_block=False)
        self._ways: dict[str, _Route] = {}

    def post(self, url: str, payload: bytes, *, headers: Mapping[str, str] | None = None) -> RawReply:
        """Send `payload` and read the whole reply, within the timeout in all.

        Raises Transient: `lost` when the request may have reached the service, though no reply came of it.
        """
        reply = None
        with self._deadlines.within(self._timeout) as attempt:
            try:
                reply = self._send(url, payload, {**_HEADERS, **(headers or {})})
                body = _read(reply)
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, BadReply) as error:
                _drop(reply)
                raise _translate(error, attempt, timeout=self._timeout) from None
            except BaseException:
                _drop(reply)
                raise
        # Given back only when it is no longer watched: it may be another attempt's the next moment.
        reply.give_back()
        return RawReply(reply.status, self._clean_headers(reply.headers), body)

    def abort_all(self) -> None:
        """End every attempt that is under way."""
        self._deadlines.abort_all()

    def close(self) -> None:
        """Close all connections."""
        self._deadlines.close()
        self._adapter.close()
        for way in self._ways.values():
            way.pool.close()

    def _send(self, url: str, payload: bytes, headers: Mapping[str, str]) -> PooledReply:
        for _ in range(_MOST_OPENINGS - 1):
            try:
                return self._send_once(url, payload, headers)
            except urllib3.exceptions.ProtocolError as error:
                if not isinstance(error.args[-1], NotIdle):
                    raise
        return self._send_once(url, payload, headers)

    def _send_once(self, url: str, payload: bytes, headers: Mapping[str, str]) -> PooledReply:
        if url not in self._ways:
            self._ways[url] = _route(url, self._adapter)
        way, asked = self._ways[url], requests.PreparedRequest()
        asked.prepare_headers(headers)
        # A session of requests would prepare all of this anew, and wrap the reply: 0.3 ms more for each attempt.
        reply = way.pool.urlopen(
            "POST",
            way.target,
            body=payload,
            headers=self._credential(asked).headers,
            retries=False,
            redirect=False,
            assert_same_host=False,
            timeout=self._waits,
            preload_content=False,
            decode_content=False,
        )
        assert isinstance(reply, PooledReply)
        return reply

    def _clean_headers(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        return CaseInsensitiveDict({name: self._credential.redact(value) for name, value in headers.items()})


def _route(url: str, adapter: WatchedAdapter) -> _Route:
    """The environment is read here, once: what it says of proxies and certificates, and never a .netrc."""
    asked = requests.Request("POST", url).prepare()
    found = requests.Session().merge_environment_settings(
        url, get_environ_proxies(url), stream=True, verify=None, cert=None
    )
    proxies, verify, cert = found["proxies"], found["verify"], found["cert"]
    if is_loopback(urlsplit(url).hostname or ""):  # in clear, and nobody's business
        proxies = {}
    pool = adapter.get_connection_with_tls_context(asked, verify, proxies=proxies, cert=cert)
    assert isinstance(pool, urllib3.HTTPConnectionPool)
    adapter.cert_verify(pool, url, verify, cert)  # type: ignore[no-untyped-call]
    return _Route(pool, adapter.request_url(asked, proxies))


_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # a packed picture is hardly smaller and costs three times the CPU
    "User-Agent": "imagen-batch",
}


def _read(reply: PooledReply) -> bytes:
    limit = MAX_REPLY_BYTES if reply.status == 200 else MAX_ERROR_BYTES
    error: Exception | None = None

    def is_whole(body: bytes) -> bool:
        return _is_whole(reply, body, limit)

    try:
        came = reply.reply.read(limit, is_whole=is_whole)
        sure = reply.reply.end.by != "close" or reply.status != 200 or looks_like_markup(came)
        if _is_cut(reply, came):
            came = reply.reply.read_on(came, limit, is_whole=is_whole)
    except Incomplete as cut:
        came, error, sure = cut.partial, cut.error, False
    if reply.reply.too_large and reply.status == 200:
        raise _too_large(reply)
    body = _unpacked(reply, came, limit)
    # A connection that ends is no proof of a whole reply; a reply that can be read is, however its connection ended.
    if not sure and parse_object(body) is None:
        raise error or BadReply("the connection ended before the reply did")
    return body


def _is_cut(reply: PooledReply, came: bytes) -> bool:
    """Whether the length that was given ends in the middle of JSON."""
    if reply.status != 200 or reply.reply.end.by != "length" or reply.reply.too_large:
        return False
    return came[:1] in (b"{", b"[") and came[-64:].rstrip()[-1:] not in (b"}", b"]")


def _is_whole(reply: PooledReply, came: bytes, limit: int) -> bool:
    try:
        return parse_object(_unpacked(reply, came, limit)) is not None
    except (urllib3.exceptions.HTTPError, Transient):
        return False


def _unpacked(reply: PooledReply, came: bytes, limit: int) -> bytes:
    packed = [*reply.reply.head.listed("content-encoding"), *reply.reply.head.listed("transfer-encoding")]
    packings = [packing for packing in packed if packing not in ("identity", "chunked", "")]
    if not packings:
        return came
    box = urllib3.HTTPResponse(
        io.BytesIO(came), headers={"Content-Encoding": ", ".join(packings)}, preload_content=False
    )
    pieces: list[bytes] = []
    size = 0
    while piece := box.read(_READ_PACKED_BYTES, decode_content=True):
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            if reply.status == 200:
                raise _too_large(reply)
            break
    return b"".join(pieces)


def _too_large(reply: PooledReply) -> Transient:
    return Transient(
        f"the reply is larger than {MAX_REPLY_BYTES // 2**20} MiB",
        kind="reply_too_large",
        http_status=reply.status,
        maybe_charged=True,
        lost=True,
    )


def _translate(error: Exception, attempt: WatchedCall, *, timeout: float) -> Transient:
    # The error's own text holds the URL and perhaps more: it is not passed on.
    if not attempt.sent:
        return Transient("no connection to the service", kind="no_connection")
    if attempt.aborted:
        message, kind = "cut off by a second signal", "cut"
    elif attempt.due or isinstance(error, urllib3.exceptions.TimeoutError | TimeoutError):
        message, kind = f"no whole reply within {timeout:g} s", "timeout"
    else:
        message, kind = "the connection broke before the whole reply was there", "connection_broken"
    return Transient(message, kind=kind, maybe_charged=True, lost=True)


def _drop(reply: PooledReply | None) -> None:
    if reply is not None:
        reply.close()
