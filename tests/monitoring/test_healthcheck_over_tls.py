"""A ping over HTTPS is not lost at an address that leads nowhere."""

import socket
import ssl

import pytest

from benchmarks.support.certificate import create_certificate
from imagen_batch.monitoring.healthcheck_ping import Healthcheck
from tests.support.connections import speaking


@pytest.fixture
def silent_first(monkeypatch):
    """Resolve every name to an address where nobody answers, and then to this machine."""
    tried = []
    connect = socket.socket.connect

    def resolve(_host, port, *_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, port)) for host in ("127.0.0.9", "127.0.0.1")]

    def wait_or_connect(self, address):
        tried.append((address[0], self.gettimeout()))
        if address[0] == "127.0.0.9":
            raise TimeoutError
        connect(self, address)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket.socket, "connect", wait_or_connect)
    return tried


def test_a_ping_reaches_the_second_address_within_its_limit(tmp_path, monkeypatch, silent_first):
    """Otherwise the healthcheck reports that a sound run failed."""
    certificate = create_certificate(tmp_path / "cert.pem", host="hc.test")
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    received = []

    def answer(connection):
        received.append(connection.recv(2**12).partition(b" HTTP")[0])
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")

    with speaking(answer, wrap=lambda raw: context.wrap_socket(raw, server_side=True)) as (port, _):
        Healthcheck(f"https://hc.test:{port}/ping/secret", limit=5.0).finish(failed=False)
    assert received == [b"GET /ping/secret"]
    assert silent_first[0] == ("127.0.0.9", 1.0)
