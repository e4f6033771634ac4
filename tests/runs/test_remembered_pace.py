"""The next run and its plan start from the pace that a run measured."""

import json

from imagen_batch.cli.plan_report import open_preview, plan_json, plan_text
from imagen_batch.settings import make_settings
from imagen_batch.simulator import Simulator
from tests.support.runs import prompts, run


def test_a_plan_says_at_which_pace_a_run_starts(tmp_path):
    """An earlier run measured it, with other prompts, at the same service."""
    env = {"XDG_STATE_HOME": str(tmp_path / "state")}
    texts = [f"boat {number}" for number in range(120)]
    with Simulator() as sim:
        options = {"model": "gemini-3.1-flash-image", "image_size": "512", "concurrency": 6}
        first = _preview(prompts(tmp_path, *texts), sim, env)
        assert "pace " not in first
        run(prompts(tmp_path, *texts), sim, env=env, **options)
        text = _preview(prompts(tmp_path, "another"), sim, env)
        assert "pace      starts with up to " in text
        assert " requests at once, as a run " in text
        facts = json.loads(_preview(prompts(tmp_path, "another"), sim, env, as_json=True))
        assert 1 <= facts["earlier_pace"]["gemini-3.1-flash-image"]["in_flight"] <= 6
        assert "pace " not in _preview(prompts(tmp_path, "another"), sim, env, requests_per_minute=60)
        assert "pace " not in _preview(prompts(tmp_path, "another"), sim, {})


def _preview(source, sim, env, *, as_json=False, **chosen):
    """Return the plan of a run into a new folder."""
    settings = {"prompts": str(source), "out": str(source.parent / "new"), "model": "gemini-3.1-flash-image"}
    chosen = {**settings, "provider": "simulator", "base_url": sim.url, **chosen}
    with open_preview(make_settings(chosen), env=env) as preview:
        return (plan_json if as_json else plan_text)(preview.plan, preview.pending, preview.changes, preview.paces)
