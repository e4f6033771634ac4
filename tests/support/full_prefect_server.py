"""Runs a Prefect server with all its services, like `prefect server start`. A run's own server has no scheduler."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.cli import environment

_PROGRAM = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
import uvicorn
from prefect.server.api.server import create_app
uvicorn.run(create_app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
"""
_ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "1",
    "PREFECT_UI_ENABLED": "false",
}


@contextmanager
def full_prefect_server(home: Path) -> Iterator[str]:
    """Run the server on loopback with the database in `home`; yield its address. It ends with the tests."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = environment({"PREFECT_HOME": str(home), **_ENVIRONMENT})
    del env["PREFECT_API_URL"]
    with (home / "full-server.log").open("ab") as log:
        server = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(port)], stdin=subprocess.PIPE, stdout=log, stderr=log, env=env
        )
    try:
        url = f"http://127.0.0.1:{port}/api"
        _wait_until_it_answers(url, server)
        yield url
    finally:
        server.stdin.close()
        server.wait(20)


def _wait_until_it_answers(url: str, server: subprocess.Popen[bytes]) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(OSError), opener.open(f"{url}/health", timeout=2):
            return
        time.sleep(0.1)
    raise AssertionError("the server did not start; see full-server.log")
