"""Connections of urllib3 whose replies are read strictly, and which are used again only when that is safe.

`requests` and urllib3 still decide about proxies, certificates and pools. A connection is used again only after a
reply whose end was beyond doubt, when not one byte waits behind it, neither then nor before the next request is sent.
"""

from __future__ import annotations

import http.client
import threading
import time
import weakref
from typing import Any, cast

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from imagen_batch.providers.deadlines import WatchedCall, current_attempt
from imagen_batch.providers.http.exchange import Channel, Reply
from imagen_batch.providers.http.framing import BadReply

_SETTLED_AFTER_S = 0.25
_MORE_IDLE = 128  # connections beyond those in use at once, for those that are settling
_BLOCK_BYTES = 2**16  # sent at once; between blocks it is seen whether the service answers too early


class NotIdle(http.client.HTTPException):
    """Something waits on the connection that no request asked for. Nothing was sent on it."""


class PooledReply(urllib3.HTTPResponse):
    """What urllib3's pool gets for a reply whose head was read."""

    reply: Reply

    def give_back(self) -> None:
        """Return the connection to its pool, closed unless it is sure that the exchange on it is over."""
        connection = self._connection
        if connection is not None and not connection.may_carry_more(self.reply):  # type: ignore[attr-defined]
            connection.close()
        self.release_conn()


class _Exchanging:
    """One request and one reply after the other, on a connection that the attempt of this thread can cut."""

    sock: Any
    timeout: Any
    _channel: Channel | None = None
    _outgoing: list[bytes] | None = None  # what `send` collects while a request is written
    _early = False  # the service answered, or hung up, before the request was sent
    _exchanges = 0
    suspect = False  # it sent bytes that no request asked for

    def connect(self) -> None:
        """Open the connection."""
        super().connect()  # type: ignore[misc]
        self._channel, self._exchanges = Channel(self.sock), 0

    def close(self) -> None:
        """Close the connection."""
        self._channel = None
        super().close()  # type: ignore[misc]

    @property
    def is_connected(self) -> bool:
        """Whether it is open and nothing waits to be read, as the pool asks before it is used again."""
        return self.sock is not None and self._waiting() == "nothing"

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send a request. Raises NotIdle, with nothing sent, where the service speaks first."""
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
        self._send_watchfully(message, attempt or WatchedCall(0.0))

    def send(self, data: Any) -> None:
        """Send, or keep for a request that is still being written."""
        if self._outgoing is None:
            super().send(data)  # type: ignore[misc]
        else:
            self._outgoing.append(data)

    def getresponse(self) -> PooledReply:
        """The reply to the request; its body is still to be read."""
        if self._channel is None:
            raise http.client.ResponseNotReady
        self.sock.settimeout(self.timeout)
        if (attempt := current_attempt()) is not None:
            attempt.socket = self.sock
        reply = self._begin_reply(self._channel)
        if self._early and self._exchanges and not reply.interim and reply.head.status < 300:
            raise BadReply("a reply came before the request was sent: it may be another request's")
        self._exchanges += 1
        return _pooled(reply)

    def may_carry_more(self, reply: Reply) -> bool:
        """Whether the exchange is over beyond doubt."""
        return reply.certain and not self._early and self.sock is not None and self._waiting() == "nothing"

    def _begin_reply(self, channel: Channel) -> Reply:
        # For this moment only: a proxy's reply to CONNECT is read by http.client's own class.
        self.response_class = lambda *_args, **_kwargs: Reply(channel)
        try:
            return cast("Reply", http.client.HTTPConnection.getresponse(self))  # type: ignore[arg-type]
        finally:
            del self.response_class

    def _send_watchfully(self, message: bytes, attempt: WatchedCall) -> None:
        view = memoryview(message)
        try:
            for start in range(0, len(view), _BLOCK_BYTES):
                if not self._early and self._waiting() != "nothing":
                    if start == 0:
                        raise NotIdle
                    self._early = True
                # Before it leaves: the process may be suspended right behind, and the service has it all the same.
                attempt.sent = start + _BLOCK_BYTES >= len(view)
                self.sock.sendall(view[start : start + _BLOCK_BYTES])
        except OSError:
            attempt.sent, self._early = False, True
            raise

    def _waiting(self) -> str:
        found = self._channel.waiting() if self._channel is not None else "end"
        self.suspect = self.suspect or found == "bytes"
        return found


def _pooled(reply: Reply) -> PooledReply:
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


class _Careful:
    """A pool that uses a connection again only when it was idle for a moment: what is surplus may come late.

    Once its service sent bytes that no request asked for, it uses none twice: a surplus reply that comes later still
    can't be told from the next request's.
    """

    pool: Any
    _clock = staticmethod(time.monotonic)
    _distrusted = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._idle: list[tuple[float, Any]] = []  # since when, the longest first
        self._guard = threading.Lock()
        super().__init__(*args, **kwargs)
        weakref.finalize(self, _close_idle, self._idle)

    def close(self) -> None:
        """Close all connections that are idle."""
        super().close()  # type: ignore[misc]
        with self._guard:
            _close_idle(self._idle)

    def _make_request(self, conn: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return super()._make_request(conn, *args, **kwargs)  # type: ignore[misc]
        finally:
            self._distrusted = self._distrusted or conn.suspect

    def _put_conn(self, conn: Any) -> None:
        if conn is None:
            return
        self._distrusted = self._distrusted or conn.suspect
        if conn.is_closed:
            return
        surplus = conn
        with self._guard:
            if self.pool is not None and not self._distrusted:
                self._idle.append((self._clock(), conn))
                most = self.pool.maxsize + _MORE_IDLE
                surplus = self._idle.pop(0)[1] if len(self._idle) > most else None
        if surplus is not None:
            surplus.close()

    def _get_conn(self, timeout: float | None = None) -> Any:  # noqa: ARG002 - urllib3's signature; nothing waits here
        if self.pool is None:
            raise urllib3.exceptions.ClosedPoolError(self, "Pool is closed.")  # type: ignore[arg-type]
        while (conn := self._take_settled()) is not None:
            if conn.is_connected and not self._distrusted:
                return conn
            self._distrusted = self._distrusted or conn.suspect
            conn.close()
        return self._new_conn()  # type: ignore[attr-defined]

    def _take_settled(self) -> Any:
        """The connection that was used last, among those that nothing came on for long enough."""
        with self._guard:
            before = self._clock() - _SETTLED_AFTER_S
            for at in range(len(self._idle) - 1, -1, -1):
                if self._idle[at][0] <= before:
                    return self._idle.pop(at)[1]
        return None


def _close_idle(idle: list[tuple[float, Any]]) -> None:
    while idle:
        idle.pop()[1].close()


class _Pool(_Careful, HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(_Careful, HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class WatchedAdapter(HTTPAdapter):
    """An adapter whose connections can be cut. It never retries: one layer does, and it is not this one."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make pools of connections that report to their thread's attempt."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """The same for connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
        return manager
