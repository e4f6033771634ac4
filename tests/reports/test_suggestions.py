"""Tests that each suggested command continues the same run: the same service and settings, only the named changes."""

import io
import json
import re
import shlex
from pathlib import Path

import pytest

from imagen_batch.simulator import Simulator
from tests.support.runs import write_csv
from tests.support.shell import Shell, manifest

ODD = 'it\'s a "book" $HOME & co'

# name: (fault of the service or None, marker in the second prompt, further options, environment)
ENDINGS = {
    "internal_500": ("internal_500", "", [], {}),
    "overloaded_503": ("overloaded_503", "", [], {}),
    "deadline_504": ("deadline_504", "", [], {}),
    "bad_gateway_502": ("bad_gateway_502", "", [], {}),
    "reset": ("reset", "", [], {}),
    "reset midway": ("reset_midway", "", [], {}),
    "reset, held": ("reset_midway", "", ["--on-unknown", "hold"], {}),
    "cut json": ("cut_json", "", [], {}),
    "half image": ("half_picture", "", [], {}),
    "bad base64": ("bad_base64", "", [], {}),
    "bad key": ("bad_key", "", [], {}),
    "not billed": ("not_billed", "", [], {}),
    "model gone": ("model_gone", "", [], {}),
    "daily quota": ("quota_day", "", [], {}),
    "refused prompt": (None, "[[sim:prompt_refused_400]]", [], {}),
    "blocked prompt": (None, "[[sim:blocked_prompt]]", [], {}),
    "image safety": (None, "[[sim:finish_IMAGE_SAFETY]]", [], {}),
    "no image": (None, "[[sim:finish_NO_IMAGE]]", [], {}),
    "text only": (None, "[[sim:text_only]]", [], {}),
    "bad request": (None, "[[sim:bad_request]]", [], {}),
    "max cost": (None, "", ["--max-cost", "0.05"], {}),
    "max cost, nothing fits": (None, "", ["--max-cost", "0.01"], {}),
    "max images": (None, "", ["--max-images", "1"], {}),
    "max cost per run": (None, "", ["--max-cost-per-run", "0.05"], {}),
    "max cost per run, nothing fits": (None, "", ["--max-cost-per-run", "0.01"], {}),
    "both limits": (None, "", ["--max-cost", "0.08", "--max-cost-per-run", "0.05"], {}),
    "lost, then no budget": ("reset_midway", "", ["--max-cost", "0.05"], {}),
    "lost, then no budget, held": ("reset_midway", "", ["--max-cost", "0.05", "--on-unknown", "hold"], {}),
    "limit": (None, "", ["--limit", "1"], {}),
    "limit from the environment": (None, "", [], {"IMAGEN_BATCH_LIMIT": "1"}),
    "failed, budget used up": (None, "[[sim:finish_NO_IMAGE]]", ["--max-images", "2"], {}),
    "outage": ("overloaded_503", "", ["--outage-limit", "0.0001"], {}),
    "name template": (None, "[[sim:bad_request]]", ["--name-template", "{row:03}-{slug}"], {}),
}


@pytest.fixture
def book(tmp_path: Path) -> Path:
    folder = tmp_path / ODD
    folder.mkdir()
    return folder / "my 'book'.csv"


def bodies(sim: Simulator) -> list[dict]:
    return [json.loads(request.body) for request in sim.requests]


def prompt_of(body: dict) -> str:
    return body["contents"][0]["parts"][0]["text"]


def suggestions(shell: Shell, summary: dict, folder: Path) -> set[tuple[str, str]]:
    """Return status and command of every suggestion, which must be the same in every output."""
    commands = {(each["status"], each["next"][each["next"].index("imagen-batch ") :]) for each in summary["causes"]}
    page = (folder / "summary.md").read_text()
    listed = {line.strip() for line in page.splitlines() if line.startswith("    imagen-batch")}
    assert listed == {command for _, command in commands}
    # `status` does not know why a run stopped, nor does it call a limit a failure.
    printed = shell.run("status", folder).out
    expected = {command for status, command in commands if status not in {"skipped_budget", "not_attempted"}}
    assert all(command in printed for command in expected)
    return commands


@pytest.mark.parametrize("name", ENDINGS)
def test_every_suggestion_continues_the_same_run(shell, tmp_path, book, name):
    """The commands are pasted in another folder, where settings file and environment differ."""
    fault, marker, options, env = ENDINGS[name]
    times = 2 if "lost" not in name else 1
    faults = [{"match": "*", "fault": fault, "times": times}] if fault else []
    with Simulator(faults=faults) as sim:
        write_csv(book, [{"prompt": "a mole"}, {"prompt": f"a rat {marker}".strip()}])
        shell.env |= env
        given_options = ["--provider", "simulator", "--base-url", sim.url, "--aspect-ratio", "16:9", "--samples", "2"]
        given_options += ["--concurrency", "1", "--max-attempts", "2", "--out", f"out {ODD}", *options]
        first = shell.run("run", book, *given_options, "--json")
        folder = shell.here / f"out {ODD}"
        assert first.code != 0
        commands = suggestions(shell, first.json, folder)
        assert commands

        elsewhere = Shell(shell.patch, shell.capture, tmp_path / "elsewhere", {"IMAGEN_BATCH_SAMPLES": "3"})
        elsewhere.here.mkdir()
        (elsewhere.here / "imagen-batch.toml").write_text('aspect_ratio = "1:1"\nprovider = "gemini"\n')
        for _, line in sorted(commands):
            assert not re.search(r"USD|\bN\b|\bID\b|\.imagen-batch/", line)
            sent, billed = len(sim.requests), sim.bill.total
            before = {(row["row"], row["sample"]): row for row in manifest(folder)}
            done = elsewhere.paste(line)
            if shlex.split(line)[1] == "models":
                assert len(sim.requests) == sent
                continue
            assert done.code in (0, 3, 4, 6, 75) or (done.code, fault) in {(2, "bad_key"), (2, "not_billed")}, done
            after = {(row["row"], row["sample"]): row for row in manifest(folder)}
            assert after.keys() == before.keys()
            for body in bodies(sim)[sent:]:
                assert body["generationConfig"]["imageConfig"]["aspectRatio"] == "16:9"
                assert prompt_of(body) in {row["prompt"] for row in before.values() if row["status"] != "ok"}
            for sample, row in before.items():
                if row["status"] == "ok":
                    assert after[sample]["sha256"] == row["sha256"], "an existing image is not made again"
            edit = "--prompts" in line or "failures.csv" in line
            if not edit and before != after:
                assert len(sim.requests) > sent, "it sends something"
            if not edit:
                assert sim.bill.total > billed or fault or marker, "nothing was made"
    assert fault or sim.bill.total <= 4


@pytest.mark.parametrize("source", ["kept", "gone", "standard input"])
def test_a_reworded_row_goes_to_the_same_run(shell, tmp_path, source):
    """The user edits the prompt file if it still exists, else failures.csv, and never the hidden copy."""
    with Simulator() as sim:
        book = write_csv(tmp_path / "book.csv", [{"prompt": "a mole"}, {"prompt": "a rat [[sim:blocked_prompt]]"}])
        given_options = [
            "--provider",
            "simulator",
            "--base-url",
            sim.url,
            "--samples",
            "2",
            "--out",
            tmp_path / "out",
        ]
        given = book
        if source == "standard input":
            shell.patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(book.read_bytes())))
            given = "-"
        first = shell.run("run", given, *given_options, "--json")
        if source == "gone":
            book.unlink()
            first = shell.run("status", tmp_path / "out", "--json")
        line = first.json["causes"][0]["next"]
        edited = book if source == "kept" else tmp_path / "out" / "failures.csv"
        assert str(edited) in line
        edited.write_text(edited.read_text().replace(" [[sim:blocked_prompt]]", " in a boat"))
        done = shell.paste(line[line.index("imagen-batch ") :])
        assert done.code == 0, done
        assert [row["prompt"] for row in manifest(tmp_path / "out")] == ["a mole"] * 2 + ["a rat in a boat"] * 2
        assert sim.bill.total == 4


def test_a_held_attempt_is_paid_again_only_when_asked_for(shell, tmp_path):
    """Nothing else is pending and the limit is used up: the command raises it by what it sends."""
    with Simulator(faults=[{"match": "*", "fault": "reset_midway", "times": 1}]) as sim:
        book = write_csv(tmp_path / "book.csv", [{"prompt": "a mole"}])
        given_options = ["--provider", "simulator", "--base-url", sim.url, "--out", tmp_path / "out"]
        first = shell.run("run", book, *given_options, "--max-cost", "0.05", "--on-unknown", "hold", "--json")
        line = first.json["causes"][0]["next"]
        assert first.code == 4  # held, not stopped by the budget
        assert "--retry unknown --max-cost 0.09" in line
        assert shell.paste(line[line.index("imagen-batch") :]).code == 0


def test_after_a_repair_the_suggestions_continue_the_run(shell, tmp_path):
    """They do not repeat the audit, whose options `run` does not have."""
    with Simulator() as sim:
        book = write_csv(tmp_path / "book.csv", [{"prompt": "a mole"}, {"prompt": "a rat [[sim:bad_request]]"}])
        given_options = [
            "--provider",
            "simulator",
            "--base-url",
            sim.url,
            "--concurrency",
            "1",
            "--out",
            tmp_path / "out",
        ]
        shell.run("run", book, *given_options)
        (image,) = (tmp_path / "out" / "images").iterdir()
        image.unlink()
        (tmp_path / "out" / "manifest.csv").unlink()
        repaired = shell.run("audit", tmp_path / "out", "--repair", "--json", "--yes")
        lines = [cause["next"] for cause in json.loads(repaired.out)["causes"]]
        assert lines
        for line in lines:
            assert f"imagen-batch resume {tmp_path}/out" in line


def test_a_folder_of_an_earlier_version_resumes(shell, tmp_path):
    """Such a folder has no run.json."""
    with Simulator(faults=[{"match": "a rat", "fault": "internal_500", "times": 1}]) as sim:
        book = write_csv(tmp_path / "book.csv", [{"prompt": "a mole"}, {"prompt": "a rat"}])
        given_options = [
            "--provider",
            "simulator",
            "--base-url",
            sim.url,
            "--max-attempts",
            "1",
            "--out",
            tmp_path / "out",
        ]
        assert shell.run("run", book, *given_options).code == 3
        (tmp_path / "out" / ".imagen-batch" / "run.json").unlink()
        assert shell.run("resume", tmp_path / "out", "--retry", "failed").code == 0
        assert sim.bill.total == 2


def test_the_argument_vector_is_stored_with_absolute_paths(shell, tmp_path):
    """It contains only the user's own words."""
    with Simulator() as sim:
        write_csv(shell.here / "book.csv", [{"prompt": "a mole"}])
        given_options = ["--provider", "simulator", f"--base-url={sim.url}", "--out=out"]
        assert shell.run("run", "book.csv", *given_options).code == 0
        record = json.loads((shell.here / "out" / ".imagen-batch" / "run.json").read_text())
        assert record["argv"] == [
            *("imagen-batch", "run", str(shell.here / "book.csv"), "--provider", "simulator"),
            *(f"--base-url={sim.url}", f"--out={shell.here / 'out'}"),
        ]


def test_resume_uses_the_stored_input_and_reports_that_the_file_differs(shell, tmp_path):
    """An edited file is not sent, and not paid for, unless the user gives it."""
    with Simulator() as sim:
        book = write_csv(tmp_path / "book.csv", [{"prompt": "a mole"}])
        shell.run("run", book, "--provider", "simulator", "--base-url", sim.url, "--out", tmp_path / "out")
        write_csv(book, [{"prompt": "a mole"}, {"prompt": "a badger"}])
        done = shell.run("resume", tmp_path / "out")
        assert done.code == 0
        assert sim.bill.total == 1
        (line,) = re.findall(r"imagen-batch resume .*", done.err)
        assert shell.paste(line).code == 0
        assert sim.bill.total == 2


def test_a_retry_is_not_repeated_by_the_next_resume(shell, tmp_path):
    """A retry applies to one run."""
    with Simulator() as sim:
        book = write_csv(tmp_path / "book.csv", [{"prompt": "a rat [[sim:bad_request]]"}])
        shell.run("run", book, "--provider", "simulator", "--base-url", sim.url, "--out", tmp_path / "out")
        shell.run("resume", tmp_path / "out", "--retry", "failed")
        assert len(sim.requests) == 2
        shell.run("resume", tmp_path / "out")
        assert len(sim.requests) == 2
