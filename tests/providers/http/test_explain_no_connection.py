"""A user reads why there is no connection, and a setting that is wrong ends the run at its first attempt."""

import datetime
import socket
import ssl
from contextlib import contextmanager

import pytest
import requests
from urllib3 import PoolManager

from benchmarks.reliability.random_framings import reply_body, with_length
from benchmarks.support.certificate import create_certificate
from imagen_batch.errors import Fatal, Transient
from imagen_batch.providers.credentials import Credential
from imagen_batch.providers.endpoint_and_credential import GeminiApi
from imagen_batch.providers.get_model_from_service import look_up_model
from tests.support.connections import KEY, read_prompt, sending, speaking

PASSWORD = "very-secret"
VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    """Remove what the environment says about certificates and proxies."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Return a file with a certificate for this machine, and its key."""
    return create_certificate(tmp_path_factory.mktemp("tls") / "cert.pem", host="example.test")


@contextmanager
def service(certificate, serve=None):
    """Run a service over TLS; yield its port and the data that it received."""
    seen = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def wrap(connection):
        return context.wrap_socket(connection, server_side=True)

    with speaking(serve or (lambda connection: seen.append(connection.recv(10))), wrap=wrap) as (port, _):
        yield port, seen


def failure(url, *, timeout=5.0):
    """Return the error of one attempt, for which nothing can have been charged."""
    with sending(timeout=timeout) as post, pytest.raises((Fatal, Transient)) as caught:
        post(url, "x")
    assert caught.value.kind == "no_connection"
    assert not getattr(caught.value, "maybe_charged", False)
    assert PASSWORD not in str(caught.value)
    return caught.value


def look_up(url):
    """Return the error of looking up a model, which `doctor` shows."""
    with pytest.raises((Fatal, Transient)) as caught:
        look_up_model(GeminiApi(url.rstrip("/"), Credential(KEY)), "model", timeout=2.0)
    return caught.value


def test_an_unknown_certificate_ends_the_run_and_names_the_variable(certificate):
    """Anybody can make a certificate; inspecting proxies have one that only the user can add."""
    with service(certificate) as (port, seen):
        for error in (failure(f"https://127.0.0.1:{port}/"), look_up(f"https://127.0.0.1:{port}")):
            assert (type(error), error.cause, error.exit_code) == (Fatal, "certificates", 2)
            assert str(error) == (
                "the certificate of 127.0.0.1 is not trusted (self-signed certificate). If your network inspects "
                "TLS, set REQUESTS_CA_BUNDLE to a PEM file with its root certificate"
            )
    assert seen == []


def test_a_bundle_without_the_issuer_is_named(certificate, tmp_path, monkeypatch):
    """The user has set the variable already; a folder of certificates needs links of a certain name."""
    other = create_certificate(tmp_path / "other.pem")
    with service(certificate) as (port, _):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
        text = f"its issuer is not in {other}, which REQUESTS_CA_BUNDLE names"
        assert str(failure(f"https://127.0.0.1:{port}/")).endswith(text)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
        assert str(failure(f"https://127.0.0.1:{port}/")).endswith(f"for a folder, run: openssl rehash {tmp_path}")


def test_the_certificate_of_another_host_is_named(certificate, monkeypatch):
    """It is for example.test and 127.0.0.1."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with service(certificate) as (port, seen):
        assert str(failure(f"https://localhost:{port}/")) == "the certificate of localhost is for another host"
    assert seen == []


@pytest.mark.parametrize(
    ("days", "text"),
    [(-10, "has expired, or this machine's clock"), (10, "is not valid yet, or this machine's clock")],
)
def test_a_certificate_at_the_wrong_time_may_be_a_wrong_clock(days, text, tmp_path, monkeypatch):
    """Machines without a battery start in 1970."""
    now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    certificate = create_certificate(tmp_path / "cert.pem", now=now)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with service(certificate) as (port, _):
        error = failure(f"https://127.0.0.1:{port}/")
    assert isinstance(error, Fatal)
    assert text in str(error)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.pem", "which does not exist"),
        ("empty.pem", "which contains no certificate in PEM format"),
        ("text.pem", "which contains no certificate in PEM format"),
    ],
)
def test_a_bundle_that_can_not_be_used_is_named(variable, name, reason, tmp_path, monkeypatch):
    """No request leaves before it is corrected."""
    (tmp_path / "empty.pem").touch()
    (tmp_path / "text.pem").write_text("nothing", encoding="utf-8")
    monkeypatch.setenv(variable, str(tmp_path / name))
    for error in (failure("https://127.0.0.1:1/"), look_up("https://127.0.0.1:1")):
        assert (type(error), str(error)) == (Fatal, f"{variable} names {tmp_path / name}, {reason}")


def test_certificates_that_fail_in_mid_run_are_an_outage(certificate, tmp_path, monkeypatch):
    """A network's sign-in page may come between; it goes away."""
    other = create_certificate(tmp_path / "other.pem", host="sign-in.test")
    served = iter([certificate, other])
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))

    def wrap(connection):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(next(served))
        return context.wrap_socket(connection, server_side=True)

    def serve(connection):
        connection.sendall(with_length(reply_body(read_prompt(connection), 100)))

    with speaking(serve, wrap=wrap) as (port, _), sending() as post:
        post(f"https://127.0.0.1:{port}/", "x")
        with pytest.raises(Transient, match=r"no connection to the service: the certificate of 127\.0\.0\.1 is not"):
            post(f"https://127.0.0.1:{port}/", "y")


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        ("407 Proxy Authentication Required", Fatal, "the proxy {} requires a valid user and password (HTTP 407)"),
        ("403 Forbidden", Fatal, "the proxy {} does not permit connections to example.test (HTTP 403)"),
        ("429 Many", Transient, "no connection to the service: the proxy {} does not reach example.test (HTTP 429)"),
        ("502 Bad", Transient, "no connection to the service: the proxy {} does not reach example.test (HTTP 502)"),
    ],
)
def test_the_refusal_of_a_proxy_is_explained(status, kind, text, monkeypatch):
    """Its password is in the variable and in no text."""
    received = []

    def refuse(connection):
        received.append(connection.recv(2**16))
        connection.sendall(f"HTTP/1.1 {status} {PASSWORD}\r\nContent-Length: 0\r\n\r\n".encode())

    with speaking(refuse) as (port, _):
        monkeypatch.setenv("https_proxy", f"http://user:{PASSWORD}@127.0.0.1:{port}")
        error = failure("https://example.test/")
        looked_up = look_up("https://example.test")
    assert (type(error), str(error)) == (kind, text.format(f"127.0.0.1:{port}"))
    assert (type(looked_up), str(looked_up)) == (type(error), str(error))
    assert all(b"\r\nProxy-Authorization: Basic " in request for request in received)


@pytest.mark.parametrize(
    ("proxy", "kind", "text"),
    [
        ("http://user:{}@127.0.0.1:1", Transient, "the proxy 127.0.0.1:1 refuses connections"),
        ("http://user:{}@no.invalid:1", Transient, "the name of the proxy no.invalid:1 can't be resolved"),
        ("socks5://user:{}@127.0.0.1:1", Fatal, "the proxy socks5://127.0.0.1:1 can't be used"),
        ("ftp://user:{}@127.0.0.1:1", Fatal, "the proxy ftp://127.0.0.1:1 can't be used"),
        ("http://user:{}@host:port", Fatal, "the proxy of the environment can't be used"),
        ("http://", Fatal, "the proxy of the environment can't be used"),
    ],
)
def test_a_proxy_that_is_not_there_is_named(proxy, kind, text, monkeypatch):
    """Without its user and its password."""
    monkeypatch.setenv("https_proxy", proxy.format(PASSWORD))
    error = failure("https://example.test/")
    assert isinstance(error, kind)
    assert text in str(error)


def test_a_socks_proxy_is_refused_where_requests_supports_it(monkeypatch):
    """Its connections would not be the strict ones."""
    monkeypatch.setattr(requests.adapters, "SOCKSProxyManager", lambda *_args, **_kwargs: PoolManager())
    monkeypatch.setenv("https_proxy", "socks5h://127.0.0.1:1")
    for error in (failure("https://example.test/"), look_up("https://example.test")):
        assert str(error) == "the proxy socks5h://127.0.0.1:1 can't be used: only http:// and https:// proxies work"


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (b"HTTP/1.1 400 Bad\r\n\r\n", "127.0.0.1 does not use TLS on this port"),
        (b"", "127.0.0.1 closes connections before TLS begins"),
    ],
)
def test_a_service_without_tls_is_explained(reply, text):
    """A wrong port in --base-url, or a firewall."""
    with speaking(lambda connection: (connection.recv(2**16), connection.sendall(reply))) as (port, _):
        assert str(failure(f"https://127.0.0.1:{port}/")) == f"no connection to the service: {text}"


def test_a_silent_service_is_explained():
    """It accepts connections and does nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    with listener:
        error = failure(f"https://127.0.0.1:{listener.getsockname()[1]}/", timeout=0.3)
    assert str(error) == "no connection to the service: 127.0.0.1 does not answer"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_connection_that_breaks_within_a_large_request_is_explained(scheme, certificate, monkeypatch):
    """Nothing can have been charged; firewalls limit what may be uploaded."""

    def close_early(connection):
        connection.recv(2**14)

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with (
        service(certificate, close_early) if scheme == "https" else speaking(close_early) as (port, _),
        sending() as post,
        pytest.raises(Transient) as caught,
    ):
        post(f"{scheme}://127.0.0.1:{port}/", "x" * 20_000_000)
    assert str(caught.value) == "the connection broke before the whole request was sent"
    assert (caught.value.kind, caught.value.maybe_charged) == ("no_connection", False)


def test_a_host_that_is_not_there_is_explained():
    """Names that end in .invalid never exist."""
    expected = "no connection to the service: the name of no.invalid can't be resolved"
    assert str(failure("https://no.invalid/")) == expected
    assert str(look_up("https://no.invalid")) == expected
    assert str(failure("https://127.0.0.1:1/")) == "no connection to the service: 127.0.0.1 refuses connections"
