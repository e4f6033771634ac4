"""Tests that a run is resumed, patched and limited in any storage, and that its audit stays clean."""

import csv
import io

from imagen_batch.audit.audit import audit
from imagen_batch.inputs.reconcile_with_folder import prepare_plan
from imagen_batch.inputs.stored_input_and_settings import load_settings_to_continue
from imagen_batch.runs.run import open_run
from imagen_batch.settings import make_settings
from imagen_batch.storage import open_storage
from tests.support.runs import TODAY, FinishedRun, run, write_csv


def run_with(settings):
    """Run with these settings."""
    with open_run(prepare_plan(settings, today=TODAY), env={}) as current:
        for shard in current.shards():
            current.generate_shard(shard)
        return current.finish()


def test_a_limited_run_is_resumed_and_patched(place, tmp_path, sim):
    """In a bucket, failures.csv is given by its URL."""
    source = write_csv(
        tmp_path / "p.csv", [{"prompt": "one"}, {"prompt": "two [[sim:blocked_prompt]]"}, {"prompt": "x"}]
    )
    first = run(source, sim, out=place, limit=2).summary
    assert (first.exit_code, first.counts["not_attempted"], first.counts["filtered"]) == (3, 1, 1)
    assert audit(place).clean
    assert run_with(load_settings_to_continue(place, {})).exit_code == 3
    assert len(sim.requests) == 2
    assert run_with(load_settings_to_continue(place, {"limit": 3})).counts["ok"] == 2

    storage = open_storage(place)
    rows = list(csv.DictReader(io.StringIO(storage.read("failures.csv").decode(), newline="")))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows({**row, "prompt": "two"} for row in rows)
    storage.remove("failures.csv")
    storage.put("failures.csv", text.getvalue().encode())
    summary = run_with(make_settings({"prompts": f"{place}/failures.csv", "base_url": sim.url}))
    assert (summary.exit_code, summary.facts.out) == (0, place)
    assert sim.bill.total == 3
    assert audit(place).clean


def test_stored_settings_are_valid_in_any_current_folder(tmp_path, sim, monkeypatch):
    """The key file gets an absolute path; options that apply once are not stored."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key").write_text("k" * 30)
    source = write_csv(tmp_path / "p.csv", [{"prompt": "one"}])
    ran: FinishedRun = run(source, sim, provider="gemini", api_key_file="key", other_input="replace")
    settings = load_settings_to_continue(ran.folder, {})
    assert settings.api_key_file == str(tmp_path / "key")
    assert settings.other_input is None
