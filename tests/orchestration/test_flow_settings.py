"""The flow as called from Python, a deployment or another flow: settings, problems, warnings and results."""

import json
import subprocess
import sys

import pytest

from imagen_batch.orchestration.flow import complete_settings
from imagen_batch.settings import Settings
from tests.support.cli import environment

CALLS = """
import json
from prefect import flow
from imagen_batch.orchestration import generate_images
from imagen_batch.settings import Settings

results = {}

@flow
def outer():
    return generate_images({"prompts": "some.csv", "provider": "simulator", "out": "some"})

if __name__ == "__main__":
    results["partly"] = outer()
    many = {"prompts": "many.csv", "provider": "simulator", "out": "many"}
    results["budget"] = generate_images(many, return_state=True).result(raise_on_failure=False)
    bad = generate_images(Settings(prompts="bad.csv", provider="simulator", out="bad"), return_state=True)
    results["bad"] = [bad.type.value, bad.message]
    try:
        generate_images(Settings(prompts="none.csv", provider="simulator", out="none"))
    except Exception as error:
        results["none"] = [type(error).__name__, str(error), error.summary["samples"]["failed"]]
    print("RESULT " + json.dumps(results))
"""


@pytest.mark.prefect
def test_the_flow_called_from_python(tmp_path, prefect_server, prefect_home):
    """Limits of the environment and the settings file hold; every problem, warning and count arrives."""
    for name, text in {
        "some.csv": "prompt,style\nfirst,ink\nsecond [[sim:finish_IMAGE_SAFETY]],\n",
        "many.csv": "prompt\n" + "".join(f"row {row}\n" for row in range(20)),
        "bad.csv": "prompt,aspect_ratio\nfirst,99:1\n,1:1\nthird,wide\n",
        "none.csv": "prompt\none [[sim:bad_request]]\n",
        "imagen-batch.toml": "concurrency = 2\n",
        "calls.py": CALLS,
    }.items():
        (tmp_path / name).write_text(text)
    served = {"PREFECT_API_URL": prefect_server.url, "PREFECT_HOME": str(prefect_home)}
    done = subprocess.run(
        [sys.executable, "calls.py"],
        cwd=tmp_path,
        env=environment({**served, "IMAGEN_BATCH_MAX_COST": "0.20", "IMAGEN_BATCH_SEED": "7"}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout.partition("RESULT ")[2])
    assert (results["partly"]["samples"]["ok"], results["partly"]["samples"]["filtered"]) == (1, 1)
    assert results["partly"] == json.loads((tmp_path / "some" / "summary.json").read_text())
    assert results["budget"]["samples"]["skipped_budget"] > 10
    assert results["budget"]["cost_high_usd"] <= 0.20
    stored = json.loads((tmp_path / "many" / ".imagen-batch" / "settings.json").read_text())
    assert (stored["concurrency"], stored["seed"]) == (2, 7)
    kind, message = results["bad"]
    assert kind == "FAILED"
    assert all(f"line {line}: " in message for line in (2, 3, 4))
    assert all(f"ERROR   | Flow run 'bad.csv' - line {line}: " in done.stderr for line in (2, 3, 4))
    assert results["none"] == ["RunFailed", "no images: 1 failed; $0.00; none", 1]
    warning = "style: is added to the end of the prompt"
    assert warning in done.stderr
    assert warning in (tmp_path / "some" / "summary.md").read_text()
    assert any(warning in text for text in results["partly"]["warnings"])


def test_arguments_override_the_environment_and_that_overrides_the_file(tmp_path, monkeypatch):
    """So does the command line. None counts as unset, because Prefect's form sends it for an empty field."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "imagen-batch.toml").write_text('samples = 4\nmax_cost = 9.0\nmodel = "of-the-file"\n')
    for name, value in {"SAMPLES": "3", "MAX_COST": "0.5", "SEED": "1"}.items():
        monkeypatch.setenv(f"IMAGEN_BATCH_{name}", value)
    chosen = complete_settings(Settings(prompts="x.csv", samples=1, max_cost=None, parameters={"store": False}))
    assert (chosen.samples, chosen.max_cost, chosen.seed, chosen.model) == (1, 0.5, 1, "of-the-file")
    assert chosen.parameters.store is False
