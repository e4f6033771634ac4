"""Lets all connections of a pool share one TLS context.

urllib3 makes a context for each connection and parses the whole certificate bundle into it: 18 ms of CPU with the
bundle of certifi, several times as much as everything else that an image costs.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any

_PROTOCOLS = ("http/1.1",)


def share_tls_context(pool: Any) -> None:
    """Replace the certificates of a urllib3 pool by a context that has loaded them, also for a proxy over TLS.

    Raises OSError if they can't be read.
    """
    if not (pool.ca_certs or pool.ca_cert_dir):
        return
    context = pool.conn_kw.get("ssl_context") or _load(pool.ca_certs, pool.ca_cert_dir)
    pool.conn_kw["ssl_context"] = context
    if (config := pool.conn_kw.get("proxy_config")) is not None:
        pool.conn_kw["proxy_config"] = config._replace(ssl_context=context)
    pool.ca_certs = pool.ca_cert_dir = None  # otherwise every connection loads them again


class _SharedContext(ssl.SSLContext):
    """A context that does not change once threads use it."""

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """Do nothing: `_load` has set them.

        urllib3 sets them for each connection. That frees the list which other threads are copying at the time.
        """


def _load(file: str | None, folder: str | None) -> ssl.SSLContext:
    context = _SharedContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificates and host names
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(file, folder)
    ssl.SSLContext.set_alpn_protocols(context, _PROTOCOLS)
    return context
