"""Tests a prompt file that is given to a folder with a run: no paid row is lost, and nothing is paid for twice."""

import csv
import io
import json
import re

import pytest

from imagen_batch.audit.audit import audit
from imagen_batch.simulator import Simulator, read_stamp
from tests.support.runs import write_csv
from tests.support.shell import manifest

IMAGEN = "imagen-4.0-generate-001"


def facts(folder):
    """Return file, digest and prompt of each sample, which must not change when other rows do."""
    return {(row["row"], row["sample"]): (row["file"], row["sha256"], row["prompt"]) for row in manifest(folder)}


def read_failures(folder):
    with (folder / "failures.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_failures(path, rows, *, delimiter=",", encoding="utf-8", end="\r\n"):
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, lineterminator=end)
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))


def test_a_limit_takes_nothing_out_of_the_tables(shell, tmp_path, sim, run_into_out):
    """A finished folder keeps its manifest; nothing is sent."""
    book = write_csv(tmp_path / "book.csv", [{"prompt": f"prompt {number}"} for number in range(8)])
    assert run_into_out(book).code == 0
    before = facts(tmp_path / "out")
    assert run_into_out(book, "--limit", 2).code == 0
    assert facts(tmp_path / "out") == before
    assert len(sim.requests) == 8


def test_rows_beyond_a_limit_are_listed_as_not_attempted(shell, tmp_path, sim, run_into_out):
    """The exit code is 3 because images are missing; the next step has the price of the others."""
    book = write_csv(tmp_path / "book.csv", [{"prompt": f"prompt {number}"} for number in range(5)])
    result = run_into_out(book, "--limit", 2, "--json")
    assert result.code == 3
    assert (result.json["state"], result.json["samples"]["asked"], result.json["samples"]["not_attempted"]) == (
        "finished",
        5,
        3,
    )
    assert [row["status"] for row in manifest(tmp_path / "out")] == ["ok"] * 2 + ["not_attempted"] * 3
    (cause,) = result.json["causes"]
    assert "beyond --limit 2" in cause["message"]
    assert "$0.13" in cause["next"]
    assert shell.run("resume", tmp_path / "out").code == 3
    assert len(sim.requests) == 2
    line = cause["next"]
    assert shell.paste(line[line.index("imagen-batch") :]).code == 0
    assert len(sim.requests) == 5


def semicolons(rows):
    return {"delimiter": ";"}, rows


def cp1252(rows):
    return {"delimiter": ";", "encoding": "cp1252"}, rows


def byte_order_mark(rows):
    return {"encoding": "utf-8-sig"}, rows


def unix_lines(rows):
    return {"end": "\n"}, rows


def tabs_in_utf16(rows):
    return {"delimiter": "\t", "encoding": "utf-16"}, rows


def reordered(rows):
    return {}, [dict(reversed(row.items())) for row in rows]


def dropped(rows):
    gone = ("status", "reason", "http_status", "note")
    return {}, [{name: cell for name, cell in row.items() if name not in gone} for row in rows]


def mac_lines(rows):
    return {"end": "\r"}, rows


def without_advice(rows):
    return {}, [{name: cell for name, cell in row.items() if name != "imagen_batch_advice"} for row in rows]


def without_mark(rows):
    return {}, [{name: cell for name, cell in row.items() if name != "imagen_batch_row"} for row in rows]


def padded_columns(rows):
    """Add empty columns, as Excel does if a cell to the right was edited."""
    return {"delimiter": ";"}, [{**row, "": "", " ": ""} for row in rows]


def decimals(rows):
    """Write the numbers of our own columns as LibreOffice displays them."""
    return {}, [{**row, "http_status": f"{row['http_status']},00", "attempts": "1.0"} for row in rows]


SPREADSHEETS = [
    *(semicolons, cp1252, byte_order_mark, unix_lines, tabs_in_utf16, reordered, dropped),
    *(mac_lines, without_advice, padded_columns, decimals),
]


@pytest.mark.parametrize("saved", SPREADSHEETS)
@pytest.mark.parametrize("edit", [False, True], ids=["as it is", "edited"])
def test_a_failures_file_is_a_patch_of_the_rows_it_names(shell, tmp_path, run_into_out, saved, edit):
    """One of twelve images is missing: only it is requested, whichever program saved the file."""
    fault = {"match": "a crôwd", "fault": "partial", "times": 1, "options": {"count": 1}}
    with Simulator(faults=[fault]) as sim:
        rows = [{"prompt": text, "note": f"für {text}"} for text in ("a mole", "a crôwd", "a rat")]
        book = write_csv(tmp_path / "book.csv", rows)
        first = run_into_out(book, "--base-url", sim.url, "--model", IMAGEN, "--samples", 4)
        assert first.code == 3
        before, billed_before = facts(tmp_path / "out"), sim.bill.total
        form, lines = saved(read_failures(tmp_path / "out"))
        if edit:
            lines = [{**line, "prompt": "a small crôwd"} for line in lines]
        write_failures(tmp_path / "out" / "failures.csv", lines, **form)
        result = shell.run("run", tmp_path / "out" / "failures.csv")
        assert result.code == 0, result
        assert sim.bill.total == billed_before + 1 == 12
    after = facts(tmp_path / "out")
    assert list(after) == list(before)
    new = [sample for sample, sample_facts in after.items() if before[sample] != sample_facts]
    assert len(new) == 1
    assert after[new[0]][2] == ("a small crôwd" if edit else "a crôwd")
    for row in manifest(tmp_path / "out"):
        stamp = read_stamp((tmp_path / "out" / row["file"]).read_bytes())
        assert stamp["prompt"] == row["prompt"]
        assert row["note"] == f"für {['a mole', 'a crôwd', 'a rat'][row['row'] - 1]}"
    assert read_failures(tmp_path / "out") == []
    assert audit(tmp_path / "out").clean


def test_a_failures_file_without_the_mark_is_recognized_by_the_advice(shell, tmp_path, sim, run_into_out):
    """The advice is not a column of the user's, and the row is found by its content."""
    book = write_csv(tmp_path / "book.csv", [{"prompt": "a mole"}, {"prompt": "a rat [[sim:blocked_prompt]]"}])
    assert run_into_out(book).code == 3
    _, lines = without_mark(read_failures(tmp_path / "out"))
    write_failures(tmp_path / "out" / "failures.csv", lines)
    assert shell.run("run", tmp_path / "out" / "failures.csv").code == 3
    assert len(sim.requests) == 3, "the refused row alone is sent again"
    assert "imagen_batch_advice" not in manifest(tmp_path / "out")[0]
    assert read_failures(tmp_path / "out")[0]["imagen_batch_advice"].startswith("Refused for harmful content.")


@pytest.mark.parametrize("error", ["#NAME?", "#WERT!", "#REF!", "#VALUE!", "Err:508"])
def test_a_prompt_that_a_spreadsheet_turned_into_an_error_is_not_sent(shell, tmp_path, sim, run_into_out, error):
    """A spreadsheet reads a prompt that begins with = as a formula; the run must not pay for an image of #NAME?."""
    book = write_csv(tmp_path / "book.csv", [{"prompt": "a mole"}, {"prompt": "=a rat [[sim:blocked_prompt]]"}])
    assert run_into_out(book).code == 3
    lines = [{**line, "prompt": error} for line in read_failures(tmp_path / "out")]
    write_failures(tmp_path / "out" / "failures.csv", lines)
    result = shell.run("run", tmp_path / "out" / "failures.csv")
    assert result.code == 5
    assert "spreadsheet" in result.err
    assert "line 2" in result.err
    assert len(sim.requests) == 2
    assert len(manifest(tmp_path / "out")) == 2


def test_a_patch_sends_only_the_rows_it_names(shell, tmp_path, sim, run_into_out):
    """Rows whose lines were removed from the file stay pending."""
    book = write_csv(tmp_path / "book.csv", [{"prompt": f"prompt {number}"} for number in range(5)])
    run_into_out(book, "--limit", 1)
    lines = read_failures(tmp_path / "out")
    write_failures(tmp_path / "out" / "failures.csv", [lines[3], lines[1]])
    result = shell.run("run", tmp_path / "out" / "failures.csv", "--json")
    assert result.code == 3
    assert [row["status"] == "ok" for row in manifest(tmp_path / "out")] == [True, False, True, False, True]
    assert shell.run("run", tmp_path / "out" / "failures.csv", "--limit", 1).code == 3
    assert len(sim.requests) == 4


def test_an_image_stays_with_the_text_it_was_made_from(shell, tmp_path, sim, run_into_out):
    """Even when its row is edited twice, each image has its own prompt in the manifest."""
    book = write_csv(tmp_path / "book.csv", [{"prompt": "first", "n": "1"}])
    assert run_into_out(book).code == 0
    write_csv(book, [{"prompt": "first", "n": "3"}])
    assert run_into_out(book, "--limit", 1, "--max-images", 1).code == 6
    out = tmp_path / "out"
    write_failures(out / "failures.csv", [{**line, "prompt": "second"} for line in read_failures(out)])
    assert shell.run("run", out / "failures.csv", "--max-images", 2, "--concurrency", 1).code == 6
    write_failures(out / "failures.csv", [{**line, "prompt": "third"} for line in read_failures(out)])
    assert shell.run("run", out / "failures.csv", "--max-images", 3, "--concurrency", 1).code == 0
    assert [row["prompt"] for row in manifest(out)] == ["first", "second", "third"]
    assert audit(out).clean
    assert shell.run("run", book, "--out", out, "--provider", "simulator", "--base-url", sim.url).code == 0
    assert [row["prompt"] for row in manifest(out)] == ["first", "second", "third"]
    assert sim.bill.total == 3


def test_siblings_are_not_dropped_by_a_smaller_number_of_samples(shell, tmp_path, run_into_out):
    """One of four images is missing, and the user enters 1 as the number of samples."""
    fault = {"match": "*", "fault": "partial", "times": 1, "options": {"count": 1}}
    with Simulator(faults=[fault]) as sim:
        book = write_csv(tmp_path / "book.csv", [{"prompt": "a crowd", "samples": 4}])
        run_into_out(book, "--base-url", sim.url, "--model", IMAGEN)
        (line,) = read_failures(tmp_path / "out")
        missing = next(row["sample"] for row in manifest(tmp_path / "out") if row["status"] != "ok")
        write_failures(tmp_path / "out" / "failures.csv", [{**line, "samples": "1"}])
        assert shell.run("run", tmp_path / "out" / "failures.csv").code == (3 if missing == 5 else 0)
        rows = manifest(tmp_path / "out")
        assert len(rows) >= 3
        assert all(row["status"] == "ok" for row in rows)
        assert sim.bill.total <= 4


def test_equal_rows_keep_their_own_images_when_one_is_edited(shell, tmp_path, run_into_out):
    """Equal rows are numbered: without the first, the second would become the first."""
    with Simulator(faults=[{"match": "a fox", "fault": "bad_request", "times": 1}]) as sim:
        rows = [{"prompt": "a fox [[sim:bad_request]]"}, {"prompt": "a fox"}, {"prompt": "a fox"}]
        book = write_csv(tmp_path / "book.csv", rows)
        run_into_out(book, "--base-url", sim.url, "--retry", "failed")
        run_into_out(book, "--base-url", sim.url, "--retry", "failed")
        before, total = facts(tmp_path / "out"), sim.bill.total
        lines = read_failures(tmp_path / "out")
        write_failures(tmp_path / "out" / "failures.csv", [{**line, "prompt": "a fox"} for line in lines[:1]])
        assert shell.run("run", tmp_path / "out" / "failures.csv").code == 0
        after = facts(tmp_path / "out")
        for sample in ((2, 1), (3, 1)):
            assert after[sample] == before[sample]
        assert len({file for file, _, _ in after.values()}) == 3
        assert sim.bill.total == total + 1
    assert audit(tmp_path / "out").clean


@pytest.mark.parametrize("name", ["book.txt", "book.jsonl", "book.tsv"])
def test_every_format_can_be_patched(shell, tmp_path, sim, run_into_out, name):
    """The folder's input becomes a CSV file."""
    texts = ["a mole", "a rat [[sim:bad_request]]", "a badger"]
    contents = {
        "txt": "".join(f"{text}\n" for text in texts),
        "jsonl": "".join(json.dumps({"prompt": text, "n": 1, "x": {"y": [1]}}) + "\n" for text in texts),
        "tsv": "prompt\tnote\n" + "".join(f'{text}\ta "quoted" note\n' for text in texts),
    }
    book = tmp_path / name
    book.write_text(contents[name.rpartition(".")[2]])
    run_into_out(book)
    lines = read_failures(tmp_path / "out")
    write_failures(tmp_path / "out" / "failures.csv", [{**line, "prompt": "a rat, rowing"} for line in lines])
    assert shell.run("run", tmp_path / "out" / "failures.csv").code == 0
    assert [row["prompt"] for row in manifest(tmp_path / "out")] == ["a mole", "a rat, rowing", "a badger"]
    assert sim.bill.total == 3
    assert shell.run("resume", tmp_path / "out").code == 0
    assert sim.bill.total == 3


def test_an_option_given_with_a_patch_applies_only_to_its_rows(shell, tmp_path, sim, run_into_out):
    """The other rows are not made again from another model."""
    book = write_csv(tmp_path / "book.csv", [{"prompt": "a mole"}, {"prompt": "a rat [[sim:blocked_prompt]]"}])
    run_into_out(book)
    write_failures(
        tmp_path / "out" / "failures.csv",
        [{**line, "prompt": "a rat"} for line in read_failures(tmp_path / "out")],
    )
    chosen = ["--model", "gemini-3-pro-image", "--aspect-ratio", "16:9"]
    assert shell.run("run", tmp_path / "out" / "failures.csv", *chosen).code == 0
    options = [(row["model"], row["aspect_ratio"]) for row in manifest(tmp_path / "out")]
    assert options == [("gemini-nano-banana-2.1", None), ("gemini-3-pro-image", "16:9")]
    assert shell.run("resume", tmp_path / "out").code == 0
    assert sim.bill.total == 2


def test_the_lines_of_a_failures_file_of_an_earlier_version_find_their_rows(shell, tmp_path, sim, run_into_out):
    """They are matched by their cells or their id."""
    rows = [{"id": str(number), "prompt": f"prompt {number} [[sim:bad_request]]"} for number in range(3)]
    book = write_csv(tmp_path / "book.csv", [*rows, {"id": "9", "prompt": "a rat"}])
    run_into_out(book)
    lines = [
        {name: cell for name, cell in line.items() if name != "imagen_batch_row"}
        for line in read_failures(tmp_path / "out")
    ]
    lines[1]["prompt"] = "prompt 1"
    write_failures(tmp_path / "out" / "failures.csv", lines[:2])
    assert shell.run("run", tmp_path / "out" / "failures.csv").code == 3
    assert [row["status"] for row in manifest(tmp_path / "out")] == ["failed", "ok", "failed", "ok"]
    assert sim.bill.total == 2


def test_a_failures_file_outside_its_folder_needs_the_option_out(shell, tmp_path, sim, run_into_out):
    """Nothing is guessed and nothing is sent."""
    book = write_csv(tmp_path / "book.csv", [{"prompt": "a rat [[sim:bad_request]]"}])
    run_into_out(book)
    copy = tmp_path / "mine.csv"
    copy.write_bytes((tmp_path / "out" / "failures.csv").read_bytes())
    result = shell.run("run", copy, "--provider", "simulator")
    assert result.code == 2
    assert "--out DIR" in result.err
    assert shell.run("run", copy, "--out", tmp_path / "out").code == 4
    assert len(sim.requests) == 2


@pytest.mark.parametrize(
    ("mark", "message"),
    [("row-7-0123456789abcdef", "matches no row"), ("", "is empty"), ("7", "matches no row"), ("twice", "as line")],
)
def test_a_line_that_matches_no_row_is_refused(shell, tmp_path, sim, run_into_out, mark, message):
    """The exit code is 5, the message has the line, and nothing is sent."""
    book = write_csv(tmp_path / "book.csv", [{"prompt": "a rat [[sim:bad_request]]"}, {"prompt": "b"}])
    run_into_out(book)
    (line,) = read_failures(tmp_path / "out")
    changed = {**line} if mark == "twice" else {**line, "imagen_batch_row": mark}
    write_failures(tmp_path / "out" / "failures.csv", [line, changed])
    result = shell.run("run", tmp_path / "out" / "failures.csv")
    assert result.code == 5
    assert "line 3" in result.err
    assert message in result.err
    assert len(sim.requests) == 2


def test_edits_of_failures_are_not_overwritten(shell, tmp_path, sim, run_into_out):
    """When another run comes first, the user's file is kept under another name and can be used from there."""
    book = write_csv(tmp_path / "book.csv", [{"prompt": "a mole"}, {"prompt": "a rat [[sim:blocked_prompt]]"}])
    run_into_out(book)
    out = tmp_path / "out"
    write_failures(out / "failures.csv", [{**line, "prompt": "a rat"} for line in read_failures(out)], delimiter=";")
    edited = (out / "failures.csv").read_bytes()
    result = run_into_out(book)
    assert (out / "failures.edited.csv").read_bytes() == edited
    (line,) = re.findall(r"imagen-batch run .*", result.err)
    assert shell.paste(line).code == 0
    assert [row["prompt"] for row in manifest(out)] == ["a mole", "a rat"]
    assert sim.bill.total == 2
    assert [path.name for path in out.glob("failures*")].count("failures.edited.csv") == 1


def test_a_kill_between_record_and_input_pays_for_nothing_twice(shell, tmp_path, run_into_out, monkeypatch):
    """The images of the edited row are recorded before the input changes."""

    class Killed(BaseException):
        pass

    def kill(*_positional, **_keyword):
        raise Killed

    fault = {"match": "a crowd", "fault": "partial", "times": 1, "options": {"count": 1}}
    with Simulator(faults=[fault]) as sim:
        book = write_csv(tmp_path / "book.csv", [{"prompt": "a crowd"}])
        run_into_out(book, "--base-url", sim.url, "--model", IMAGEN, "--samples", 4)
        out = tmp_path / "out"
        write_failures(out / "failures.csv", [{**line, "prompt": "few"} for line in read_failures(out)])
        for step in (
            "runs.run.lock_and_open.save_snapshot",
            "runs.run.lock_and_open.DiskSpace",
            "sending.generate._record",
        ):
            with monkeypatch.context() as patch:
                patch.setattr(f"imagen_batch.{step}", kill)
                with pytest.raises(Killed):
                    shell.run("run", out / "failures.csv", "--concurrency", 1)
        shell.run("run", out / "failures.csv")
        assert [row["status"] for row in manifest(out)] == ["ok"] * 4
        assert sum(row["prompt"] == "few" for row in manifest(out)) == 1
        assert sim.bill.total <= 5


def test_the_plan_counts_the_changes_of_an_edited_file(shell, tmp_path, sim, run_into_out):
    """The plan has the new, changed and gone rows, the price, and the images that stay on disk."""
    rows = [{"prompt": f"prompt {number}"} for number in range(10)]
    book = write_csv(tmp_path / "book.csv", rows)
    run_into_out(book)
    rows[3] = {"prompt": "another"}
    rows[5:5] = [{"prompt": "new 1"}, {"prompt": "new 2"}]
    del rows[8]
    write_csv(book, rows)
    options = ["--provider", "simulator", "--out", tmp_path / "out"]
    plan = shell.run("plan", book, *options, "--json").json
    assert plan["changes"] == {"new": 2, "changed": 1, "gone": 1, "images": 2}
    assert plan["samples_left"] == 3
    assert plan["worst_case_usd"] == pytest.approx(3 * 0.0411, abs=0.001)
    text = shell.run("plan", book, *options).out
    assert "2 new, 1 changed, 1 gone; 2 images of earlier rows stay on disk" in text
    assert run_into_out(book).code == 0
    assert [row["prompt"] for row in manifest(tmp_path / "out")] == [row["prompt"] for row in rows]
    assert sim.bill.total == 13


def test_the_plan_of_a_patch_counts_only_the_images_it_requests(shell, tmp_path, sim, run_into_out):
    """Existing images of the same row are not counted as if they were made again."""
    book = write_csv(tmp_path / "book.csv", [{"prompt": "a mole", "n": 1}])
    run_into_out(book)
    write_csv(book, [{"prompt": "a mole", "n": 3}])
    run_into_out(book, "--max-images", 1)
    out = tmp_path / "out"
    write_failures(out / "failures.csv", [{**line, "prompt": "a rat"} for line in read_failures(out)])
    plan = shell.run("plan", out / "failures.csv", "--json").json
    assert (plan["samples_left"], plan["changes"]["changed"], plan["changes"]["images"]) == (2, 1, 0)
    assert sim.bill.total == 1


def test_another_file_does_not_replace_the_input_silently(shell, tmp_path, sim, run_into_out):
    """The message counts the rows that would leave the tables, and nothing is sent."""
    run_into_out(write_csv(tmp_path / "book.csv", [{"prompt": "a mole", "n": 2}, {"prompt": "a rat", "n": 1}]))
    other = write_csv(tmp_path / "other.csv", [{"prompt": "a toad"}])
    before = facts(tmp_path / "out")
    result = run_into_out(other)
    assert result.code == 2
    for message in ("2 rows with 3 images", "--add", "--replace", "other.csv"):
        assert message in result.err
    assert facts(tmp_path / "out") == before
    planned = shell.run("plan", other, "--provider", "simulator", "--out", tmp_path / "out")
    assert (planned.code, "--add" in planned.err) == (0, True)
    assert run_into_out(other, "--replace").code == 0
    assert [row["prompt"] for row in manifest(tmp_path / "out")] == ["a toad"]
    assert sim.bill.total == 4


def test_rows_are_added_once(shell, tmp_path, sim, run_into_out):
    """The table has the columns of both files and continues the row numbers; repeating the command sends nothing."""
    book = write_csv(tmp_path / "book.csv", [{"prompt": "a mole", "note": "1"}, {"prompt": "a rat", "note": "2"}])
    run_into_out(book)
    before = facts(tmp_path / "out")
    other = write_csv(
        tmp_path / "other.csv", [{"chapter": "x", "prompt": "a toad"}, {"chapter": "y", "prompt": "a rat"}]
    )
    for _ in range(2):
        assert run_into_out(other, "--add").code == 0
        rows = manifest(tmp_path / "out")
        assert [row["prompt"] for row in rows] == ["a mole", "a rat", "a toad"]
        assert [row["chapter"] for row in rows] == [None, None, "x"]
        assert sim.bill.total == 3
    assert facts(tmp_path / "out").items() >= before.items()
    assert run_into_out(book).code == 0
    assert len(manifest(tmp_path / "out")) == 3
    write_csv(book, [{"prompt": "a mole", "note": "1"}, {"prompt": "a badger", "note": "2"}])
    assert run_into_out(book).code == 2
    assert sim.bill.total == 3


def test_a_moved_file_is_the_same_file(shell, tmp_path, sim, run_into_out):
    """It is recognized because most of its rows are rows of the run."""
    rows = [{"prompt": f"prompt {number}"} for number in range(4)]
    run_into_out(write_csv(tmp_path / "book.csv", rows))
    rows[0] = {"prompt": "edited"}
    assert run_into_out(write_csv(tmp_path / "moved.csv", rows)).code == 0
    assert sim.bill.total == 5


def test_standard_input_does_not_identify_a_file(shell, tmp_path, sim, run_into_out, monkeypatch):
    """Today's piped input may differ from yesterday's."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"prompt\na mole\n")))
    assert run_into_out("-").code == 0
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"prompt\na toad\n")))
    assert run_into_out("-").code == 2
    assert sim.bill.total == 1


def test_a_failures_file_is_read_with_the_prompt_column_of_its_run(shell, tmp_path, sim, run_into_out):
    """The option does not have to be repeated."""
    rows = [{"Bild": "a mole", "Text": "x"}, {"Bild": "a rat [[sim:blocked_prompt]]", "Text": "y"}]
    run_into_out(write_csv(tmp_path / "book.csv", rows), "--prompt-column", "Bild")
    out = tmp_path / "out"
    write_failures(out / "failures.csv", [{**line, "Bild": "a rat"} for line in read_failures(out)])
    assert shell.run("run", out / "failures.csv").code == 0
    assert [row["prompt"] for row in manifest(out)] == ["a mole", "a rat"]
    assert sim.bill.total == 2


def test_a_renamed_prompt_column_is_recognized(shell, tmp_path, sim, run_into_out):
    """An edit in a column with another known name of the prompt is not lost."""
    run_into_out(
        write_csv(tmp_path / "book.csv", [{"prompt": "a rat [[sim:blocked_prompt]]", "n": "2", "status": "mine"}])
    )
    out = tmp_path / "out"
    names = {"prompt": "Image Prompt", "n": "Variants"}
    lines = [{names.get(name, name): cell for name, cell in line.items()} for line in read_failures(out)]
    write_failures(out / "failures.csv", [{**line, "Image Prompt": "a rat", "Variants": "1"} for line in lines])
    assert shell.run("run", out / "failures.csv").code == 0
    (row,) = manifest(out)
    assert (row["prompt"], row["input_status"]) == ("a rat", "mine")
    assert sim.bill.total == 1


def test_the_plan_of_an_edited_file_counts_images_that_leave_the_tables(shell, tmp_path, sim, run_into_out):
    """Their files stay; a row that was patched is counted."""
    book = write_csv(tmp_path / "book.csv", [{"prompt": "a mole"}, {"prompt": "a rat [[sim:blocked_prompt]]"}])
    run_into_out(book)
    out = tmp_path / "out"
    write_failures(out / "failures.csv", [{**line, "prompt": "a rat"} for line in read_failures(out)])
    shell.run("run", out / "failures.csv")
    write_csv(book, [{"prompt": "a mole"}, {"prompt": "a toad"}])
    plan = shell.run("plan", book, "--provider", "simulator", "--out", out)
    assert "1 row with 1 image" in plan.err
    assert run_into_out(book).code == 0
    assert sim.bill.total == 3


def test_a_setting_that_changes_every_row_is_refused_with_a_patch(shell, tmp_path, sim, run_into_out):
    """The setting comes from the environment here, which the suggested command ignores."""
    run_into_out(write_csv(tmp_path / "book.csv", [{"prompt": "a mole"}, {"prompt": "a rat [[sim:bad_request]]"}]))
    shell.env["IMAGEN_BATCH_PROVIDER"] = "gemini"
    result = shell.run("run", tmp_path / "out" / "failures.csv")
    assert result.code == 2
    (line,) = re.findall(r"imagen-batch resume .*", result.err)
    assert shell.paste(line).code == 3
    assert len(sim.requests) == 3


def test_the_given_file_keeps_its_folder_after_a_patch(shell):
    """Without --out the folder comes from the name of the file; the stored input has another name."""
    write_csv(
        shell.here / "book.csv", [{"id": "a", "prompt": "one"}, {"id": "b", "prompt": "two [[sim:blocked_prompt]]"}]
    )
    with Simulator() as sim:
        service = ["--provider", "simulator", "--base-url", sim.url]
        assert shell.run("run", "book.csv", *service).code == 3
        failures = shell.here / "outputs" / "book-rehearsal" / "failures.csv"
        failures.write_text(failures.read_text().replace(" [[sim:blocked_prompt]]", ""))
        assert shell.run("run", failures, *service).code == 0
        sent = len(sim.requests)
        assert shell.run("plan", "book.csv", *service, "--json").json["out"] == "outputs/book-rehearsal"
        assert shell.run("run", "book.csv", *service).code == 0
        assert len(sim.requests) == sent
    assert [path.name for path in (shell.here / "outputs").iterdir()] == ["book-rehearsal"]
