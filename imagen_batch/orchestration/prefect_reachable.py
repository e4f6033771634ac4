"""Looks whether a Prefect server is where PREFECT_API_URL says, in bounded time and before anything is sent."""

from __future__ import annotations

import json
import ssl
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from urllib.parse import urlsplit

_MOST_BYTES = 10_000
_CLOUD = "prefect.cloud"


@dataclass(frozen=True)
class _Reply:
    status: int
    body: bytes


def unreachable(url: str, *, timeout: float = 5.0) -> str | None:
    """Why no Prefect server answers at `url`, in a few words; None when one does."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        return "it is no address of a server (expected http://HOST:PORT/api)"
    found: list[_Reply | str] = []
    asking = threading.Thread(target=lambda: found.append(_asked(url, timeout)), daemon=True)
    asking.start()
    asking.join(timeout)  # the socket's own timeout bounds each read, and not all of them together
    reply = found[0] if found else f"no answer within {timeout:g} s"
    return reply if isinstance(reply, str) else _flaw(reply, url)


def answers(url: str, *, timeout: float) -> bool:
    """Whether a Prefect server answers at `url`."""
    return unreachable(url, timeout=timeout) is None


def _asked(url: str, timeout: float) -> _Reply | str:
    request = urllib.request.Request(url.rstrip("/") + "/health")  # noqa: S310 - the scheme was looked at
    # No credential is sent, so whose certificate it is can be left to Prefect's client, which has settings for that.
    context = ssl._create_unverified_context()  # noqa: S323
    try:
        with urllib.request.urlopen(request, timeout=timeout, context=context) as reply:  # noqa: S310
            return _Reply(reply.status, reply.read(_MOST_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            return _Reply(error.code, b"")
    except urllib.error.URLError as error:
        return str(error.reason)
    except (OSError, HTTPException, ValueError) as error:
        return str(error) or type(error).__name__


def _flaw(reply: _Reply, url: str) -> str | None:
    if reply.status in (401, 403) or (urlsplit(url).hostname or "").endswith(_CLOUD):
        return None  # it wants a credential, which Prefect's client has
    if reply.status != 200:
        return f"what answers there is no Prefect server (HTTP {reply.status})"
    try:
        healthy = json.loads(reply.body) is True
    except ValueError:
        healthy = False
    return None if healthy else "what answers there is no Prefect server"
