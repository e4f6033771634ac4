"""Fixtures of these tests."""

import pytest


@pytest.fixture
def run_into_out(shell, tmp_path, sim):
    """Return a function that runs a file into the folder `out`."""

    def run(source, *options):
        known = ["--provider", "simulator", "--base-url", sim.url, "--out", tmp_path / "out"]
        return shell.run("run", source, *known, *options)

    return run
