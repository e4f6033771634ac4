"""Defines connections of urllib3 whose replies are read strictly, and which carry one request each.

`requests` and urllib3 still decide about proxies, certificates and pools.
"""

from __future__ import annotations

import http.client
from typing import Any, cast

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from imagen_batch.providers.attempt_deadline import WatchedCall, current_attempt
from imagen_batch.providers.http.read_reply import Channel, Reply

_BLOCK_BYTES = 2**16  # sent at once; before each block the connection is checked for an early reply


class NotIdle(http.client.HTTPException):
    """An idle connection has unrequested data on it, or was closed. Nothing was sent on it."""


class PooledReply(urllib3.HTTPResponse):
    """A reply for urllib3's pool, of which the head has been read."""

    reply: Reply

    def release(self) -> None:
        """Close the connection: the next request gets its own."""
        if self._connection is not None:
            self._connection.close()
        self.release_conn()


class _Exchanging:
    """Exchanges a request and its reply on a connection that this thread's attempt can abort."""

    sock: Any
    timeout: Any
    _channel: Channel | None = None
    _outgoing: list[bytes] | None = None  # collects what is sent while a request is being written
    _early = False  # the service replied or closed before the whole request was sent

    def connect(self) -> None:
        """Open the connection."""
        super().connect()  # type: ignore[misc]
        self._channel = Channel(self.sock)

    def close(self) -> None:
        """Close the connection."""
        self._channel = None
        super().close()  # type: ignore[misc]

    @property
    def is_connected(self) -> bool:
        """Whether it is open and has nothing to be read; the pool asks before it reuses a connection."""
        return self.sock is not None and self._peek() == "nothing"

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send a request. Raises NotIdle, with nothing sent, if the connection is not idle."""
        attempt = current_attempt()
        if attempt is not None:
            attempt.connection = self
        self._early, self._outgoing = False, []
        try:
            super().request(*args, **kwargs)  # type: ignore[misc]
        finally:
            message, self._outgoing = b"".join(self._outgoing), None
        if self.sock is None:
            self.connect()
        self._send_checking(message, attempt or WatchedCall(0.0))

    def send(self, data: Any) -> None:
        """Send data, or collect it for a request that is still being written."""
        if self._outgoing is None:
            super().send(data)  # type: ignore[misc]
        else:
            self._outgoing.append(data)

    def getresponse(self) -> PooledReply:
        """Return the reply to the request; its body has not been read yet."""
        if self._channel is None:
            raise http.client.ResponseNotReady
        self.sock.settimeout(self.timeout)
        if (attempt := current_attempt()) is not None:
            attempt.socket = self.sock
        reply = self._begin_reply(self._channel)
        return _pooled_reply(reply)

    def _begin_reply(self, channel: Channel) -> Reply:
        # Only for this call: a proxy's reply to CONNECT is read by the class of http.client.
        self.response_class = lambda *_args, **_kwargs: Reply(channel)
        try:
            return cast("Reply", http.client.HTTPConnection.getresponse(self))  # type: ignore[arg-type]
        finally:
            del self.response_class

    def _send_checking(self, message: bytes, attempt: WatchedCall) -> None:
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


def _pooled_reply(reply: Reply) -> PooledReply:
    head = reply.head
    pooled = PooledReply(
        headers=urllib3.HTTPHeaderDict(head.without_framing),
        status=head.status,
        version=head.version[0] * 10 + head.version[1],
        reason=head.reason,
        preload_content=False,
        decode_content=False,
    )
    pooled.reply = reply
    return pooled


class _Connection(_Exchanging, HTTPConnection):  # type: ignore[misc]
    pass


class _TlsConnection(_Exchanging, HTTPSConnection):  # type: ignore[misc]
    pass


class _SingleUsePool:
    """A pool whose connections carry one request each.

    A service or a gateway may send a second reply, or the reply to a request that was given up, at any later time. On
    a connection that is used again nothing tells it from the reply to the next request, and its image would be filed
    under another prompt. A handshake costs a thousandth of the time that an image takes.
    """

    pool: Any

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.close()

    def _get_conn(self, timeout: float | None = None) -> Any:  # noqa: ARG002 - urllib3's signature; nothing waits here
        if self.pool is None:
            raise urllib3.exceptions.ClosedPoolError(self, "Pool is closed.")  # type: ignore[arg-type]
        return self._new_conn()  # type: ignore[attr-defined]


class _Pool(_SingleUsePool, HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(_SingleUsePool, HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class WatchedAdapter(HTTPAdapter):
    """An adapter whose connections can be aborted. It never retries: only `sending` does."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make pools whose connections register with the attempt of their thread."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Do the same for connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
        return manager
