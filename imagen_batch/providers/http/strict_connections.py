"""Defines connections of urllib3 whose replies are read strictly, and which carry one request each.

`requests` and urllib3 still decide about proxies and certificates, and open the connections.
"""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
from typing import Any, cast

import urllib3
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidSchema
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from imagen_batch.providers.attempt_deadline import WatchedCall, current_attempt
from imagen_batch.providers.http.open_socket import open_socket
from imagen_batch.providers.http.read_reply import Channel, Reply
from imagen_batch.providers.http.shared_tls_context import check_exists, share_tls_context

_BLOCK_BYTES = 2**16  # sent at once; before each block the connection is checked for an early reply
_MAY_HAVE_REPLIED = (errno.EPIPE, errno.ECONNRESET, errno.EPROTOTYPE)  # although it did not read everything
_CLOSED_OVER_TLS = (ssl.SSLEOFError, ssl.SSLZeroReturnError)  # the same, but with error numbers of TLS


class NotIdle(http.client.HTTPException):
    """A connection has unrequested data on it, or was closed, before anything was sent on it."""


class _Exchanging:
    """Exchanges a request and its reply on a connection that this thread's attempt can abort."""

    sock: Any
    timeout: Any
    port: Any
    socket_options: Any
    _dns_host: str
    _channel: Channel | None = None
    _early = False  # the service replied or closed before the whole request was sent

    def connect(self) -> None:
        """Open the connection."""
        super().connect()  # type: ignore[misc]
        self._channel = Channel(self.sock)

    def close(self) -> None:
        """Close the connection."""
        self._channel = None
        super().close()  # type: ignore[misc]

    def exchange(self, message: bytes, *, timeout: float) -> Reply:
        """Send a request and return its reply, of which only the head has been read.

        Raises NotIdle, with nothing sent, if the connection is not idle.
        """
        attempt = current_attempt() or WatchedCall(0.0)
        if self.sock is None:
            self.connect()
        try:
            self._send_checking(message, attempt)
        except OSError as error:
            if error.errno not in _MAY_HAVE_REPLIED and not isinstance(error, _CLOSED_OVER_TLS):
                raise
        if self._channel is None:
            raise http.client.NotConnected
        self.sock.settimeout(timeout)
        attempt.socket = self.sock
        reply = Reply(self._channel, close=self.close)
        reply.begin()
        return reply

    def _new_conn(self) -> socket.socket:
        return open_socket(self._dns_host, self.port, timeout=self.timeout, options=self.socket_options or ())

    def _send_checking(self, message: bytes, attempt: WatchedCall) -> None:
        attempt.connected = True
        view = memoryview(message)
        try:
            for start in range(0, len(view), _BLOCK_BYTES):
                if not self._early and self._peek() != "nothing":
                    if start == 0:
                        raise NotIdle
                    self._early = True
                # Set before the last block leaves: the process may be suspended right after it.
                attempt.sent = start + _BLOCK_BYTES >= len(view)
                self.sock.sendall(view[start : start + _BLOCK_BYTES])
        except OSError:
            attempt.sent, self._early = False, True
            raise

    def _peek(self) -> str:
        return self._channel.peek() if self._channel is not None else "end"


class _Connection(_Exchanging, HTTPConnection):
    pass


class _TlsConnection(_Exchanging, HTTPSConnection):
    pass


class SingleUsePool:
    """A pool whose connections carry one request each.

    A service or a gateway may send a second reply, or the reply to a request that was given up, at any later time. On
    a connection that is used again nothing tells it from the reply to the next request, and its image would be filed
    under another prompt. A handshake costs a thousandth of the time that an image takes.

    `urlopen` is not used: it prepares, checks and wraps each request once more, for a tenth of the CPU of an image.
    """

    pool: Any
    proxy: Any
    close: Any

    def exchange(self, message: bytes, *, connect_timeout: float, timeout: float) -> Reply:
        """Send a request on a connection of its own and return its reply, which closes it."""
        connection = self._open(connect_timeout)
        try:
            return cast("Reply", connection.exchange(message, timeout=timeout))
        except BaseException:
            connection.close()
            raise

    def _open(self, timeout: float) -> Any:
        if self.pool is None:
            raise urllib3.exceptions.ClosedPoolError(self, "Pool is closed.")  # type: ignore[arg-type]
        connection = self._new_conn()  # type: ignore[attr-defined]
        connection.timeout = timeout
        if (attempt := current_attempt()) is not None:
            attempt.connection = connection
        try:
            if self.proxy is not None:
                self._prepare_proxy(connection)  # type: ignore[attr-defined]
            self._validate_conn(connection)  # type: ignore[attr-defined]
        except BaseException:
            connection.close()
            raise
        return connection


class _Pool(SingleUsePool, HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(SingleUsePool, HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class WatchedAdapter(HTTPAdapter):
    """An adapter whose connections can be aborted. It never retries: only `sending` does."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make pools whose connections register with the attempt of their thread."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Choose the certificates to trust, and load them once for all connections of the pool."""
        check_exists(verify)
        super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]
        if isinstance(conn, HTTPSConnectionPool):
            share_tls_context(conn)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Do the same for connections through a proxy. Raises InvalidSchema for a kind of proxy that has its own."""
        if proxy.lower().startswith("socks"):
            raise InvalidSchema("SOCKS proxies have connections of their own")
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
        return manager
