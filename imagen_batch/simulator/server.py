"""Serves HTTP/1.1 on loopback with one thread for each connection."""

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

from imagen_batch.simulator.api.http_reply_and_error_json import Reply, html, reply_json
from imagen_batch.simulator.service import Answer, Service
from imagen_batch.simulator.usage_log import ReceivedRequest, UsageLog
from imagen_batch.system.is_loopback import is_loopback

_MAX_BODY_BYTES = 100 * 2**20  # (api: 8.1)
_POLL_S = 0.02  # how soon the server notices that it is closing


@dataclass(frozen=True, slots=True)
class ServerContext:
    """The state that all connections share. `latency` is the least number of seconds that a 200 takes."""

    service: Service
    usage_log: UsageLog
    latency: float = 0.0
    clock: Callable[[], float] = time.time
    journal: Callable[[ReceivedRequest, Answer, int], None] | None = None


class Server(socketserver.ThreadingTCPServer):
    """Listens from construction on and serves after `start`; `close` ends all threads and sockets."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], context: ServerContext) -> None:
        if not is_loopback(address[0]):
            raise ValueError(f"the simulator listens on loopback only, not on {address[0]}")
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.context = context
        self.closing = threading.Event()
        self._open: dict[threading.Thread, socket.socket] = {}
        self._loop = threading.Thread(target=self.serve_forever, args=(_POLL_S,), daemon=True, name="simulator")
        super().__init__(address, _Connection)

    @property
    def url(self) -> str:
        """The server's base URL."""
        host, port = self.server_address[:2]
        shown = f"[{host!s}]" if self.address_family == socket.AF_INET6 else str(host)
        return f"http://{shown}:{port}"

    def start(self) -> None:
        """Start to serve, in threads."""
        self._loop.start()

    def close(self) -> None:
        """Close all connections at once and wait for the threads."""
        self.closing.set()
        self.shutdown()
        self.server_close()
        for thread, connection in list(self._open.items()):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=5)
        self._loop.join(timeout=5)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for the connection and keep its socket, so that `close` can end it."""
        thread = threading.Thread(target=self._serve, args=(request, client_address), daemon=True)
        self._open[thread] = request
        thread.start()

    def _serve(self, request: Any, client_address: Any) -> None:
        try:
            self.process_request_thread(request, client_address)
        finally:
            self._open.pop(threading.current_thread(), None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that hang up; any other error is a bug and is printed."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _SocketWire:
    """A connection as `broken_transfers` uses it."""

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
            self._send(reply_json(self.server.context.usage_log.stats()))
        else:
            self._exchange(b"")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _MAX_BODY_BYTES:
            self.close_connection = True
            return self._send(_reject_length(length))
        body = self.rfile.read(int(length))
        if len(body) == int(length):
            return self._exchange(body)
        self.close_connection = True
        return None

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Print nothing: the usage log has everything."""

    def _exchange(self, body: bytes) -> None:
        context = self.server.context
        headers = {name.lower(): value for name, value in self.headers.items()}
        received = ReceivedRequest(context.clock(), self.command, self.path, headers, body)
        with context.usage_log.attempt(received):
            began = time.monotonic()
            answer = context.service.answer(received)
            remaining = max(0.0, began + context.latency - time.monotonic())
            if answer.reply.status == 200 and self.server.closing.wait(remaining):
                self.close_connection = True
                return
            self._deliver(received, answer)

    def _deliver(self, received: ReceivedRequest, answer: Answer) -> None:
        """Send the answer, and count it before its first byte, so that the bill includes every reply a client has."""
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
        except OSError:  # the client hung up
            self.close_connection = True
            self.server.context.usage_log.hung_up(answer.images)
        if not wire.begun:
            self._count(received, answer, 0)

    def _count(self, received: ReceivedRequest, answer: Answer, status: int) -> None:
        context = self.server.context
        if received.method == "POST":
            context.usage_log.answered(status, fault=answer.fault, images=answer.images)
        if context.journal:
            context.journal(received, answer, status)

    def _send(self, reply: Reply) -> None:
        self.wfile.write(reply.head(close=self.close_connection) + reply.body)


def _reject_length(length: str) -> Reply:
    if length.isdecimal():
        return html(413, "413 Request Entity Too Large", "The request is larger than 100 MB.")
    return html(411, "411 Length Required", "The request needs a Content-Length.")
