"""Runs an image service that only sends prepared bytes, and measures its speed.

    python -m benchmarks.support.replay_server [REPLIES=3000]

The service runs in its own process, so that benchmarks measure the client: both dialects, the same image for each
prompt.

Run as a command, it answers a client that only receives; at least 500 images of 1.4 MB a second are required, so that
the service is not the bottleneck.
"""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import orjson

MIN_PER_SECOND = 500
_CLIENTS = 4
_BACKLOG = 512
_SEND_BUFFER_BYTES = 2**22  # the kernel takes a whole reply at once
_PATH = "/v1beta/models/gemini-nano-banana-2.1:generateContent"
_SIDE_LARGE, _SIDE_TINY = 1024, 8
_SHADES = 7  # of noise: an image of 1.4 MB


@dataclass(frozen=True)
class Tally:
    """The replies since the last call: `seconds` from the end of the first request to the end of the last reply."""

    replies: int
    seconds: float


class Replay:
    """A running service, seen from the benchmark."""

    def __init__(self, url: str) -> None:
        self.url = url

    def tally(self) -> Tally:
        """Return the count and reset it."""
        trusting_all = ssl._create_unverified_context()
        with urllib.request.urlopen(self.url + "/tally", context=trusting_all) as reply:
            return Tally(**orjson.loads(reply.read()))


@dataclass(frozen=True)
class Manner:
    """How the service answers: at once or after `latency` seconds, with an image of 1.4 MB or a tiny one.

    Real replies have a thought signature beside the image (`signature_bytes`), come over TLS (`certificate`: a file
    with it and its key) and in chunks instead of with a length (`chunk_bytes`).
    """

    tiny: bool = False
    latency: float = 0.0
    signature_bytes: int = 0
    certificate: str | None = None
    chunk_bytes: int = 0


@contextmanager
def replay(manner: Manner = Manner()) -> Iterator[Replay]:
    """Run a service on loopback until the block or this process ends."""
    command = [sys.executable, __file__, "serve", orjson.dumps(manner).decode()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin
        assert child.stdout
        try:
            scheme = "https" if manner.certificate else "http"
            yield Replay(f"{scheme}://127.0.0.1:{int(child.stdout.readline())}")
        finally:
            child.stdin.close()


class Service:
    """A server with one thread for each connection."""

    def __init__(self, manner: Manner) -> None:
        self._latency = manner.latency
        self._tls: ssl.SSLContext | None = None
        if manner.certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(manner.certificate)
        data = _base64(image(_SIDE_TINY if manner.tiny else _SIDE_LARGE))
        generated = _generated(data, _signature(manner.signature_bytes))
        replies = {b"predict": _predicted(data), b"generateContent": generated}
        self._replies = {verb: _message(reply, manner.chunk_bytes) for verb, reply in replies.items()}
        self._lock = threading.Lock()
        self._count, self._first, self._last = 0, 0.0, 0.0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self.port: int = self._listener.getsockname()[1]

    def serve(self) -> None:
        """Answer until the process ends."""
        while True:
            connection, _ = self._listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        with suppress(OSError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            self._answer_all(connection)

    def _answer_all(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            while line := stream.readline():
                path, length = line.split()[1], 0
                while (header := stream.readline()) not in (b"\r\n", b""):
                    name, _, value = header.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                stream.read(length)
                connection.sendall(self._take_tally() if path == b"/tally" else self._answer(path))

    def _answer(self, path: bytes) -> bytes:
        now = time.monotonic()
        with self._lock:
            self._first = self._first or now
            self._count += 1
            self._last = now + self._latency
        if self._latency:
            time.sleep(self._latency)
        return self._replies[path.rpartition(b":")[2]]

    def _take_tally(self) -> bytes:
        with self._lock:
            tally = {"replies": self._count, "seconds": self._last - self._first}
            self._count, self._first, self._last = 0, 0.0, 0.0
        return _message(tally)


def image(side: int) -> bytes:
    """Draw a PNG of noise with `side` pixels a side, always the same."""
    import io  # noqa: PLC0415 - only the service draws
    import random  # noqa: PLC0415

    from PIL import Image  # noqa: PLC0415

    shades = bytes(96 + value % _SHADES for value in range(256))
    noise = random.Random(side).randbytes(3 * side * side).translate(shades)
    drawn = io.BytesIO()
    Image.frombytes("RGB", (side, side), noise).save(drawn, "PNG")
    return drawn.getvalue()


def _base64(data: bytes) -> str:
    import pybase64  # noqa: PLC0415

    return pybase64.b64encode_as_string(data)


def _predicted(data: str) -> object:
    return {"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": data}]}


def _signature(size: int) -> str:
    import random  # noqa: PLC0415 - only the service draws

    return _base64(random.Random(size).randbytes(size * 3 // 4))


def _generated(data: str, signature: str) -> object:
    part: dict[str, object] = {"inlineData": {"mimeType": "image/png", "data": data}}
    if signature:
        part["thoughtSignature"] = signature
    return {
        "candidates": [{"content": {"parts": [part], "role": "model"}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": 4,
            "candidatesTokenCount": 1120,
            "totalTokenCount": 1124,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 4}],
            "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1120}],
        },
        "modelVersion": "gemini-nano-banana-2.1",
        "responseId": "replayed",
    }


def _message(value: object, chunk_bytes: int = 0) -> bytes:
    body = orjson.dumps(value)
    framing = f"Content-Length: {len(body)}"
    if chunk_bytes:
        framing = "Transfer-Encoding: chunked"
        pieces = (body[start : start + chunk_bytes] for start in range(0, len(body), chunk_bytes))
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    return f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{framing}\r\n\r\n".encode() + body


def serve(manner: Manner) -> None:
    """Print the port and answer until standard input closes."""
    service = Service(manner)
    threading.Thread(target=service.serve, daemon=True).start()
    print(service.port, flush=True)
    sys.stdin.read()


def main() -> None:
    """Send requests as fast as possible and print the rate."""
    from benchmarks.support.jobs import close  # noqa: PLC0415 - the service itself has no use for it

    replies = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    with replay() as service, ThreadPoolExecutor(_CLIENTS) as threads:
        address = ("127.0.0.1", int(service.url.rpartition(":")[2]))
        began = time.monotonic()
        sizes = list(threads.map(_received, [address] * _CLIENTS, [replies // _CLIENTS] * _CLIENTS))
        seconds = time.monotonic() - began
        counted = service.tally().replies
    rate = counted / seconds
    print(f"{counted} replies of {sum(sizes) / counted / 1e6:.2f} MB: {rate:.0f} a second")
    close({f"at least {MIN_PER_SECOND} replies a second": rate >= MIN_PER_SECOND})


def _received(address: tuple[str, int], count: int) -> int:
    """Receive `count` replies on one connection; return their bytes."""
    asking = f"POST {_PATH} HTTP/1.1\r\nHost: replay\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    buffer = bytearray(2**22)
    size = 0
    with socket.create_connection(address) as connection:
        for _ in range(count):
            connection.sendall(asking)
            size += _whole(connection, buffer)
    return size


def _whole(connection: socket.socket, buffer: bytearray) -> int:
    """Receive one reply; return its size."""
    view, got, ends = memoryview(buffer), 0, 0
    while not ends or got < ends:
        got += connection.recv_into(view[got:])
        if not ends:
            head, _, _ = bytes(view[:got]).partition(b"\r\n\r\n")
            ends = len(head) + 4 + int(head.rpartition(b":")[2])
    return got


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(Manner(**orjson.loads(sys.argv[2])))
    else:
        main()
