"""Checks in bounded time whether a Prefect server answers at PREFECT_API_URL, before anything is sent."""

from __future__ import annotations

import json
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from queue import SimpleQueue
from urllib.parse import urlsplit

_MAX_BYTES = 10_000
_CLOUD = "prefect.cloud"


@dataclass(frozen=True)
class _Reply:
    status: int
    body: bytes


def find_unreachable_reason(url: str, *, timeout: float = 5.0) -> str | None:
    """Return why no Prefect server answers at `url`, in a few words; None if one does."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        return "it is not the address of a server (expected http://HOST:PORT/api)"
    replies: list[_Reply | str] = []
    request = threading.Thread(target=lambda: replies.append(_get_health(url, timeout)), daemon=True)
    request.start()
    request.join(timeout)  # the socket's timeout bounds each read, not all of them together
    reply = replies[0] if replies else f"no answer within {timeout:g} s"
    return reply if isinstance(reply, str) else _find_fault(reply, url)


def show_address(url: str) -> str:
    """Return an address without what may be secret: the user, the query and the fragment."""
    scheme, slashes, rest = url.partition("://")
    place = rest.partition("?")[0].partition("#")[0]
    return scheme.partition("?")[0] + slashes + place.rpartition("@")[2]


def run_in_background(check: Callable[[str], str | None], url: str) -> Callable[[], str | None]:
    """Start a check in a thread; return a function that waits for its result."""
    results: SimpleQueue[str | None] = SimpleQueue()
    threading.Thread(target=lambda: results.put(check(url)), daemon=True).start()
    return results.get


def is_reachable(url: str, *, timeout: float) -> bool:
    """Whether a Prefect server answers at `url`."""
    return find_unreachable_reason(url, timeout=timeout) is None


def _get_health(url: str, timeout: float) -> _Reply | str:
    request = urllib.request.Request(url.rstrip("/") + "/health")  # noqa: S310 - the scheme was checked
    # No credential is sent, so the certificate is left to Prefect's client, which has settings for that.
    context = ssl._create_unverified_context()  # noqa: S323
    try:
        with urllib.request.urlopen(request, timeout=timeout, context=context) as reply:  # noqa: S310
            return _Reply(reply.status, reply.read(_MAX_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            return _Reply(error.code, b"")
    except urllib.error.URLError as error:
        return str(error.reason)
    except (OSError, HTTPException, ValueError) as error:
        return str(error) or type(error).__name__


def _find_fault(reply: _Reply, url: str) -> str | None:
    if reply.status in (401, 403) or (urlsplit(url).hostname or "").endswith(_CLOUD):
        return None  # it requires a credential, which Prefect's client has
    if reply.status != 200:
        return f"the server there is not a Prefect server (HTTP {reply.status})"
    try:
        healthy = json.loads(reply.body) is True
    except ValueError:
        healthy = False
    return None if healthy else "the server there is not a Prefect server"
