"""Connects to the first address of a host that answers, and tries addresses of its family first next time.

Most services have IPv6 and IPv4 addresses. Where one of the two leads nowhere, urllib3 waits the whole timeout for
each of its addresses, and does so again for every connection.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest
from typing import Any

from imagen_batch.providers.http.resolve_host import mark_stale, resolve_host

_TRIES = 5  # that the timeout is divided among; each is long enough for two lost packets

# Routers and firewalls forget a connection on which nothing is sent for minutes, as while an image is being made; its
# reply would be lost. So many unanswered probes end a connection only after its attempt's usual timeout.
_PROBE_EVERY_S, _UNANSWERED_PROBES = 30, 20
_PROBING = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (
            ("TCP_KEEPIDLE", _PROBE_EVERY_S),
            ("TCP_KEEPINTVL", _PROBE_EVERY_S),
            ("TCP_KEEPCNT", _UNANSWERED_PROBES),
        )
        if hasattr(socket, name)
    ),
]

_working: dict[tuple[str, int], int] = {}  # host and port -> family of the last address that answered


def open_socket(host: str, port: int, *, timeout: float, options: Iterable[Any] = ()) -> socket.socket:
    """Connect within `timeout` seconds, name resolution excluded. Raises the OSError of the last address tried."""
    addresses = _alternate(resolve_host(host, port), first=_working.get((host, port)))
    ends = time.monotonic() + timeout
    error: OSError = OSError("the name has no address")
    for number, (family, kind, protocol, _, address) in enumerate(addresses, start=1):
        left = ends - time.monotonic()
        limit = left if number == len(addresses) else min(left, timeout / _TRIES)
        if limit <= 0:
            break
        try:
            sock = _connect((family, kind, protocol), address, limit=limit, options=options)
        except OSError as failure:
            error = failure
            continue
        sock.settimeout(timeout)
        _working[host, port] = family
        return sock
    mark_stale(host, port)
    raise error


def _alternate(found: Sequence[Any], *, first: int | None) -> list[Any]:
    """Return the addresses with families in turn, beginning with `first`, otherwise with the resolver's choice."""
    preferred = found[0][0] if found and first not in {entry[0] for entry in found} else first
    groups = [entry for entry in found if entry[0] == preferred], [entry for entry in found if entry[0] != preferred]
    return [entry for entry in chain.from_iterable(zip_longest(*groups)) if entry is not None]


def _connect(kind: tuple[int, int, int], address: Any, *, limit: float, options: Iterable[Any]) -> socket.socket:
    sock = socket.socket(*kind)
    try:
        for option in (*_PROBING, *options):
            sock.setsockopt(*option)
        sock.settimeout(limit)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock
