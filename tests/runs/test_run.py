"""A run from its prompt file to its summary, over real HTTP."""

import os
import signal
from pathlib import Path

import pytest

from imagen_batch.errors import FolderBusy, InputInvalid, SettingsInvalid
from imagen_batch.inputs.stored_input_and_settings import load_settings_snapshot
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.runs.run import open_run
from imagen_batch.settings import make_settings
from imagen_batch.simulator import Simulator, read_stamp
from imagen_batch.storage import open_storage
from tests.support.runs import IMAGEN, TODAY, prompts, run, write_csv


def test_each_image_is_the_right_one_for_its_row(tmp_path, sim):
    """The simulator stamps each image with prompt, model, ratio and sample number."""
    source = write_csv(
        tmp_path / "p.csv",
        [
            {"prompt": "a mole", "model": IMAGEN, "samples": 3, "aspect_ratio": "16:9"},
            {"prompt": "a rat, rowing", "model": "", "samples": 2, "aspect_ratio": "3:4"},
        ],
    )
    ran = run(source, sim)
    assert ran.summary.exit_code == 0
    assert len(ran.rows) == 5
    for row in ran.rows:
        stamp = read_stamp(ran.image(row))
        assert (stamp["prompt"], stamp["sample"]) == (row["prompt"], row["sample"])
        assert (stamp["model"], stamp["aspect_ratio"]) == (row["model"], row["aspect_ratio"])


def test_images_are_kept_byte_for_byte(tmp_path, sim):
    """Re-encoding would strip the signed content credentials."""
    ran = run(prompts(tmp_path, "one", "two"), sim)
    sent = {image.sha256 for image in sim.images}
    assert {row["sha256"] for row in ran.rows} == sent


def test_a_second_run_sends_nothing(tmp_path, sim):
    """Existing images are not paid for again."""
    source = prompts(tmp_path, "one", "two")
    first = run(source, sim)
    second = run(source, sim)
    assert len(sim.requests) == 2
    assert second.rows == first.rows
    assert second.summary.exit_code == 0


def test_edits_make_exactly_the_changed_rows(tmp_path, sim):
    """A row is inserted, rows are reordered, a typo is fixed: only the new prompts are sent."""
    run(prompts(tmp_path, "one", "tow", "three"), sim)
    ran = run(prompts(tmp_path, "three", "zero", "one", "two"), sim)
    assert len(sim.requests) == 5
    assert [row["prompt"] for row in ran.rows] == ["three", "zero", "one", "two"]
    assert set(ran.statuses) == {"ok"}


def test_more_samples_are_added_to_existing_ones(tmp_path, sim):
    """Two of four exist already: the other two are requested."""
    source = prompts(tmp_path, "one")
    run(source, sim, model=IMAGEN, samples=2)
    ran = run(source, sim, model=IMAGEN, samples=4)
    assert sim.bill.total == 4
    assert ran.statuses == ["ok"] * 4


def test_equal_rows_are_variants(tmp_path, sim):
    """The same prompt twice makes two images, and neither overwrites the other."""
    ran = run(prompts(tmp_path, "one", "one"), sim)
    assert len({row["file"] for row in ran.rows}) == 2
    assert len(sim.requests) == 2


@pytest.mark.parametrize(
    "prompt", ["日本語の絵", "Ünïcode – “quotes”", 'a "b", c', "two\nlines", "tab\there", "😀" * 50]
)
def test_prompts_arrive_byte_for_byte(tmp_path, sim, prompt):
    """Every kind of character reaches the service as it is in the file."""
    ran = run(prompts(tmp_path, prompt), sim)
    assert read_stamp(ran.image(ran.rows[0]))["prompt"] == prompt


MARKED = {
    "prompt_refused_400": ("filtered", "filtered_input"),
    "all_filtered": ("filtered", "filtered_output"),
    "empty_object": ("filtered", "filtered_output"),
    "blocked_prompt": ("filtered", "filtered_input"),
    "finish_IMAGE_SAFETY": ("filtered", "filtered_output"),
    "finish_NO_IMAGE": ("failed", "no_image"),
    "text_only": ("failed", "no_image"),
    "bad_request": ("failed", "bad_request"),
    "internal_500": ("failed", "transient_exhausted"),
    "overloaded_503": ("failed", "transient_exhausted"),
    "reset": ("unknown", "transient_exhausted"),
    "cut_json": ("failed", "transient_exhausted"),
    "bad_base64": ("failed", "transient_exhausted"),
    "half_picture": ("failed", "transient_exhausted"),
}
PREDICT_ONLY = {"all_filtered", "empty_object"}


def test_a_run_of_many_causes_names_each(tmp_path, sim):
    """No row is missing, each cause has its own error kind, and the exit code says that images are missing."""
    rows = [{"prompt": f"{name} [[sim:{name}]]", "model": IMAGEN if name in PREDICT_ONLY else ""} for name in MARKED]
    source = write_csv(tmp_path / "p.csv", [*rows, {"prompt": "a fine one", "model": ""}])
    fast = {"requests_per_minute": 60_000.0, "max_attempts": 2, "parameters": {}}
    ran = run(source, sim, **fast)
    results = {row["prompt"].split()[0]: (row["status"], row["error_kind"]) for row in ran.rows[:-1]}
    assert results == MARKED
    assert ran.statuses[-1] == "ok"
    assert ran.summary.exit_code == 3
    assert len(ran.failures) == len(MARKED)
    assert sum(cause.count for cause, _ in ran.summary.causes) == len(MARKED)


def test_siblings_of_a_refused_sample_are_kept(tmp_path, sim):
    """Three images and one refusal give three ok and one filtered, with its reason."""
    ran = run(prompts(tmp_path, "a crowd [[sim:partial 1]]"), sim, model=IMAGEN, samples=4)
    assert sorted(ran.statuses) == ["filtered", "ok", "ok", "ok"]
    refused = next(row for row in ran.rows if row["status"] == "filtered")
    assert refused["raiFilteredReason"]
    assert len(sim.requests) == 1


def test_only_the_refused_samples_are_sent_again(tmp_path):
    """`--retry filtered` sends one sample, not four."""
    with Simulator(faults=[{"match": "*", "fault": "partial", "times": 1, "options": {"count": 1}}]) as sim:
        source = prompts(tmp_path, "a crowd")
        first = run(source, sim, model=IMAGEN, samples=4)
        assert first.statuses.count("filtered") == 1
        again = run(source, sim, model=IMAGEN, samples=4, retry="filtered")
        assert again.statuses == ["ok"] * 4
        assert sim.bill.total == 4


def test_failed_rows_are_sent_again_only_on_request(tmp_path):
    """A second run sends nothing without `--retry failed`."""
    with Simulator(faults=[{"match": "*", "fault": "bad_request", "times": 1}]) as sim:
        source = prompts(tmp_path, "one")
        assert run(source, sim).statuses == ["failed"]
        assert run(source, sim).statuses == ["failed"]
        assert len(sim.requests) == 1
        assert run(source, sim, retry="failed").statuses == ["ok"]


@pytest.mark.parametrize("fault", ["internal_500", "overloaded_503", "deadline_504", "bad_gateway_502", "reset"])
def test_a_temporary_error_is_tried_again(tmp_path, fault):
    """The third attempt succeeds, and the manifest counts three."""
    with Simulator(faults=[{"match": "*", "fault": fault, "times": 2}]) as sim:
        ran = run(prompts(tmp_path, "one"), sim)
        assert ran.statuses == ["ok"]
        assert ran.rows[0]["attempts"] == 3


def test_an_ordinary_429_costs_no_row(tmp_path):
    """Twelve requests are refused by the per-minute limit; every image is made in the end."""
    fault = {"match": "*", "fault": "quota_minute", "times": 2, "options": {"delay": 0.01, "limit": 60000}}
    with Simulator(faults=[fault]) as sim:
        ran = run(prompts(tmp_path, *(f"prompt {number}" for number in range(6))), sim)
        assert ran.statuses == ["ok"] * 6
        assert ran.summary.facts.refused_429 == 12


def test_a_lost_reply_is_part_of_the_upper_bound(tmp_path):
    """It may have been charged, so the bounds are one and two images."""
    with Simulator(faults=[{"match": "*", "fault": "reset_midway", "times": 1}]) as sim:
        summary = run(prompts(tmp_path, "one"), sim).summary
        assert summary.cost_high_usd > summary.cost_low_usd > 0


def test_a_missing_image_is_requested_a_few_more_times(tmp_path, sim):
    """NO_IMAGE may be temporary: it becomes final after three attempts."""
    ran = run(prompts(tmp_path, "one [[sim:finish_NO_IMAGE]]"), sim)
    assert ran.statuses == ["failed"]
    assert len(sim.requests) == 3


def test_a_refused_prompt_costs_one_attempt(tmp_path, sim):
    """The same prompt would always be refused."""
    run(prompts(tmp_path, "one [[sim:finish_IMAGE_SAFETY]]", "two [[sim:prompt_refused_400]]"), sim)
    assert len(sim.requests) == 2


def test_a_damaged_image_among_good_ones_is_requested_alone(tmp_path):
    """The intact images are paid for once."""
    with Simulator(faults=[{"match": "*", "fault": "half_picture", "times": 1}]) as sim:
        ran = run(prompts(tmp_path, "one"), sim, model=IMAGEN, samples=4)
        assert ran.statuses == ["ok"] * 4
        assert len(sim.requests) <= 1 + 4


@pytest.mark.parametrize(
    ("fault", "exit_code"), [("bad_key", 2), ("not_billed", 2), ("model_gone", 2), ("quota_day", 75)]
)
def test_an_error_of_every_attempt_stops_the_run(tmp_path, fault, exit_code):
    """Rows stay pending and the next run sends them."""
    with Simulator(faults=[{"match": "*", "fault": fault, "times": 1}]) as sim:
        source = prompts(tmp_path, *(f"prompt {number}" for number in range(30)))
        ran = run(source, sim, concurrency=1)
        assert ran.summary.exit_code == exit_code
        assert set(ran.statuses) == {"not_attempted"}
        assert len(sim.requests) == 1


def test_the_budget_is_never_exceeded(tmp_path, sim):
    """Two of five fit; a run with a higher limit makes the others."""
    source = prompts(tmp_path, *"abcde")
    ran = run(source, sim, model=IMAGEN, max_cost=0.09)
    assert sorted(ran.statuses) == ["ok", "ok", "skipped_budget", "skipped_budget", "skipped_budget"]
    assert ran.summary.exit_code == 6
    assert run(source, sim, model=IMAGEN, max_cost=1.0).statuses == ["ok"] * 5
    assert sim.bill.total == 5


def test_a_missing_image_is_reported_and_not_paid_for_without_consent(tmp_path, sim):
    """`ok` with a missing file would be wrong; only the user decides to make it again."""
    source = prompts(tmp_path, "one")
    first = run(source, sim)
    (first.folder / first.rows[0]["file"]).unlink()
    second = run(source, sim)
    assert [(row["status"], row["error_kind"]) for row in second.rows] == [("failed", "file_missing")]
    assert len(sim.requests) == 1
    assert run(source, sim, retry="missing").statuses == ["ok"]


def test_a_truncated_image_is_reported(tmp_path, sim):
    """Its size differs from what was received."""
    source = prompts(tmp_path, "one")
    first = run(source, sim)
    os.truncate(first.folder / first.rows[0]["file"], 100)
    assert run(source, sim).rows[0]["error_kind"] == "file_missing"
    assert run(source, sim, retry="missing").statuses == ["ok"]


def test_images_of_other_rows_are_counted(tmp_path, sim):
    """After a run of a shorter file the summary counts the images of the other rows."""
    run(prompts(tmp_path, "one", "two", "three"), sim)
    assert run(prompts(tmp_path, "two"), sim).summary.facts.older_images == 2


def test_the_next_run_finds_the_paid_images_of_a_killed_run(tmp_path, sim):
    """An image in `incoming` without a record is put in place and not paid for again."""
    source = prompts(tmp_path, "one")
    ran = run(source, sim)
    row = ran.rows[0]
    state = ran.folder / ".imagen-batch"
    (state / "incoming" / f"{row['key']}_1").write_bytes(ran.image(row))
    (ran.folder / row["file"]).unlink()
    ledger = next((state / "ledger").iterdir())
    sent = ledger.read_bytes().split(b"\n")[0] + b"\n"
    ledger.write_bytes(sent)
    again = run(source, sim)
    assert again.statuses == ["ok"]
    assert len(sim.requests) == 1
    assert not list(state.glob("incoming/*"))


def test_an_attempt_without_a_reply_is_unknown_and_can_be_held(tmp_path, sim):
    """`hold` leaves it unknown; the default is `resend`."""
    source = prompts(tmp_path, "one")
    ran = run(source, sim)
    ledger = next((ran.folder / ".imagen-batch" / "ledger").iterdir())
    ledger.write_bytes(ledger.read_bytes().split(b"\n")[0] + b"\n")
    (ran.folder / ran.rows[0]["file"]).unlink()
    assert run(source, sim, on_unknown="hold").statuses == ["unknown"]
    assert len(sim.requests) == 1
    assert run(source, sim).statuses == ["ok"]


def test_hold_does_not_resend_within_the_run_either(tmp_path):
    """An attempt that may have been charged is left to the user."""
    with Simulator(faults=[{"match": "*", "fault": "reset_midway"}]) as sim:
        ran = run(prompts(tmp_path, "one"), sim, on_unknown="hold")
        assert ran.statuses == ["unknown"]
        assert len(sim.requests) == 1


SECRETS = {
    "a.csv": 'api_key,prompt,note\r\nSECRET1,"two\r\nlines",x\r\n\r\nSECRET2,b,y\r\n',
    "b.tsv": 'prompt\ttoken\na "quoted" b\tSECRET1\n',
    "c.csv": "sep=;\nprompt;password\na;SECRET1\n",
    "d.jsonl": '{"prompt": "a", "api_key": "SECRET1", "x": {"password": "SECRET2", "n": 1e5}}\n\n{"prompt": "b"}\n',
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_of_the_input_is_copied_nowhere(tmp_path, sim, name):
    """This includes the run's own copy, which otherwise has the same rows as the original."""
    source = tmp_path / name
    source.write_text(SECRETS[name], newline="")
    options = make_settings({"prompts": str(source), "provider": "simulator"})
    before = list(make_plan(options, today=TODAY).planned_rows())
    ran = run(source, sim)
    assert set(ran.statuses) == {"ok"}
    copy = make_plan(load_settings_snapshot(ran.folder).model_copy(update={"base_url": sim.url}), today=TODAY)
    assert [order.row for order in copy.planned_rows()] == [order.row for order in before]
    for path in ran.folder.rglob("*"):
        assert not path.is_file() or b"SECRET" not in path.read_bytes(), path


def test_two_runs_do_not_share_a_folder(tmp_path, sim):
    """The error names the process that holds the folder."""
    source = prompts(tmp_path, "one")
    with (
        open_storage(tmp_path / "out").hold_lock(),
        pytest.raises(FolderBusy, match=str(os.getpid())),
    ):
        run(source, sim)


@pytest.mark.parametrize("name", ["../../escape", "/etc/passwd", "a/../../b", "C:\\x"])
def test_a_file_name_can_not_leave_the_folder(tmp_path, sim, name):
    """Names that lead out of the folder are refused before anything is sent."""
    source = write_csv(tmp_path / "p.csv", [{"prompt": "one", "filename": name}])
    with pytest.raises(InputInvalid):
        run(source, sim)
    assert not sim.requests


def test_user_chosen_names_are_kept_and_never_overwritten(tmp_path, sim):
    """Where two rows want the same name, part of its key is added to the second."""
    source = write_csv(
        tmp_path / "p.csv", [{"prompt": "one", "filename": "hero"}, {"prompt": "two", "filename": "hero"}]
    )
    files = sorted(row["file"] for row in run(source, sim, concurrency=1).rows)
    assert Path(files[0]).stem == "hero"
    assert files[0] != files[1]


def test_a_missing_key_is_reported_before_anything_is_sent(tmp_path):
    """A run never falls back to the simulator by itself."""
    with pytest.raises(SettingsInvalid, match="GOOGLE_API_KEY"):
        run(prompts(tmp_path, "one"), None, provider="gemini")


def test_the_key_appears_nowhere(tmp_path):
    """No file of a run with all kinds of failures contains it, not even when the service echoes it."""
    key = "AIzaSyPLANTED-in-the-environment-0000000"
    names = ["echo_key", "internal_500", "reset", "redirect", "html_200"]
    with Simulator() as sim:
        source = prompts(tmp_path, *(f"{name} [[sim:{name}]]" for name in names))
        ran = run(source, sim, provider="gemini", env={"GOOGLE_API_KEY": key}, max_attempts=2)
    for path in ran.folder.rglob("*"):
        if path.is_file():
            assert key.encode() not in path.read_bytes(), path
            assert key[4:20].encode() not in path.read_bytes(), path


def test_a_signal_stops_new_attempts_and_the_next_run_continues(tmp_path):
    """Images in flight are kept; the rest waits for the next run."""
    with Simulator() as sim:
        source = prompts(tmp_path, *(f"prompt {number}" for number in range(20)))
        settings = make_settings(
            {
                "prompts": str(source),
                "out": str(tmp_path / "out"),
                "provider": "simulator",
                "base_url": sim.url,
                "concurrency": 1,
            }
        )
        with open_run(make_plan(settings, today=TODAY), env={}) as opened:
            opened.counter.on_results = lambda _: opened.stop.interrupt(signal.SIGINT)
            for shard in opened.shards():
                opened.generate_shard(shard)
            summary = opened.finish()
        assert summary.exit_code == 130
        assert summary.counts["ok"] == 1
        assert run(source, sim).statuses == ["ok"] * 20
        assert len(sim.requests) == 20


def test_repeated_requests_reserve_no_money_and_are_counted(tmp_path):
    """Three answers without an image are paid for and nothing stays reserved, so the next row fits."""
    with Simulator() as sim:
        source = prompts(tmp_path, "one [[sim:finish_NO_IMAGE]]", "two", "three")
        ran = run(source, sim, concurrency=1, max_cost=0.2)
        assert ran.statuses == ["failed", "ok", "ok"]
        assert ran.rows[0]["attempts"] == 3
        assert ran.summary.cost_low_usd == ran.summary.cost_high_usd
        assert ran.summary.cost_low_usd > 3 * 0.0015 + 2 * 0.033


def test_a_bug_ends_the_run_and_leaves_a_correct_manifest(tmp_path, monkeypatch):
    """The run does not hang, no row is missing, and the exception is raised."""

    def broken(*_):
        raise ZeroDivisionError

    with Simulator() as sim:
        source = prompts(tmp_path, *"abcdef")
        options = {"prompts": str(source), "out": str(tmp_path / "out"), "provider": "simulator", "base_url": sim.url}
        plan = make_plan(make_settings({**options, "max_cost": 0.1, "concurrency": 2}), today=TODAY)
        monkeypatch.setattr("imagen_batch.sending.generate._samples", broken)
        with open_run(plan, env={}) as opened:
            (shard,) = opened.shards()
            with pytest.raises(ZeroDivisionError):
                opened.generate_shard(shard)
            summary = opened.finish()
    assert summary.exit_code == 1
    assert summary.asked == 6


def test_the_reader_of_the_progress_may_disappear(tmp_path, sim):
    """`2>&1 | head` ends the display, not the run."""
    source = prompts(tmp_path, *"abcd")
    options = {"prompts": str(source), "out": str(tmp_path / "out"), "provider": "simulator", "base_url": sim.url}
    with open_run(make_plan(make_settings(options), today=TODAY), env={}) as opened:

        def break_pipe(_):
            raise BrokenPipeError

        opened.counter.on_results = break_pipe
        for shard in opened.shards():
            opened.generate_shard(shard)
        assert opened.finish().exit_code == 0


def test_requests_of_a_row_have_different_seeds(tmp_path, sim):
    """Eight samples take two requests, which would make the same four images with the same seed."""
    run(prompts(tmp_path, "one"), sim, model=IMAGEN, samples=8, seed=7)
    assert sorted(b'"seed":7' in row.body for row in sim.requests) == [False, True]


def test_a_damaged_ledger_is_named(tmp_path, sim):
    """The error names the position and is not reported as a bug."""
    source = prompts(tmp_path, "one")
    folder = run(source, sim).folder
    ledger = next((folder / ".imagen-batch" / "ledger").iterdir())
    ledger.write_bytes(b"\0" * 20 + b"\n" + ledger.read_bytes())
    with pytest.raises(SettingsInvalid, match="byte 0"):
        run(source, sim)


def test_a_partly_saved_reply_counts_the_rest_as_possibly_charged(tmp_path, sim):
    """Four were requested and a kill left one of them: the others may have been charged."""
    source = prompts(tmp_path, "one")
    first = run(source, sim, model=IMAGEN, samples=4)
    state = first.folder / ".imagen-batch"
    row = first.rows[1]
    (state / "incoming" / f"{row['key']}_2").write_bytes(first.image(row))
    for row in first.rows:
        (first.folder / row["file"]).unlink()
    ledger = next((state / "ledger").iterdir())
    ledger.write_bytes(ledger.read_bytes().split(b"\n")[0] + b"\n")
    summary = run(source, sim, model=IMAGEN, samples=4).summary
    assert sim.bill.total == 4 + 3
    assert summary.cost_low_usd == pytest.approx(4 * 0.04)
    assert summary.cost_high_usd == pytest.approx(7 * 0.04)


def test_an_image_made_again_is_not_paid_for_once_more_after_a_kill(tmp_path, sim, monkeypatch):
    """`--retry missing` was killed before the image had its name; the older record is of another image."""
    source = prompts(tmp_path, "one")
    first = run(source, sim)
    (first.folder / first.rows[0]["file"]).unlink()

    class Killed(BaseException):
        pass

    def killed(*_args, **_named):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("imagen_batch.images.store.ImageStore.publish", killed)
        with pytest.raises(Killed):
            run(source, sim, retry="missing")
    assert run(source, sim).statuses == ["ok"]
    assert sim.bill.total == 2
