"""An address in PREFECT_API_URL without a Prefect server is refused in bounded time, before anything is sent."""

import socket
import threading
import time
from contextlib import contextmanager

import pytest

from imagen_batch.errors import SettingsInvalid
from imagen_batch.orchestration.deployments.create_and_serve import prepare
from imagen_batch.orchestration.server.reachability import find_unreachable_reason, show_address
from imagen_batch.simulator import Simulator
from tests.support.cli import command
from tests.support.runs import prompts

HEALTHY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\nConnection: close\r\n\r\ntrue"
PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>"
MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
LOCKED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@contextmanager
def listening(reply, *, pause=0.0):
    """Serve `reply` on every connection; with `pause`, byte by byte."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                held.append(connection)
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        def answer(connection):
            try:
                if reply is None:
                    return
                connection.recv(65536)
                for at in range(0, len(reply), 1 if pause else len(reply)):
                    connection.sendall(reply[at : at + (1 if pause else len(reply))])
                    time.sleep(pause)
                connection.close()
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/api"
        finally:
            for connection in held:
                connection.close()


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.parametrize(
    "url", ["garbage", "", "ftp://host/api", "http://", "http://[::1", "http://127.0.0.1:99999/api", "http:///api"]
)
def test_an_invalid_address_is_refused(url):
    """There is no traceback."""
    assert "not the address" in find_unreachable_reason(url)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_address_where_nothing_listens_is_refused(scheme):
    """TLS makes no difference."""
    assert "refused" in find_unreachable_reason(f"{scheme}://127.0.0.1:{_free_port()}/api")


@pytest.mark.parametrize("reply", [PAGE, MISSING, b"SSH-2.0-OpenSSH_9.7\r\n"])
def test_another_server_is_refused(reply):
    """Its reply does not matter."""
    with listening(reply) as url:
        assert find_unreachable_reason(url, timeout=2)


def test_a_server_without_tls_is_refused_for_https():
    """The scheme is wrong."""
    with listening(PAGE) as url:
        assert find_unreachable_reason(url.replace("http:", "https:"), timeout=2)


@pytest.mark.parametrize(("reply", "pause"), [(None, 0.0), (HEALTHY, 0.05)])
def test_a_server_that_does_not_answer_in_time_is_refused(reply, pause):
    """The time limit holds even if each single byte arrives in time."""
    began = time.monotonic()
    with listening(reply, pause=pause) as url:
        reason = find_unreachable_reason(url, timeout=1.0)
        assert "no answer" in reason or "timed out" in reason
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("reply", [HEALTHY, LOCKED])
def test_a_prefect_server_is_accepted(reply):
    """This includes one that requires a credential, which Prefect's client has."""
    with listening(reply) as url:
        assert find_unreachable_reason(url, timeout=2) is None


@pytest.mark.parametrize("url", ["https://127.0.0.1:{port}/api", "http://user:pass@127.0.0.1:{port}/api"])
def test_a_run_with_an_unreachable_server_sends_nothing(tmp_path, url):
    """The code is 2; the message says what to do and repeats no password."""
    with Simulator() as sim:
        typed = [prompts(tmp_path, "one"), "--provider", "simulator", "--base-url", sim.url]
        done = command("run", *typed, here=tmp_path, env={"PREFECT_API_URL": url.format(port=_free_port())})
        assert sim.bill.total == 0
    assert done.returncode == 2
    assert "no Prefect server answers at PREFECT_API_URL" in done.stderr
    assert "unset PREFECT_API_URL" in done.stderr
    assert "Traceback" not in done.stderr
    assert "pass" not in done.stderr


@pytest.mark.parametrize("url", ["http://me:secret@127.0.0.1:9/api", "http://127.0.0.1:9/api?token=secret#secret"])
def test_what_may_be_secret_in_an_address_is_not_shown(url):
    """The commands for deployments hide it as well; they once showed the password."""
    assert show_address(url) == "http://127.0.0.1:9/api"
    with pytest.raises(SettingsInvalid) as refused:
        prepare({"PREFECT_API_URL": url})
    assert "secret" not in str(refused.value)
