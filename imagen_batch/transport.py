"""One attempt over HTTP: what came back, within a time and a size, and never elsewhere than asked.

A service or a proxy may echo the credential: it is taken out here, before anyone can write it down.
Foreign exceptions end here: what leaves is a `Raw` reply or a `Transient`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import requests
import urllib3
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies

from imagen_batch.blocks import keep_blocks
from imagen_batch.deadlines import Attempt, Deadlines, WatchedAdapter
from imagen_batch.errors import Transient
from imagen_batch.providers import Credential
from imagen_batch.wire.lifting import around_pictures

MAX_REPLY_BYTES = 256 * 2**20
"""Largest reply taken: four 4K pictures as base64 are well below."""

_READ_BYTES = 2**20  # where no length is told; small reads cost more than everything else together
_READ_PACKED_BYTES = 2**16  # packed data may unfold a thousandfold: look at the size often
_CONNECT_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Raw:
    """A whole reply as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Way:
    """How an address is reached: connections, with the proxy and certificates of the environment, and what to ask."""

    pool: urllib3.HTTPConnectionPool
    target: str


class Transport:
    """Posts JSON with the provider's credential. One for all threads; `connections` is how many at once."""

    def __init__(self, credential: Credential, *, connections: int, timeout: float) -> None:
        keep_blocks()
        self._credential = credential
        self._timeout = timeout
        self._waits = urllib3.Timeout(connect=min(_CONNECT_TIMEOUT_S, timeout), read=timeout)
        self._deadlines = Deadlines()
        self._adapter = WatchedAdapter(pool_connections=4, pool_maxsize=connections, max_retries=0, pool_block=False)
        self._ways: dict[str, _Way] = {}

    def post(self, url: str, payload: bytes, *, headers: Mapping[str, str] | None = None) -> Raw:
        """Send `payload` and read the whole reply, within the timeout in all.

        Raises Transient: `lost` when the request may have reached the service, though no reply came of it.
        """
        reply = None
        with self._deadlines.within(self._timeout) as attempt:
            try:
                reply = self._send(url, payload, {**_HEADERS, **(headers or {})})
                body = _read(reply)
                attempt.check()
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                _drop(reply)
                raise _translate(error, attempt, timeout=self._timeout) from None
            except BaseException:
                _drop(reply)
                raise
        # Given back only when it is no longer watched: it may be another attempt's the next moment.
        reply.release_conn()
        return Raw(reply.status, self._clean_headers(reply.headers), self._clean(body, reply.status))

    def cut_all(self) -> None:
        """End every attempt that is under way."""
        self._deadlines.cut_all()

    def close(self) -> None:
        """Close all connections."""
        self._deadlines.close()
        self._adapter.close()

    def _send(self, url: str, payload: bytes, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        if url not in self._ways:
            self._ways[url] = _way(url, self._adapter)
        way, asked = self._ways[url], requests.PreparedRequest()
        asked.prepare_headers(headers)
        # A session of requests would prepare all of this anew, and wrap the reply: 0.3 ms more for each attempt.
        return way.pool.urlopen(
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

    def _clean(self, body: bytes, status: int) -> bytes:
        # A picture's megabytes of base64 show nobody a secret: mostly it is enough to look around them.
        if status == 200 and all(self._credential.redact(part, text=False) is part for part in around_pictures(body)):
            return body
        return self._credential.redact(body, text=status != 200)

    def _clean_headers(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        return CaseInsensitiveDict(
            {name: self._credential.redact(value.encode(), text=True).decode() for name, value in headers.items()}
        )


def _way(url: str, adapter: WatchedAdapter) -> _Way:
    """The environment is read here, once: what it says of proxies and certificates, and never a .netrc."""
    asked = requests.Request("POST", url).prepare()
    found = requests.Session().merge_environment_settings(
        url, get_environ_proxies(url), stream=True, verify=None, cert=None
    )
    proxies, verify, cert = found["proxies"], found["verify"], found["cert"]
    pool = adapter.get_connection_with_tls_context(asked, verify, proxies=proxies, cert=cert)
    assert isinstance(pool, urllib3.HTTPConnectionPool)
    adapter.cert_verify(pool, url, verify, cert)  # type: ignore[no-untyped-call]
    return _Way(pool, adapter.request_url(asked, proxies))


_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # a packed picture is hardly smaller and costs three times the CPU
    "User-Agent": "imagen-batch",
}


def _read(reply: urllib3.BaseHTTPResponse) -> bytes:
    packed, told = "Content-Encoding" in reply.headers, reply.length_remaining or 0
    step = _READ_PACKED_BYTES if packed else told or _READ_BYTES  # a length that is told is read at once, uncopied
    pieces: list[bytes] = []
    size = told
    while size <= MAX_REPLY_BYTES and (piece := reply.read(step, decode_content=packed)):
        size = len(piece) + (size if pieces else 0)
        pieces.append(piece)
    if size > MAX_REPLY_BYTES:
        raise Transient(
            f"the reply is larger than {MAX_REPLY_BYTES // 2**20} MiB",
            kind="reply_too_large",
            http_status=reply.status,
            maybe_charged=True,
            lost=True,
        )
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _translate(error: Exception, attempt: Attempt, *, timeout: float) -> Transient:
    # The error's own text holds the URL and perhaps more: it is not passed on.
    if not attempt.sent:
        return Transient("no connection to the service", kind="no_connection")
    if attempt.cut_by_hand:
        message, kind = "cut off by a second signal", "cut"
    elif attempt.due or isinstance(error, urllib3.exceptions.TimeoutError | TimeoutError):
        message, kind = f"no whole reply within {timeout:g} s", "timeout"
    else:
        message, kind = "the connection broke before the whole reply was there", "connection_broken"
    return Transient(message, kind=kind, maybe_charged=True, lost=True)


def _drop(reply: urllib3.BaseHTTPResponse | None) -> None:
    if reply is not None:
        reply.close()
