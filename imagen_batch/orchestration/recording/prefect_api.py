"""Calls the HTTP API of a Prefect server.

Prefect's own client takes a second of CPU to import and retries for minutes when its server is gone. These calls
take a bounded time and do not retry. A server that requires a login is left to Prefect's client, which has all the
ways to log in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests

_TIMEOUT_S = (2.0, 5.0)  # to connect, and for each read
_LOGIN_VARIABLES = (
    "PREFECT_API_KEY",
    "PREFECT_API_AUTH_STRING",
    "PREFECT_CLIENT_CUSTOM_HEADERS",
    "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED",
)
_TEMPORARY_STATUSES = {408, 425, 429}


class Unavailable(Exception):
    """The server does not answer, or is temporarily unavailable."""


class Refused(Exception):
    """The server refused a call; the same call would be refused again. `status` is its HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"HTTP {status}: {text}")
        self.status = status


def needs_login(url: str, env: Mapping[str, str]) -> bool:
    """Whether the server at `url` may need more than an address: a key, a password, headers, a certificate."""
    parts = urlsplit(url)
    return parts.scheme != "http" or "@" in parts.netloc or any(env.get(name) for name in _LOGIN_VARIABLES)


class PrefectApi:
    """The API at `url`. Every call raises Unavailable or Refused."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.auth = lambda request: request  # no password from a .netrc

    def get(self, path: str) -> Any:
        """Return what the server knows."""
        return self._call("GET", path, None)

    def post(self, path: str, body: Any) -> Any:
        """Create or change something and return what the server answers."""
        return self._call("POST", path, body)

    def patch(self, path: str, body: Any) -> None:
        """Change something."""
        self._call("PATCH", path, body)

    def _call(self, method: str, path: str, body: Any) -> Any:
        try:
            reply = self._session.request(
                method, self._url + path, json=body, timeout=_TIMEOUT_S, allow_redirects=False
            )
            if 200 <= reply.status_code < 300:
                return reply.json() if reply.content else None
        except (requests.RequestException, OSError) as error:
            raise Unavailable(type(error).__name__) from error
        if reply.status_code >= 500 or reply.status_code in _TEMPORARY_STATUSES:
            raise Unavailable(f"HTTP {reply.status_code}")
        raise Refused(reply.status_code, reply.text[:200])
