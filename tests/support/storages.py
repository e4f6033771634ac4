"""Storage locations for runs in tests: a folder, objects in memory, and a real S3 server on loopback."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.store_servers import SCHEMES, SERVERS, NotInstalled

STORE = os.environ.get("TEST_STORE", "moto")
"""The server that the tests of stores use; see `make test-stores`."""

KINDS = ("folder", "memory", "s3") if STORE == "moto" else (STORE,)


@contextmanager
def s3_server() -> Iterator[str]:
    """Run an S3 server in this process with a bucket called `images`; yield its address."""
    import boto3  # noqa: PLC0415 - only where a test needs it
    from moto.server import ThreadedMotoServer  # noqa: PLC0415

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # not a line for each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **CREDENTIALS)
    client.create_bucket(Bucket="pictures")
    client.close()
    try:
        yield url
    finally:
        server.stop()


CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


def s3_environment(url: str) -> dict[str, str]:
    """Return the environment variables that lead to such a server."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def new_place(kind: str, tmp_path: Any, request: pytest.FixtureRequest) -> str:
    """Return a new location of this kind of storage."""
    if kind == "folder":
        return str(tmp_path / "out")
    if kind in SCHEMES:
        request.getfixturevalue("store_server")
        return f"{SCHEMES[kind]}://pictures/{uuid.uuid4().hex}"
    if kind == "s3":
        request.getfixturevalue("s3")
        return f"s3://pictures/{uuid.uuid4().hex}"
    return f"memory://pictures/{uuid.uuid4().hex}"


@contextmanager
def store_server() -> Iterator[dict[str, str]]:
    """Yield the environment that leads to the server in TEST_STORE. Tests are skipped where it is not installed."""
    try:
        running = SERVERS[STORE]()
        env = running.__enter__()
    except NotInstalled as why:
        pytest.skip(str(why))
    try:
        yield env
    finally:
        running.__exit__(None, None, None)
