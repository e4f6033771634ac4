"""Lets all connections of a pool share one TLS context.

urllib3 makes a context for each connection and parses the whole certificate bundle into it: 18 ms of CPU with the
bundle of certifi, several times as much as everything else that an image costs.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_PROTOCOLS = ("http/1.1",)


class CertificatesUnusable(OSError):
    """The file or the folder with the trusted certificates can't be used. `reason` is a clause about `path`."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


def share_tls_context(pool: Any) -> None:
    """Replace the certificates of a urllib3 pool by a context that has loaded them, also for a proxy over TLS.

    Raises CertificatesUnusable if they can't be read.
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
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a bundle may contain a certificate without its root's
    try:
        context.load_verify_locations(file, folder)
    except ssl.SSLError:
        raise CertificatesUnusable(file or folder or "", "which contains no certificate in PEM format") from None
    except OSError as error:
        raise CertificatesUnusable(file or folder or "", _unreadable(error)) from None
    ssl.SSLContext.set_alpn_protocols(context, _PROTOCOLS)
    return context


def check_exists(path: object) -> None:
    """Raise CertificatesUnusable if `path` is to contain the trusted certificates and does not exist."""
    if isinstance(path, str):
        try:
            Path(path).stat()
        except (OSError, ValueError) as error:
            raise CertificatesUnusable(path, _unreadable(error)) from None


def _unreadable(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "which does not exist"
    return f"which can't be read: {getattr(error, 'strerror', None) or 'its name is not valid'}"
