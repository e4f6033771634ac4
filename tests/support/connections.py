"""A server whose connections a test handles byte by byte, and the client that it is tested with."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager, suppress

from imagen_batch.providers.credentials import Credential
from imagen_batch.providers.transport import Transport

KEY = "AIza-not-a-real-key"


@contextmanager
def speaking(serve, *, wrap=lambda connection: connection):
    """Run a server whose connections `serve` handles; yield its port and its strict_connections."""
    listener = socket.create_server(("127.0.0.1", 0))
    taken = []

    def handle(connection):
        with suppress(OSError), wrap(connection) as ready:
            ready.settimeout(5)
            serve(ready)

    def accept():
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                taken.append(connection)
                threads.append(threading.Thread(target=handle, args=(connection,)))
                threads[-1].start()

    threads = [threading.Thread(target=accept)]
    threads[0].start()
    try:
        yield listener.getsockname()[1], taken
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in threads:
            thread.join(5)


def read_prompt(connection):
    """Read the prompt of the next request on a connection."""
    data = b""
    while not data.endswith(b'"}'):
        if not (piece := connection.recv(2**16)):
            raise ConnectionResetError
        data += piece
    return json.loads(data.partition(b"\r\n\r\n")[2])["prompt"]


@contextmanager
def sending(**chosen):
    """Yield a client and close it at the end."""
    sender = Transport(Credential(KEY), **{"timeout": 5.0, **chosen})
    try:
        yield lambda url, prompt: sender.post(url, json.dumps({"prompt": prompt}).encode())
    finally:
        sender.close()
