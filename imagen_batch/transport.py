"""One attempt over HTTP: what came back, within a time and a size, and never elsewhere than asked.

A service or a proxy may echo the credential: it is taken out here, before anyone can write it down.
Foreign exceptions end here: what leaves is a `Raw` reply or a `Transient`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests
import urllib3.exceptions
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies

from imagen_batch.deadlines import Attempt, Deadlines, WatchedAdapter
from imagen_batch.errors import Transient
from imagen_batch.providers import Credential

MAX_REPLY_BYTES = 256 * 2**20
"""Largest reply taken: four 4K pictures as base64 are well below."""

_READ_BYTES = 2**20  # small reads cost more than everything else together
_READ_PACKED_BYTES = 2**16  # packed data may unfold a thousandfold: look at the size often
_CONNECT_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Raw:
    """A whole reply as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Posts JSON with the provider's credential. One for all threads; `connections` is how many at once."""

    def __init__(self, credential: Credential, *, connections: int, timeout: float) -> None:
        self._credential = credential
        self._timeout = timeout
        self._deadlines = Deadlines()
        self._session = requests.Session()
        # No .netrc, and the environment is read once, not at each attempt.
        self._session.trust_env = False
        self._session.auth = credential
        self._session.headers.clear()
        adapter = WatchedAdapter(pool_connections=4, pool_maxsize=connections, max_retries=0, pool_block=False)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self._environment: dict[str, dict[str, Any]] = {}

    def post(self, url: str, payload: bytes, *, headers: Mapping[str, str] | None = None) -> Raw:
        """Send `payload` and read the whole reply, within the timeout in all.

        Raises Transient: `lost` when the request may have reached the service, though no reply came of it.
        """
        response = None
        with self._deadlines.within(self._timeout) as attempt:
            try:
                request = requests.Request("POST", url, data=payload, headers={**_HEADERS, **(headers or {})})
                response = self._send(self._session.prepare_request(request))
                body = _read(response)
                attempt.check()
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                _drop(response)
                raise _translate(error, attempt, timeout=self._timeout) from None
            except BaseException:
                _drop(response)
                raise
        # Given back only when it is no longer watched: it may be another attempt's the next moment.
        response.raw.release_conn()
        body = self._credential.redact(body, text=response.status_code != 200)
        return Raw(response.status_code, self._clean_headers(response.headers), body)

    def cut_all(self) -> None:
        """End every attempt that is under way."""
        self._deadlines.cut_all()

    def close(self) -> None:
        """Close all connections."""
        self._deadlines.close()
        self._session.close()

    def _send(self, prepared: requests.PreparedRequest) -> requests.Response:
        return self._session.send(
            prepared,
            allow_redirects=False,
            timeout=(min(_CONNECT_TIMEOUT_S, self._timeout), self._timeout),
            **self._settings_for(prepared.url or ""),
        )

    def _clean_headers(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        return CaseInsensitiveDict(
            {name: self._credential.redact(value.encode(), text=True).decode() for name, value in headers.items()}
        )

    def _settings_for(self, url: str) -> dict[str, Any]:
        """Proxies and certificates of the environment, and that the body is to be streamed."""
        host = url.split("/v1", 1)[0]
        if host not in self._environment:
            found = requests.Session().merge_environment_settings(
                url, get_environ_proxies(url), stream=True, verify=None, cert=None
            )
            self._environment[host] = dict(found)
        return self._environment[host]


_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # a packed picture is hardly smaller and costs three times the CPU
    "User-Agent": "imagen-batch",
}


def _read(response: requests.Response) -> bytes:
    raw = response.raw
    step = _READ_PACKED_BYTES if response.headers.get("Content-Encoding") else _READ_BYTES
    pieces: list[bytes] = []
    size = 0
    while piece := raw.read(step, decode_content=True):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_REPLY_BYTES:
            raise Transient(
                f"the reply is larger than {MAX_REPLY_BYTES // 2**20} MiB",
                kind="reply_too_large",
                http_status=response.status_code,
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
    elif attempt.due or isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError):
        message, kind = f"no whole reply within {timeout:g} s", "timeout"
    else:
        message, kind = "the connection broke before the whole reply was there", "connection_broken"
    return Transient(message, kind=kind, maybe_charged=True, lost=True)


def _drop(response: requests.Response | None) -> None:
    if response is not None:
        response.close()
