"""The command line reports the end of every run, however it ended, and keeps addresses out of it."""

from functools import partial

import pytest

from imagen_batch.errors import SettingsInvalid
from imagen_batch.orchestration import launch_run as launching
from imagen_batch.orchestration.flow import complete_settings
from imagen_batch.runs.run_observer import RunObserver
from imagen_batch.settings import make_settings
from imagen_batch.simulator import Simulator
from tests.support.listener import listen
from tests.support.runs import prompts, run


def observer(said):
    """A observer that keeps messages."""
    return RunObserver(notify=said.append, progress=partial(print), confirm=None, command="imagen-batch run")


def test_the_run_gets_no_address_and_its_summary_is_reported(tmp_path, monkeypatch):
    """The settings that are stored and passed on have none."""
    seen = []
    with Simulator() as sim:
        ran = run(prompts(tmp_path, "a fox"), sim)

    def fake(settings, *_, **__):
        seen.append(settings)
        return ran.summary

    monkeypatch.setattr(launching, "_launch", fake)
    with listen() as listener:
        settings = make_settings({"prompts": "x.csv", "heartbeat": f"{listener.url}/p", "notify": "json://x/"})
        assert launching.launch(settings, observer([])) is ran.summary
        assert sorted(listener.wait_for(2)) == ["/p", "/p/start"]
    assert (seen[0].heartbeat, seen[0].notify) == (None, ())


def test_a_run_that_is_refused_is_reported_as_a_failure(monkeypatch):
    """The refusal itself does not change."""

    def fake(*_, **__):
        raise SettingsInvalid("no API key")

    monkeypatch.setattr(launching, "_launch", fake)
    with listen() as listener:
        settings = make_settings({"prompts": "x.csv", "heartbeat": f"{listener.url}/p"})
        with pytest.raises(SettingsInvalid, match="no API key"):
            launching.launch(settings, observer([]))
        assert sorted(listener.wait_for(2)) == ["/p/fail", "/p/start"]


def test_a_deployed_flow_takes_its_addresses_from_the_environment(monkeypatch):
    """Its parameters, which Prefect stores, have none; given ones are kept in this process."""
    monkeypatch.setenv("IMAGEN_BATCH_NOTIFY", "json://environment/")
    assert complete_settings(make_settings({"prompts": "x.csv"})).notify == ("json://environment/",)
    given = make_settings({"prompts": "x.csv", "notify": "json://given/"})
    assert complete_settings(given).notify == ("json://given/",)
    assert "given" not in given.model_dump_json()
