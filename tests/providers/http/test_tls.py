"""Over TLS a reply belongs to its request, the service is verified, and certificates are read once."""

import socket
import ssl
import struct
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.reliability.random_framings import prompt_of, reply_body, with_length
from benchmarks.support.certificate import create_certificate
from imagen_batch.errors import Fatal, Transient
from imagen_batch.providers.attempt_deadline import WatchedCall
from tests.support.connections import KEY, read_prompt, sending, speaking


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Return a file with a certificate for this machine, and its key."""
    return create_certificate(tmp_path_factory.mktemp("tls") / "cert.pem", host="example.test")


@pytest.fixture
def tls(certificate, monkeypatch):
    """Wrap the connections of a server in TLS, and let clients trust it."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return lambda connection: context.wrap_socket(connection, server_side=True)


def answer(connection):
    """Answer one request."""
    connection.sendall(with_length(reply_body(read_prompt(connection), 100_000)))


def interim_then_answer(connection):
    """Send a 103, then the reply, then surplus bytes behind every second one."""
    for surplus in (b"", b"", b"surplus", b""):
        prompt = read_prompt(connection)
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        connection.sendall(with_length(reply_body(prompt, 100_000)) + surplus)


def test_replies_over_tls_stay_with_their_requests(tls):
    """A session ticket on a new connection is no surplus; surplus bytes within TLS are."""
    with speaking(interim_then_answer, wrap=tls) as (port, taken), sending() as post:
        for number in range(5):
            assert prompt_of(post(f"https://127.0.0.1:{port}/", str(number)).body) == str(number)
    assert len(taken) == 5


@pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
def test_replies_through_a_proxy_stay_with_their_requests(tls, monkeypatch, interim):
    """The client uses TLS after CONNECT. If the proxy frames its own reply oddly, the attempt fails unsent."""
    targets = []

    def tunnel(connection):
        targets.append(connection.recv(2**16))
        connection.sendall(interim + b"HTTP/1.1 200 Connection established\r\n\r\n")
        with tls(connection) as inner:
            interim_then_answer(inner)

    with speaking(tunnel) as (port, taken):
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        with sending() as post:
            if interim:
                with pytest.raises(Transient) as caught:
                    post("https://example.test/", "x")
                assert not caught.value.maybe_charged
                return
            for number in range(5):
                assert prompt_of(post("https://example.test/", str(number)).body) == str(number)
    assert len(taken) == 5
    assert all(line.startswith(b"CONNECT example.test:443") and KEY.encode() not in line for line in targets)


@pytest.fixture
def loads(monkeypatch):
    """Count how often certificates are loaded."""
    counted = []
    load = ssl.SSLContext.load_verify_locations

    def counting(context, *args, **kwargs):
        counted.append(args)
        load(context, *args, **kwargs)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counting)
    return counted


def test_certificates_are_loaded_once_for_all_connections(tls, loads):
    """Parsing the usual bundle takes more CPU than the rest of an image."""
    with (
        speaking(answer, wrap=tls) as (port, taken),
        sending() as post,
        ThreadPoolExecutor(8) as threads,
    ):
        urls = [f"https://127.0.0.1:{port}/{number % 2}" for number in range(24)]
        replies = list(threads.map(lambda url: post(url, url), urls))
    assert [prompt_of(reply.body) for reply in replies] == urls
    assert (len(taken), len(loads)) == (24, 1)


def test_a_proxy_over_tls_is_verified_with_the_same_certificates(tls, loads, monkeypatch):
    """The tunnel through it is a second layer of TLS."""
    targets = []

    def tunnel(connection):
        targets.append(connection.recv(2**16).split(b" ")[:2])
        connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    with speaking(tunnel, wrap=tls) as (port, _):
        monkeypatch.setenv("https_proxy", f"https://127.0.0.1:{port}")
        with sending() as post, pytest.raises(Fatal) as caught:
            post("https://example.test/", "x")
    assert caught.value.kind == "no_connection"
    assert targets == [[b"CONNECT", b"example.test:443"]]
    assert len(loads) == 1


def test_a_trusted_certificate_needs_no_trusted_issuer(tmp_path, monkeypatch):
    """Networks that inspect TLS often give their users only the certificate below the root; curl accepts that."""
    certificate = create_certificate(tmp_path / "cert.pem", issuer="Unknown root")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with (
        speaking(answer, wrap=lambda connection: context.wrap_socket(connection, server_side=True)) as (port, _),
        sending() as post,
    ):
        assert post(f"https://127.0.0.1:{port}/", "x").status == 200


def answer_early_and_reset(connection):
    """Reply before the whole request has arrived, and reset the connection, as busy gateways do."""
    connection.recv(2**14)
    connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}")
    time.sleep(0.2)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("layers", [1, 2])
def test_a_reply_before_the_end_of_a_large_request_is_read(tls, monkeypatch, layers):
    """Writing fails then with errors of TLS, without the error number of a broken connection."""

    def tunnel(connection):
        connection.recv(2**16)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with tls(connection) as inner:
            answer_early_and_reset(inner)

    with speaking(answer_early_and_reset if layers == 1 else tunnel, wrap=tls if layers == 1 else plain) as (port, _):
        if layers == 2:
            monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        with sending() as post:
            url = f"https://127.0.0.1:{port}/" if layers == 1 else "https://example.test/"
            assert post(url, "x" * 20_000_000).status == 413


def plain(connection):
    """Use no TLS."""
    return connection


def test_an_aborted_connection_stays_encrypted(certificate, tls):
    """`SSLSocket.shutdown` would turn it into a plain one, on which a thread could send the rest in clear text."""
    with speaking(lambda connection: connection.recv(10), wrap=tls) as (port, _):
        client = ssl.create_default_context(cafile=certificate)
        raw = socket.create_connection(("127.0.0.1", port))
        with client.wrap_socket(raw, server_hostname="127.0.0.1") as connection:
            attempt = WatchedCall(0.0)
            attempt.socket = connection
            attempt.abort()
            assert connection.version() is not None
            with pytest.raises(OSError, match=r"EOF|Broken pipe|closed"):
                connection.sendall(b"secret")


def test_a_service_that_prefers_http_2_answers_in_http_1_1(certificate, tls):
    """That is the only protocol that is offered."""
    offered = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(["h2", "http/1.1"])

    def accept(connection):
        wrapped = context.wrap_socket(connection, server_side=True)
        offered.append(wrapped.selected_alpn_protocol())
        return wrapped

    with speaking(answer, wrap=accept) as (port, _), sending() as post:
        post(f"https://127.0.0.1:{port}/", "x")
    assert offered == ["http/1.1"]
