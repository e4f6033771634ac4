"""Tests of deployments as plain values, of the job's lock, and of backfills without Prefect."""

from __future__ import annotations

import datetime as dt
import json
from argparse import Namespace
from contextlib import nullcontext
from pathlib import Path

import pytest
import yaml

from imagen_batch.cli.argument_parser import parse
from imagen_batch.cli.commands.deploy import specification_from
from imagen_batch.errors import SettingsInvalid
from imagen_batch.orchestration.deployments import prefect_yaml
from imagen_batch.orchestration.deployments.backfill_dates import Day, choose, with_retries
from imagen_batch.orchestration.deployments.date_and_due_check import Skip, Slot, check_due
from imagen_batch.orchestration.deployments.one_run_per_job import only_run_of_job
from imagen_batch.orchestration.deployments.secret_block_key import environment_with_key
from imagen_batch.orchestration.deployments.specification import ENTRYPOINT, Specification
from imagen_batch.schedules.out_template import expand
from imagen_batch.settings import Settings, load_settings
from imagen_batch.simulator import Simulator
from tests.support.runs import prompts


def _specify(folder: Path, *options: str, monkeypatch: pytest.MonkeyPatch) -> Specification:
    monkeypatch.chdir(folder)
    source = prompts(folder, "one")
    args: Namespace = parse(["deploy", source.name, *options])
    return specification_from(args)


def test_a_deployment_has_absolute_paths_and_only_what_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = _specify(
        tmp_path, "--name", "n", "--cron", "15 2 * * *", "--timezone", "Europe/Paris", monkeypatch=monkeypatch
    )
    assert spec.settings == {
        "prompts": str(tmp_path / "prompts.csv"),
        "out": str(tmp_path / "outputs/n/{date}"),
        "name": "n",
        "timezone": "Europe/Paris",
        "grace": 20.0,
    }
    assert (spec.cron, spec.timezone, spec.tags) == ("15 2 * * *", "Europe/Paris", ["imagen-batch", "n"])
    Settings.model_validate(spec.settings)


def test_a_rehearsal_has_another_folder_than_the_real_deployment_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with `run`; a folder that was named stays."""
    simulated = ("--name", "n", "--provider", "simulator")
    out = _specify(tmp_path, *simulated, monkeypatch=monkeypatch).settings["out"]
    assert out == str(tmp_path / "outputs/n-rehearsal/{date}")
    out = _specify(tmp_path, *simulated, "--out", "o/{name}", monkeypatch=monkeypatch).settings["out"]
    assert out == str(tmp_path / "o/{name}")


def test_braces_in_the_names_of_folder_and_file_are_no_fields(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every run of such a deployment failed."""
    folder = tmp_path / "a{b}"
    folder.mkdir()
    out = _specify(folder, "--out", "o/{date}", monkeypatch=monkeypatch).settings["out"]
    assert expand(out, name="n", date=dt.date(2026, 10, 1)) == str(folder / "o/2026-10-01")
    (folder / "{p}.csv").write_text("prompt\none\n")
    args: Namespace = parse(["deploy", "{p}.csv"])
    out = specification_from(args).settings["out"]
    assert expand(out, name="n", date=dt.date(2026, 10, 1)) == str(folder / "outputs/{p}/2026-10-01")


@pytest.mark.parametrize("source", ["environment", "file"])
def test_the_folder_of_a_deployment_may_come_from_environment_or_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """As that of a run; it was replaced by the default without a word."""
    if source == "file":
        (tmp_path / "imagen-batch.toml").write_text('out = "o/{name}/{date}"')
    else:
        monkeypatch.setenv("IMAGEN_BATCH_OUT", "o/{name}/{date}")
    spec = _specify(tmp_path, "--name", "n", monkeypatch=monkeypatch)
    assert spec.settings["out"] == str(tmp_path / "o/{name}/{date}")


def test_a_deployment_contains_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "secret-key")
    spec = _specify(tmp_path, "--name", "n", "--api-key-block", "google", monkeypatch=monkeypatch)
    assert "secret-key" not in json.dumps(dict(spec.settings))
    assert spec.settings["api_key_block"] == "google"


def test_options_that_are_not_stored_are_named_with_their_variables(shell) -> None:
    """Addresses hold secrets, which everybody who sees Prefect's page would read."""
    (shell.here / "p.csv").write_text("prompt\none\n")
    job = ("deploy", "p.csv", "--prefect-yaml", "prefect.yaml", "--notify", "json://secret/", "--metrics", "m.prom")
    done = shell.run(*job)
    assert done.code == 0
    assert "--notify is not stored in the deployment: set IMAGEN_BATCH_NOTIFY" in done.err
    assert "set IMAGEN_BATCH_METRICS" in done.err
    assert "json://secret/" not in done.err + done.out + (shell.here / "prefect.yaml").read_text()
    assert "warning" not in shell.run(*job[:4]).err


def test_without_a_block_the_key_is_that_of_the_environment() -> None:
    assert environment_with_key(Settings(prompts="p.csv"), {"GOOGLE_API_KEY": "k"}) == {"GOOGLE_API_KEY": "k"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--name", "a%b"), "takes no"),
        (("--cron", "nightly"), "not a schedule"),
        (("--date", "2026-10-01"), "no --date"),
        (("--out", "{nam}/{date}"), "did you mean name"),
        (("--timezone", "Europe/Pari"), "time zone"),
    ],
)
def test_what_a_deployment_cannot_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SettingsInvalid, match=message):
        _specify(tmp_path, *options, monkeypatch=monkeypatch)


def test_the_file_for_work_pools_has_the_same_deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = _specify(tmp_path, "--name", "n", "--cron", "15 2 * * *", monkeypatch=monkeypatch)
    prefect_yaml.write(spec, tmp_path / "prefect.yaml", work_pool="pool")
    [deployment] = yaml.safe_load((tmp_path / "prefect.yaml").read_text())["deployments"]
    assert deployment["entrypoint"] == ENTRYPOINT
    assert deployment["parameters"] == {"settings": spec.settings}
    assert deployment["work_pool"] == {"name": "pool"}
    prefect_yaml.write(spec, tmp_path / "prefect.yaml", work_pool="pool")
    (tmp_path / "prefect.yaml").write_text("name: mine\n")
    with pytest.raises(SettingsInvalid, match="another name"):
        prefect_yaml.write(spec, tmp_path / "prefect.yaml", work_pool="pool")


def test_the_command_for_a_file_with_a_space_can_be_typed(shell) -> None:
    (shell.here / "p.csv").write_text("prompt\none\n")
    done = shell.run("deploy", "p.csv", "--prefect-yaml", "my jobs.yaml")
    assert "--prefect-file 'my jobs.yaml'" in done.out


def test_two_runs_of_a_job_do_not_overlap_even_for_two_dates(tmp_path: Path) -> None:
    template = str(tmp_path / "{name}" / "{date}")
    first, second = (
        load_settings({"prompts": "p.csv", "out": template, "date": day}, env={})
        for day in ("2026-10-01", "2026-10-02")
    )
    other = load_settings({"prompts": "p.csv", "out": template, "date": "2026-10-01", "name": "other"}, env={})
    with (
        only_run_of_job(first, template=template),
        only_run_of_job(other, template=template),
        pytest.raises(Skip, match="another run of p"),
        only_run_of_job(second, template=template),
    ):
        pass
    with only_run_of_job(second, template=template) as locked:
        assert locked


@pytest.mark.parametrize(("automatic", "skipped"), [(True, True), (False, False)])
def test_a_run_that_was_planned_before_its_schedule_was_taken_away_is_skipped(automatic: bool, skipped: bool) -> None:
    """A person may still start one."""
    now = dt.datetime(2026, 10, 1, 2, 15, tzinfo=dt.UTC)
    slot = Slot("id", now, automatic=automatic, has_schedule=False)
    settings = Settings(prompts="p.csv", name="nightly")
    with pytest.raises(Skip, match="nightly has no schedule any more") if skipped else nullcontext():
        check_due(settings, slot, now=now)


def test_the_dates_to_make_follow_the_choice() -> None:
    settings = Settings(prompts="p.csv")
    states = ("missing", "unfinished", "failed", "ok")
    days = [Day(dt.date(2026, 10, 1 + at), settings, state) for at, state in enumerate(states)]
    assert [day.state for day in choose(days, "missing")] == ["missing", "unfinished"]
    assert [day.state for day in choose(days, "missing-and-failed", backwards=True)] == [
        "failed",
        "unfinished",
        "missing",
    ]
    assert len(choose(days, "all")) == 4
    assert with_retries(days[2], "missing-and-failed").retry == ("failed",)
    assert with_retries(days[3], "all").retry == ()


def test_a_backfill_makes_each_date_once_and_a_dry_run_makes_nothing(shell) -> None:
    with Simulator() as sim:
        (shell.here / "p.csv").write_text("prompt\none\ntwo\n")
        command = ("backfill", "p.csv", "--out", "o/{name}/{date}", "--provider", "simulator", "--base-url", sim.url)
        dates = ("--from", "2026-10-01", "--to", "2026-10-03")
        done = shell.run(*command, *dates, "--dry-run", "--max-cost-per", "30d=0.10")
        assert (done.code, len(sim.images)) == (0, 0)
        assert "3 dates to make: 6 images" in done.out
        assert "30d=0.10 leaves $0.10 of $0.10" in done.out
        assert "this backfill does not fit: it stops with code 6" in done.out
        done = shell.run(*command, *dates, "--dry-run", "--max-cost-per", "30d=0.10", "--json")
        (period,) = json.loads(done.out)["periods"]
        assert (period["left_usd"], period["fits"]) == (0.1, False)
        assert shell.run(*command, *dates, "--max-active", "2").code == 0
        assert len(sim.images) == 6
        done = shell.run(*command, *dates, "--json")
        assert json.loads(done.out) == {"dates": [], "left": [], "exit_code": 0}
        assert len(sim.images) == 6


def test_a_date_that_has_to_stop_keeps_the_others_from_starting(shell) -> None:
    with Simulator() as sim:
        (shell.here / "p.csv").write_text("prompt\none\ntwo\n")
        done = shell.run(
            *("backfill", "p.csv", "--out", "o/{date}", "--provider", "simulator", "--base-url", sim.url),
            *("--from", "2026-10-01", "--to", "2026-10-04", "--price", "0.04", "--max-cost-per", "30d=0.10"),
        )
        assert done.code == 6
        assert "not begun: 2026-10-03, 2026-10-04" in done.out
        assert len(sim.images) == 2
