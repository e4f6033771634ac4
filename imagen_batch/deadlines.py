"""How does an attempt end in time, when every single byte of it comes in time?

A socket's timeout bounds one read, so a reply that trickles never meets it. Here one thread watches all
attempts and shuts the connection of one that is due; whoever reads from it gets an error at once.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

_current = threading.local()


class Attempt:
    """An attempt under watch.

    `due` turns True when its time was up, `sent` when the whole request has left.
    """

    def __init__(self, ends: float) -> None:
        self.ends = ends
        self.due = False
        self.sent = False
        self.cut_by_hand = False
        self.connection: HTTPConnection | None = None
        self.socket: socket.socket | None = None

    def check(self) -> None:
        """Raise TimeoutError when it was cut: that can look like a reply that ended."""
        if self.due:
            raise TimeoutError

    def cut(self) -> None:
        """Shut the connection, if there is one yet."""
        self.due = True
        sock = self.socket or getattr(self.connection, "sock", None)
        if sock is not None:
            with suppress(OSError, ValueError):
                sock.shutdown(socket.SHUT_RDWR)


class Deadlines:
    """Watches attempts from a thread of its own, which sleeps while there are none."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._attempts: set[Attempt] = set()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._watch, name="deadlines", daemon=True)
        self._thread.start()

    @contextmanager
    def within(self, seconds: float) -> Iterator[Attempt]:
        """Whatever connection this thread uses inside is cut when `seconds` are over."""
        attempt = Attempt(self._clock() + seconds)
        _current.attempt = attempt
        with self._changed:
            self._attempts.add(attempt)
            if len(self._attempts) == 1:
                self._changed.notify()
        try:
            yield attempt
        finally:
            _current.attempt = None
            with self._changed:
                self._attempts.discard(attempt)

    def cut_all(self) -> None:
        """End every attempt now."""
        with self._changed:
            for attempt in self._attempts:
                attempt.cut_by_hand = True
                attempt.cut()

    def close(self) -> None:
        """Stop watching."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while not self._closed:
                now = self._clock()
                for attempt in self._attempts:
                    if attempt.ends <= now:
                        attempt.cut()
                self._changed.wait(0.1 if self._attempts else None)


class _Reporting:
    """Tells the attempt of its thread which connection and socket it uses."""

    def request(self, *args: Any, **kwargs: Any) -> None:
        if (attempt := getattr(_current, "attempt", None)) is not None:
            attempt.connection = self
        super().request(*args, **kwargs)  # type: ignore[misc]
        if attempt is not None:
            attempt.sent = True

    def getresponse(self) -> Any:
        # Before a reply that closes the connection is read: http.client lets go of the socket then.
        if (attempt := getattr(_current, "attempt", None)) is not None:
            attempt.socket = self.sock  # type: ignore[attr-defined]
        return super().getresponse()  # type: ignore[misc]


class _Watched(_Reporting, HTTPConnection):
    pass


class _WatchedTls(_Reporting, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTls


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
