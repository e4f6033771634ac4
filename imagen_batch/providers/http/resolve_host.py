"""Resolves a host's name once a minute for all connections, and keeps its addresses while name servers fail.

Each request has a connection of its own. Where the first name server is dead, each of them would wait seconds for the
second one; and an outage of name servers alone would stop a run that could continue.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from urllib3.util.connection import allowed_gai_family

_FRESH_S = 60.0
_RETRY_S = 10.0  # threads use the old addresses while one of them resolves the name again

Addresses = list[Any]
"""The result of `socket.getaddrinfo`."""


@dataclass(frozen=True, slots=True)
class _Known:
    addresses: Addresses
    fresh_until: float


_known: dict[tuple[str, int], _Known] = {}


def resolve_host(host: str, port: int, *, clock: Callable[[], float] = time.monotonic) -> Addresses:
    """Return the addresses of a host. Raises socket.gaierror if it has none and never had."""
    known, now = _known.get((host, port)), clock()
    if known is None:
        addresses = _look_up(host, port)
    elif now < known.fresh_until:
        return known.addresses
    else:
        _known[host, port] = _Known(known.addresses, now + _RETRY_S)
        try:
            addresses = _look_up(host, port)
        except socket.gaierror:
            return known.addresses
    _known[host, port] = _Known(addresses, clock() + _FRESH_S)
    return addresses


def mark_stale(host: str, port: int) -> None:
    """Have the name resolved again: none of its addresses answered."""
    if (known := _known.get((host, port))) is not None:
        _known[host, port] = _Known(known.addresses, 0.0)


def _look_up(host: str, port: int) -> Addresses:
    try:
        return socket.getaddrinfo(host.strip("[]"), port, allowed_gai_family(), socket.SOCK_STREAM)
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, "the name is not valid") from None
