"""Pings a URL at the start, the end and the failure of a run, as healthcheck services expect it.

Such a service misses the ping of a night that did not start, which nothing on this machine could report. A ping
never delays the start and never changes the result of a run.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

import requests

from imagen_batch.providers.http.strict_connections import WatchedAdapter
from imagen_batch.version import __version__

LIMIT_S = 5.0
"""How long the end of a run waits for its last ping."""

_HEADERS = {"User-Agent": f"imagen-batch/{__version__}"}


class Healthcheck:
    """Pings `url`, `url`/start and `url`/fail."""

    def __init__(self, url: str, *, limit: float = LIMIT_S) -> None:
        self._url = url
        self._limit = limit
        self._pings: list[threading.Thread] = []

    def start(self) -> None:
        """Report the start, without waiting for it."""
        self._ping("start")

    def finish(self, *, failed: bool) -> None:
        """Report the end, after the start has arrived or within the limit."""
        for ping in self._pings:
            ping.join(self._limit / 2)
        self._ping("fail" if failed else "").join(self._limit)

    def _ping(self, word: str) -> threading.Thread:
        thread = threading.Thread(target=_get, args=(_with_word(self._url, word), self._limit), daemon=True)
        thread.start()
        self._pings.append(thread)
        return thread


def _get(url: str, limit: float) -> None:
    with suppress(requests.RequestException, OSError, ValueError), requests.Session() as session:
        session.mount("https://", WatchedAdapter())  # does not wait for addresses that lead nowhere
        session.get(url, headers=_HEADERS, timeout=limit, allow_redirects=False, stream=True).close()


def _with_word(url: str, word: str) -> str:
    """Append a word to the path, before a query."""
    if not word:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{word}"))
