"""How do requests come in and replies go out? HTTP/1.1 over loopback, a thread for every connection."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from imagen_batch.simulator.api.replies import Reply, html, reply_json
from imagen_batch.simulator.service import Answer, Service
from imagen_batch.simulator.usage_log import Received, Tally
from imagen_batch.system.loopback import is_loopback

_MOST_BODY = 100 * 2**20  # api.md 8.1
_POLL = 0.02  # seconds until a closing server is noticed


@dataclass(frozen=True, slots=True)
class Desk:
    """What every connection works with. `latency` is how many seconds a 200 takes at least."""

    service: Service
    tally: Tally
    latency: float = 0.0
    clock: Callable[[], float] = time.time
    journal: Callable[[Received, Answer, int], None] | None = None


class Server(socketserver.ThreadingTCPServer):
    """Listens from construction on, serves after `start`, and after `close` holds no thread and no socket."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], desk: Desk) -> None:
        if not is_loopback(address[0]):
            raise ValueError(f"the simulator listens on loopback only, not on {address[0]}")
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.desk = desk
        self.closing = threading.Event()
        self._open: dict[threading.Thread, socket.socket] = {}
        self._loop = threading.Thread(target=self.serve_forever, args=(_POLL,), daemon=True, name="simulator")
        super().__init__(address, _Connection)

    @property
    def url(self) -> str:
        """Where to reach it."""
        host, port = self.server_address[:2]
        shown = f"[{host!s}]" if self.address_family == socket.AF_INET6 else str(host)
        return f"http://{shown}:{port}"

    def start(self) -> None:
        """Begins to serve, in threads."""
        self._loop.start()

    def close(self) -> None:
        """Ends every connection at once and waits for the threads."""
        self.closing.set()
        self.shutdown()
        self.server_close()
        for thread, connection in list(self._open.items()):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=5)
        self._loop.join(timeout=5)

    def process_request(self, request: Any, client_address: Any) -> None:
        """One thread for the connection, known so that it can be ended."""
        thread = threading.Thread(target=self._serve, args=(request, client_address), daemon=True)
        self._open[thread] = request
        thread.start()

    def _serve(self, request: Any, client_address: Any) -> None:
        try:
            self.process_request_thread(request, client_address)
        finally:
            self._open.pop(threading.current_thread(), None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news; anything else is a bug and shows itself."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _SocketWire:
    """A client's end as `transfers` sees it."""

    def __init__(
        self, connection: socket.socket, closing: threading.Event, *, before_first: Callable[[], None]
    ) -> None:
        self._connection, self._closing, self._before_first = connection, closing, before_first
        self.begun = False

    def send(self, data: bytes) -> None:
        if not self.begun:
            self.begun = True
            self._before_first()
        self._connection.sendall(data)

    def wait(self, seconds: float) -> bool:
        return self._closing.wait(seconds)

    def reset(self) -> None:
        linger_none = struct.pack("ii", 1, 0)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_none)
        self._connection.close()


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        if self.path.partition("?")[0] == "/_sim/stats":
            self._send(reply_json(self.server.desk.tally.stats()))
        else:
            self._exchange(b"")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _MOST_BODY:
            self.close_connection = True
            return self._send(_unreadable(length))
        body = self.rfile.read(int(length))
        if len(body) == int(length):
            return self._exchange(body)
        self.close_connection = True
        return None

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """The tally is the log."""

    def _exchange(self, body: bytes) -> None:
        desk = self.server.desk
        headers = {name.lower(): value for name, value in self.headers.items()}
        received = Received(desk.clock(), self.command, self.path, headers, body)
        with desk.tally.attempt(received):
            began = time.monotonic()
            answer = desk.service.answer(received)
            if answer.reply.status == 200 and self.server.closing.wait(_left(desk.latency, began)):
                self.close_connection = True
                return
            self._deliver(received, answer)

    def _deliver(self, received: Received, answer: Answer) -> None:
        """Counts before the client can know, so that whoever has a reply finds it on the bill."""
        wire = _SocketWire(
            self.connection,
            self.server.closing,
            before_first=lambda: self._count(received, answer, answer.reply.status),
        )
        try:
            if answer.carry:
                self.close_connection = True
                answer.carry(wire, answer.reply, answer.options)
            else:
                wire.send(answer.reply.head() + answer.reply.body)
        except OSError:  # the client has hung up
            self.close_connection = True
            self.server.desk.tally.hung_up(answer.pictures)
        if not wire.begun:
            self._count(received, answer, 0)

    def _count(self, received: Received, answer: Answer, status: int) -> None:
        desk = self.server.desk
        if received.method == "POST":
            desk.tally.answered(status, fault=answer.fault, pictures=answer.pictures)
        if desk.journal:
            desk.journal(received, answer, status)

    def _send(self, reply: Reply) -> None:
        self.wfile.write(reply.head(close=self.close_connection) + reply.body)


def _left(latency: float, began: float) -> float:
    return max(0.0, latency - (time.monotonic() - began))


def _unreadable(length: str) -> Reply:
    if length.isdecimal():
        return html(413, "413 Request Entity Too Large", "The request is larger than 100 MB.")
    return html(411, "411 Length Required", "The request needs a Content-Length.")
