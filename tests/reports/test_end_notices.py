"""The announced end of a model is in every summary from 30 days ahead."""

from datetime import UTC, date, datetime, timedelta

import pytest

from imagen_batch.monitoring.end_message import describe_summary
from imagen_batch.providers.catalogue import load_catalogue
from imagen_batch.reports.render import to_json, to_markdown, to_terminal
from imagen_batch.runs.state_from_folder import run_status
from imagen_batch.simulator import Simulator
from tests.support.runs import TODAY, prompts, run

KEY = {"GOOGLE_API_KEY": "a-key-of-the-test"}


def own_model(end):
    """A model of the user's own with an announced end."""
    facts = {"dialect": "predict", "prices": {"any": 0.01}, "successor": "painter-2"}
    return {"painter-1": {**facts, "shutdowns": {"gemini": end.isoformat()}}}


@pytest.mark.parametrize(("days", "named"), [(31, False), (30, True), (1, True), (0, False), (-3, False)])
def test_the_notice_begins_30_days_ahead_and_ends_with_the_model(days, named):
    """From its last day on a run is refused anyway."""
    model = load_catalogue(own_model(TODAY + timedelta(days=days))).get("painter-1")
    assert model is not None
    assert (model.end_notice("gemini", TODAY) is not None) is named
    assert model.end_notice("vertex", TODAY) is None


def test_every_form_of_a_summary_has_the_notice(tmp_path):
    """Terminal, page, JSON and message name the date, the days and the successor."""
    models = own_model(TODAY + timedelta(days=14))
    options = {"provider": "gemini", "model": "painter-1", "models": models}
    with Simulator(models=["painter-1"]) as sim:
        summary = run(prompts(tmp_path, "a fox"), sim, env=KEY, **options).summary
    assert summary.counts["ok"] == 1
    end = date(2026, 12, 7)
    sentence = f"painter-1 ends on {end}, in 14 days: change to its successor painter-2 before then"
    assert to_json(summary)["notices"] == [sentence]
    assert f"warning  {sentence}" in to_terminal(summary, color=False)
    assert sentence in to_markdown(summary)
    assert sentence in describe_summary(summary).body


def test_status_names_the_end_as_of_today(tmp_path):
    """Also for a run that ended long before."""
    today = datetime.now(UTC).date()
    options = {"provider": "gemini", "model": "painter-1", "models": own_model(today + timedelta(days=14))}
    with Simulator(models=["painter-1"]) as sim:
        run(prompts(tmp_path, "a fox"), sim, env=KEY, **options)
    (notice,) = run_status(tmp_path / "out").notices
    assert notice.startswith(f"painter-1 ends on {today + timedelta(days=14)}")


def test_a_summary_without_such_a_model_has_none(tmp_path):
    """Neither the JSON nor the terminal mentions an end."""
    with Simulator() as sim:
        summary = run(prompts(tmp_path, "a fox"), sim).summary
    assert to_json(summary)["notices"] == []
    assert "ends on" not in to_terminal(summary, color=False)
