"""Where one family of a host's addresses leads nowhere, only the first connections wait for it."""

import socket
import time
from contextlib import contextmanager

import pytest

from imagen_batch.providers.http import open_socket as module
from imagen_batch.providers.http import resolve_host
from imagen_batch.providers.http.open_socket import open_socket

V6, V4 = socket.AF_INET6, socket.AF_INET
GOOD, OTHER_GOOD, SILENT, GONE = "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"


@pytest.fixture(autouse=True)
def nothing_is_known(monkeypatch):
    """Begin as a new process does."""
    monkeypatch.setattr(module, "_working", {})
    monkeypatch.setattr(resolve_host, "_known", {})


@pytest.fixture
def tried(monkeypatch):
    """Give a host these addresses, and note which are tried. The families are of the names, not of the sockets."""
    calls = []

    class FakeSocket(socket.socket):
        def __init__(self, family, *rest):
            super().__init__(V4, *rest)

        def connect(self, address):
            calls.append((address[0], round(self.gettimeout(), 1)))
            if address[0] == SILENT:
                time.sleep(self.gettimeout())
                raise TimeoutError
            if address[0] == GONE:
                raise OSError(101, "Network is unreachable")
            super().connect((GOOD, address[1]))

    monkeypatch.setattr(module.socket, "socket", FakeSocket)
    return calls


@pytest.fixture
def port():
    """Listen on a port of this machine."""
    with socket.create_server((GOOD, 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def resolve(monkeypatch, port):
    """Set the addresses of every host."""

    def choose(*addresses):
        resolve_host.mark_stale("service.test", port)

        def getaddrinfo(host, port, *_):
            return [(family, socket.SOCK_STREAM, 0, "", (address, port)) for family, address in addresses]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return choose


@contextmanager
def opened(port, timeout=0.5):
    """Open a connection and close it."""
    with open_socket("service.test", port, timeout=timeout, options=[(6, socket.TCP_NODELAY, 1)]) as sock:
        yield sock


def test_a_family_that_does_not_answer_delays_the_first_connection_only(tried, port, resolve):
    """urllib3 would wait four whole timeouts here, for each image."""
    resolve((V6, SILENT), (V6, SILENT), (V6, SILENT), (V6, SILENT), (V4, GOOD), (V4, OTHER_GOOD))
    with opened(port) as sock:
        assert sock.gettimeout() == 0.5
        assert sock.getsockopt(6, socket.TCP_NODELAY)
    assert tried == [(SILENT, 0.1), (GOOD, 0.1)]
    for _ in range(3):
        with opened(port):
            pass
    assert tried[2:] == [(GOOD, 0.1)] * 3


def test_the_family_that_answers_now_is_remembered(tried, port, resolve):
    """Networks change during a run."""
    resolve((V6, GOOD), (V4, OTHER_GOOD))
    with opened(port):
        pass
    resolve((V6, GONE), (V4, OTHER_GOOD))
    for _ in range(2):
        with opened(port):
            pass
    assert [address for address, _ in tried] == [GOOD, GONE, OTHER_GOOD, OTHER_GOOD]


def test_a_family_that_is_no_longer_resolved_is_no_choice(tried, port, resolve):
    """The resolver's order counts then."""
    resolve((V6, GOOD))
    with opened(port):
        pass
    resolve((V4, OTHER_GOOD), (V4, GONE))
    with opened(port):
        pass
    assert [address for address, _ in tried] == [GOOD, OTHER_GOOD]


def test_all_addresses_together_take_no_longer_than_the_timeout(tried, port, resolve):
    """A host with many addresses would keep an attempt waiting beyond its deadline."""
    resolve(*[(V6, SILENT)] * 8, *[(V4, SILENT)] * 8)
    began = time.monotonic()
    with pytest.raises(TimeoutError), opened(port, timeout=0.2):
        pass
    assert time.monotonic() - began < 1
    assert len(tried) <= 6


def test_the_only_address_has_the_whole_timeout(tried, port, resolve):
    """There is nothing else to try."""
    resolve((V4, SILENT))
    with pytest.raises(TimeoutError), opened(port, timeout=0.2):
        pass
    assert tried == [(SILENT, 0.2)]


def test_the_error_of_the_last_address_is_raised(tried, port, resolve):
    """It explains the failure."""
    resolve((V6, GONE), (V4, GONE))
    with pytest.raises(OSError, match="unreachable"), opened(port):
        pass


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".test"])
def test_a_name_that_is_not_valid_is_not_resolved(host):
    """Python raises a UnicodeError for it, which would count as a bug."""
    with pytest.raises(socket.gaierror):
        open_socket(host, 1, timeout=1)


def test_an_ipv6_address_as_in_a_url_is_an_address(port, resolve, monkeypatch):
    """It has brackets there."""
    asked = []
    resolve((V4, GOOD))
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest: asked.append(host) or real(host, *rest))
    with open_socket("[::1]", port, timeout=1):
        assert asked == ["::1"]


def test_a_connection_that_waits_for_an_image_is_probed():
    """Routers forget silent connections; a short interruption must not end them either."""
    with socket.create_server((GOOD, 0)) as listener, open_socket(*listener.getsockname(), timeout=1) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        first, later, count = (
            sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        )
    assert first <= 30
    assert first + later * count > 300
