"""A run with a server in PREFECT_API_URL: neither its requests nor its end wait for that server."""

import json
import re
import subprocess
import time

from imagen_batch.simulator import Simulator
from tests.support.cli import COMMAND, environment
from tests.support.fake_prefect import fake_prefect
from tests.support.gate import Gate
from tests.support.runs import prompts


def _start(source, sim, prefect, here, *options, env=None):
    typed = [source, "--provider", "simulator", "--base-url", sim.url, "--json", *options]
    return subprocess.Popen(
        [COMMAND, "run", *map(str, typed)],
        cwd=here,
        env=environment({"PREFECT_API_URL": prefect.url, "PREFECT_HOME": str(here / "home"), **(env or {})}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_run_is_recorded_when_the_command_ends(tmp_path):
    """The flow run, its shard, the log and the artifacts, with the state of the counts; Prefect is not imported."""
    with fake_prefect() as prefect, Simulator() as sim:
        source = prompts(tmp_path, "a", "b [[sim:finish_IMAGE_SAFETY]]")
        # A package that can't be imported, in front of the real one.
        (tmp_path / "path" / "prefect").mkdir(parents=True)
        (tmp_path / "path" / "prefect" / "__init__.py").write_text("raise SystemExit('Prefect was imported')")
        child = _start(source, sim, prefect, tmp_path, env={"PYTHONPATH": str(tmp_path / "path")})
        out, err = child.communicate(timeout=60)
    assert child.returncode == 3, err
    assert json.loads(out)["samples"]["ok"] == 1
    assert list(prefect.store.states.values()) == [["PENDING", "RUNNING", "COMPLETED"], ["RUNNING", "COMPLETED"]]
    assert [artifact["type"] for artifact in prefect.store.artifacts] == ["progress", "markdown", "markdown", "table"]
    assert prefect.store.logs[-1]["message"].startswith("1 ok, 1 filtered; $0.0359; ")
    assert "warning" not in err


def test_a_server_that_stops_answering_costs_a_few_seconds_and_one_line(tmp_path):
    """The exit code is the run's own."""
    gate = Gate()
    with fake_prefect() as prefect, Simulator(clock=gate) as sim:
        child = _start(prompts(tmp_path, *"abc"), sim, prefect, tmp_path)
        assert gate.reached.wait(60)
        prefect.answering.clear()
        gate.open()
        while sim.bill.total < 3:
            time.sleep(0.01)
        last_reply = time.monotonic()
        out, err = child.communicate(timeout=60)
        assert time.monotonic() - last_reply < 15  # at most 5 on an idle machine
    assert child.returncode == 0, err
    assert json.loads(out)["samples"]["ok"] == 3
    (line,) = [line for line in err.splitlines() if line.startswith("warning")]
    assert "Prefect did not record the end of this run: its server does not answer." in line


def test_nothing_is_sent_before_the_server_was_checked(tmp_path):
    """A server that does not answer is refused, with code 2."""
    with fake_prefect() as prefect, Simulator() as sim:
        prefect.answering.clear()
        child = _start(prompts(tmp_path, *"abc"), sim, prefect, tmp_path)
        _, err = child.communicate(timeout=60)
        assert sim.bill.total == 0
    assert child.returncode == 2
    assert "no Prefect server answers at PREFECT_API_URL" in err


def test_a_run_that_is_canceled_in_prefect_ends_like_ctrl_c(tmp_path):
    """Images in flight are kept, nothing more is sent, and the flow run is canceled."""
    with fake_prefect() as prefect, Simulator(latency=1.0) as sim:
        child = _start(prompts(tmp_path, *map(str, range(50))), sim, prefect, tmp_path, "--concurrency", "2")
        while not sim.images:
            time.sleep(0.01)
        prefect.store.canceled = True
        out, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    counts = json.loads(out)["samples"]
    assert counts["ok"] == sim.bill.total < 50
    assert counts["unknown"] == 0
    assert "canceled in Prefect" in err
    assert any(
        re.fullmatch(r"shard 1: ended after .* s, as the run stopped", line["message"]) for line in prefect.store.logs
    )
    assert next(iter(prefect.store.states.values())) == ["PENDING", "RUNNING", "CANCELLED"]
    assert [line["message"] for line in prefect.store.logs if line["level"] >= 40] == []
