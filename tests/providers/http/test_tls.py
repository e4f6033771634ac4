"""Over TLS a reply belongs to its request, the service is verified, and certificates are read once."""

import ssl
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.reliability.random_framings import prompt_of, reply_body, with_length
from benchmarks.support.certificate import create_certificate
from imagen_batch.errors import Transient
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
        sending(connections=8) as post,
        ThreadPoolExecutor(8) as threads,
    ):
        urls = [f"https://127.0.0.1:{port}/{number % 2}" for number in range(24)]
        replies = list(threads.map(lambda url: post(url, url), urls))
    assert [prompt_of(reply.body) for reply in replies] == urls
    assert (len(taken), len(loads)) == (24, 1)


def test_a_service_with_an_unknown_certificate_gets_no_request(tls, monkeypatch):
    """Anybody can make a certificate."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    seen = []
    with (
        speaking(lambda connection: seen.append(connection.recv(10)), wrap=tls) as (port, _),
        sending() as post,
        pytest.raises(Transient) as caught,
    ):
        post(f"https://127.0.0.1:{port}/", "x")
    assert (caught.value.kind, caught.value.maybe_charged, seen) == ("no_connection", False, [])


def test_a_service_with_the_certificate_of_another_host_gets_no_request(tls):
    """The certificate is for example.test and 127.0.0.1."""
    seen = []
    with (
        speaking(lambda connection: seen.append(connection.recv(10)), wrap=tls) as (port, _),
        sending() as post,
        pytest.raises(Transient) as caught,
    ):
        post(f"https://localhost:{port}/", "x")
    assert (caught.value.kind, caught.value.maybe_charged, seen) == ("no_connection", False, [])


def test_a_bundle_that_is_no_certificate_is_no_connection(tls, tmp_path, monkeypatch):
    """Nothing is sent to a service that can't be verified."""
    (tmp_path / "bundle.pem").write_text("nothing", encoding="utf-8")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "bundle.pem"))
    with speaking(answer, wrap=tls) as (port, _), sending() as post, pytest.raises(Transient) as caught:
        post(f"https://127.0.0.1:{port}/", "x")
    assert (caught.value.kind, caught.value.maybe_charged) == ("no_connection", False)


def test_a_proxy_over_tls_is_verified_with_the_same_certificates(tls, loads, monkeypatch):
    """The tunnel through it is a second layer of TLS."""
    targets = []

    def tunnel(connection):
        targets.append(connection.recv(2**16).split(b" ")[:2])
        connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    with speaking(tunnel, wrap=tls) as (port, _):
        monkeypatch.setenv("https_proxy", f"https://127.0.0.1:{port}")
        with sending() as post, pytest.raises(Transient) as caught:
            post("https://example.test/", "x")
    assert caught.value.kind == "no_connection"
    assert targets == [[b"CONNECT", b"example.test:443"]]
    assert len(loads) == 1


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
