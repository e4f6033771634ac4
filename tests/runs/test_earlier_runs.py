"""Run folders of earlier versions continue, and nothing in them is paid for again."""

import json
import shutil
from pathlib import Path

import pytest

from imagen_batch.audit.audit import audit
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.runs.run import open_run
from imagen_batch.runs.state_from_folder import run_status
from imagen_batch.settings import make_settings
from imagen_batch.simulator import Simulator
from tests.support.runs import TODAY

EARLIER = Path(__file__).parent / "earlier_runs"
DRAFT = {"model": "gemini-3.1-flash-image", "image_size": "512"}
BOOK = {**DRAFT, "max_attempts": 2, "max_cost": 1, "parameters": {"thinking_level": "MINIMAL"}}


@pytest.fixture
def simulator():
    """A simulator that counts its requests."""
    with Simulator() as running:
        yield running


@pytest.fixture
def folder(request, tmp_path):
    """A copy of the run folder with the name in the parameter."""
    return Path(shutil.copytree(EARLIER / request.param, tmp_path / "run"))


def continue_run(folder, simulator, source, **settings):
    """Run the same prompt file into `folder` again."""
    chosen = {"prompts": str(EARLIER / source), "out": str(folder), "provider": "simulator", "wait_initial": 0.0}
    plan = make_plan(make_settings({**chosen, "base_url": simulator.url, **settings}), today=TODAY)
    with open_run(plan, env={}) as run:
        for shard in run.shards():
            run.generate_shard(shard)
        return run.finish()


def prompts_sent(simulator):
    """Return the prompt of each request, in order of arrival."""
    return [json.loads(received.body)["contents"][0]["parts"][0]["text"] for received in simulator.requests]


def files_of(folder):
    """Return the bytes of every image below `folder`, by name."""
    return {path.name: path.read_bytes() for path in (folder / "images").rglob("*") if path.is_file()}


@pytest.mark.parametrize("folder", ["finished_0_1"], indirect=True)
def test_a_finished_run_of_0_1_asks_only_for_the_lost_reply(folder, simulator):
    """Seven rows were made or answered; the one whose reply was lost is sent again, and fails again."""
    before = files_of(folder)
    summary = continue_run(folder, simulator, "book.csv", **BOOK)
    assert set(prompts_sent(simulator)) == {"Otter by the weir [[sim:reset*9]]"}
    assert summary.counts["ok"] == 6
    assert summary.counts["filtered"] == 1
    assert files_of(folder) == before


@pytest.mark.parametrize("folder", ["killed_0_1"], indirect=True)
def test_a_killed_run_of_0_1_makes_only_what_is_missing(folder, simulator):
    """The recorded image stays; the open attempt and the row that was never attempted are sent."""
    before = files_of(folder)
    summary = continue_run(folder, simulator, "cards.csv", **DRAFT)
    assert sorted(prompts_sent(simulator)) == ["king of acorns", "king of bells"]
    assert summary.counts["ok"] == 3
    assert files_of(folder).items() >= before.items()


@pytest.mark.parametrize("folder", ["finished_0_1"], indirect=True)
def test_status_and_audit_read_a_folder_of_0_1(folder):
    """The audit reports nothing that the run itself did not report."""
    assert run_status(folder).counts["ok"] == 6
    assert {finding.kind for finding in audit(folder).findings} <= {"paid_undelivered"}
