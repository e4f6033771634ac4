"""An attempt over HTTP is limited in time and size, and goes to no other host."""

import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from imagen_batch.errors import Transient
from imagen_batch.providers import transport
from imagen_batch.providers.credentials import Credential
from imagen_batch.providers.transport import Transport
from imagen_batch.simulator import Simulator

PATH = "/v1beta/models/gemini-nano-banana-2.1:generateContent"
BODY = (
    b'{"contents": [{"role": "user", "parts": [{"text": "a mole %s"}]}],'
    b' "generationConfig": {"responseModalities": ["IMAGE"]}}'
)
KEY = "AIza-not-a-real-key"


@pytest.fixture
def post():
    """Return a function that posts one prompt to a simulator with the faults of its marker."""
    with Simulator() as sim:
        opened = []

        def send(marker="", *, timeout=10.0):
            opened.append(Transport(Credential(KEY), timeout=timeout))
            return opened[-1].post(sim.url + PATH, BODY % marker.encode())

        yield send
        for one in opened:
            one.close()


def test_a_reply_comes_back_whole(post):
    """Status and body are as they were sent."""
    raw = post()
    assert raw.status == 200
    assert (raw.body[:1], raw.body[-1:]) == (b"{", b"}")


@pytest.mark.parametrize("fault", ["trickle", "stall"])
def test_the_timeout_bounds_the_whole_attempt(post, fault):
    """Bytes that keep trickling in do not prolong it."""
    began = time.monotonic()
    with pytest.raises(Transient) as caught:
        post(f"[[sim:{fault}]]", timeout=0.5)
    assert time.monotonic() - began < 1.0
    assert caught.value.kind == "timeout"
    assert (caught.value.lost, caught.value.maybe_charged) == (True, True)


def test_headers_that_trickle_are_cut_as_well():
    """A server that sends a header byte now and then never gets beyond the deadline."""
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def drip():
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not done.wait(0.05):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

    thread = threading.Thread(target=drip)
    thread.start()
    sender = Transport(Credential(KEY), timeout=0.5)
    began = time.monotonic()
    try:
        with pytest.raises(Transient, match=r"0\.5 s"):
            sender.post(f"http://127.0.0.1:{listener.getsockname()[1]}/", b"{}")
        assert time.monotonic() - began < 1.0
    finally:
        done.set()
        thread.join()
        listener.close()
        sender.close()


@pytest.mark.parametrize("fault", ["reset", "reset_midway", "wrong_length"])
def test_a_broken_connection_is_a_lost_reply(post, fault):
    """The service may have made the image."""
    with pytest.raises(Transient) as caught:
        post(f"[[sim:{fault}]]")
    assert (caught.value.lost, caught.value.maybe_charged) == (True, True)


def test_a_refused_connection_is_not_a_lost_reply():
    """Nothing was sent, so nothing can have been charged."""
    sender = Transport(Credential(KEY), timeout=5)
    with pytest.raises(Transient) as caught:
        sender.post("http://127.0.0.1:9/", b"{}")
    assert (caught.value.lost, caught.value.maybe_charged) == (False, False)
    sender.close()


@pytest.mark.parametrize("fault", ["gzip_bomb", "endless"])
def test_a_reply_has_a_size_cap(post, fault, monkeypatch):
    """A compressed bomb or a body without an end is refused."""
    monkeypatch.setattr(transport, "MAX_REPLY_BYTES", 2**20)
    with pytest.raises(Transient) as caught:
        post(f"[[sim:{fault}]]")
    assert caught.value.kind == "reply_too_large"


@contextmanager
def answering(message):
    """Run a service that sends `message` on every connection; yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            connection, _ = listener.accept()
            with connection:
                connection.recv(2**16)
                connection.sendall(message)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join()


def test_a_reply_with_a_too_large_length_is_not_read():
    """Its length precedes it."""
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {transport.MAX_REPLY_BYTES + 1}\r\n\r\n".encode()
    sender = Transport(Credential(KEY), timeout=5)
    with answering(head) as url, pytest.raises(Transient) as caught:
        sender.post(url, b"{}")
    assert (caught.value.kind, caught.value.lost) == ("reply_too_large", True)
    sender.close()


def test_a_redirect_is_not_followed(post):
    """The key would go to another host."""
    assert post("[[sim:redirect]]").status == 302


def test_an_error_does_not_name_the_address():
    """Exceptions of other libraries contain URLs; ours do not."""
    sender = Transport(Credential(KEY), timeout=5)
    with pytest.raises(Transient) as caught:
        sender.post("http://127.0.0.1:9/secret-path", b"{}")
    assert "secret-path" not in str(caught.value)
    assert caught.value.__cause__ is None
    sender.close()


def test_a_netrc_is_not_read(tmp_path, monkeypatch, post):
    """A password for another tool must not be sent."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with Simulator() as sim:
        sender = Transport(Credential(KEY), timeout=5)
        sender.post(sim.url + PATH, BODY % b"")
        sender.close()
        headers = sim.requests[0].headers
    assert headers["x-goog-api-key"] == KEY
    assert "authorization" not in headers
    assert "?key=" not in sim.requests[0].path


@pytest.mark.parametrize(("size", "awaited"), [(10, True), (2**26, False)])
def test_a_reply_is_awaited_once_the_whole_request_is_sent(size, awaited):
    """The service reads nothing: a small request fits into the system's buffers, a large one does not."""
    with socket.create_server(("127.0.0.1", 0)) as service:
        sender = Transport(Credential(KEY), timeout=60)
        url = f"http://127.0.0.1:{service.getsockname()[1]}/"
        assert not sender.awaits_reply

        def post() -> None:
            with suppress(Transient):
                sender.post(url, b" " * size)

        posting = threading.Thread(target=post)
        posting.start()
        deadline = time.monotonic() + (10 if awaited else 0.3)
        while not sender.awaits_reply and time.monotonic() < deadline:
            time.sleep(0.01)
        assert sender.awaits_reply is awaited
        sender.abort_all()
        posting.join()
        assert not sender.awaits_reply
        sender.close()


def test_all_attempts_in_flight_can_be_aborted():
    """A second Ctrl-C ends attempts at once."""
    with Simulator(latency=30) as sim:
        sender = Transport(Credential(KEY), timeout=60)
        cutter = threading.Timer(0.2, sender.abort_all)
        cutter.start()
        began = time.monotonic()
        with pytest.raises(Transient):
            sender.post(sim.url + PATH, BODY % b"")
        assert time.monotonic() - began < 5
        sender.close()
