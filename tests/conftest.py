"""What several test files share."""

import os

import pytest

from flows.server import OwnServer


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory):
    """A home of Prefect's own, so that tests touch nobody's history."""
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="session")
def prefect_server(prefect_home):
    """One Prefect server for all tests that need one."""
    server = OwnServer({**os.environ, "PREFECT_HOME": str(prefect_home)})
    server.wait()
    yield server
    server.stop()
