"""Fixtures that several test folders share."""

import os

import pytest
from hypothesis import settings

from imagen_batch.orchestration.server.own_server import OwnServer
from tests.support.shared_fixtures import shell, sim  # noqa: F401 - fixtures
from tests.support.storages import KINDS, STORE, new_place, s3_environment, s3_server, store_server

# `make test` gives the same result every time, also on a busy machine. `make fuzz` looks for new failing examples.
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.register_profile("fuzz", print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture(scope="session", autouse=True)
def _state_home(tmp_path_factory):
    """Set a separate state folder, so that tests neither use nor change what a user's runs have saved."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session", name="store_server")
def _store_server():
    """Run the store in TEST_STORE, in the environment of all tests that need it."""
    with store_server() as env, pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        yield env


@pytest.fixture(scope="session")
def s3(request):
    """Yield the address of an S3 server that the environment names."""
    if STORE == "seaweedfs":
        yield request.getfixturevalue("store_server")["AWS_ENDPOINT_URL"]
        return
    if STORE != "moto":
        pytest.skip(f"{STORE} does not speak S3")
    with s3_server() as url, pytest.MonkeyPatch.context() as patch:
        for name, value in s3_environment(url).items():
            patch.setenv(name, value)
        yield url


@pytest.fixture(params=KINDS)
def place(request, tmp_path):
    """Return a new storage location of each kind."""
    return new_place(request.param, tmp_path, request)


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory):
    """Return a separate home for Prefect, so that tests touch nobody's history."""
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="session")
def prefect_server(prefect_home):
    """Run one Prefect server for all tests that need one."""
    server = OwnServer({**os.environ, "PREFECT_HOME": str(prefect_home)})
    server.wait()
    yield server
    server.stop()


def pytest_collection_modifyitems(items):
    """Run tests with a Prefect server one after the other: each server starts slowly, and two at once time out."""
    for item in items:
        if item.get_closest_marker("prefect"):
            item.add_marker(pytest.mark.xdist_group("prefect"))
