"""Fixtures of these tests."""

import pytest

from imagen_batch.simulator import Simulator


@pytest.fixture(scope="module")
def sim():
    """Run a simulator without faults for all tests of a module: none changes it."""
    with Simulator() as simulator:
        yield simulator
