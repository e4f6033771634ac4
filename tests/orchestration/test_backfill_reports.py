"""A backfill reports each of its runs like `run`: one message, pings and metrics for each date."""

import json

import pytest

from imagen_batch.cli.dispatch import main
from imagen_batch.simulator import Simulator
from tests.support.listener import listen


@pytest.fixture
def job(tmp_path, monkeypatch):
    """Return the arguments of a backfill of two dates."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "book.csv").write_text("prompt\na mole\n")
    with Simulator() as sim:
        yield [
            *("backfill", "book.csv", "--from", "2026-10-01", "--to", "2026-10-02", "--out", "o/{date}"),
            *("--provider", "simulator", "--base-url", sim.url),
        ]


def test_each_date_is_announced_and_its_figures_are_written(job, tmp_path):
    """The options are those of `run`."""
    with listen() as listener:
        watching = ["--notify", f"json://{listener.host}/", "--notify-on", "always", "--metrics", "figures.prom"]
        assert main([*job, *watching, "--heartbeat", f"{listener.url}/ping"]) == 0
        assert sorted(listener.paths) == ["/", "/", "/ping", "/ping", "/ping/start", "/ping/start"]
        assert sum(b"o/2026-10-01" in body for body in listener.bodies) == 1
    figures = (tmp_path / "figures.prom").read_text()
    assert "imagen_batch_exit_code" in figures
    assert "2026-10-02" in figures


def test_the_environment_and_the_settings_file_are_respected(job, tmp_path, monkeypatch):
    """As for `run`."""
    (tmp_path / "imagen-batch.toml").write_text('metrics = "figures.prom"\n')
    with listen() as listener:
        monkeypatch.setenv("IMAGEN_BATCH_HEARTBEAT", f"{listener.url}/ping")
        assert main(job) == 0
        assert listener.paths.count("/ping") == 2
    assert (tmp_path / "figures.prom").exists()


def test_messages_are_json_where_the_settings_file_says_so(job, tmp_path, capsys):
    """As for `run`."""
    (tmp_path / "imagen-batch.toml").write_text('log_format = "json"\n')
    assert main(job) == 0
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert "2026-10-01: 1 ok" in [line.get("message") for line in lines]


def test_a_date_whose_run_fails_is_reported_as_failed(job, tmp_path):
    """A folder that is not from a run is refused before anything is sent."""
    (tmp_path / "o" / "2026-10-01").mkdir(parents=True)
    (tmp_path / "o" / "2026-10-01" / "manifest.csv").write_text("mine\n")
    with listen() as listener:
        assert main([*job, "--heartbeat", f"{listener.url}/ping"]) == 2
        assert listener.paths == ["/ping/start", "/ping/fail"]


def test_no_address_is_stored_with_a_run(job, tmp_path):
    """It stays in the process."""
    with listen() as listener:
        assert main([*job, "--notify", f"json://{listener.host}/a-secret"]) == 0
    stored = [path for path in tmp_path.rglob("*") if path.is_file() and b"a-secret" in path.read_bytes()]
    assert stored == []
