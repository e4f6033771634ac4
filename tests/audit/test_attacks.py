"""Every change to a finished folder is found, and no file in it can hang or crash an audit."""

import csv
import os
import shutil
from dataclasses import replace

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from imagen_batch.audit.audit import audit
from imagen_batch.audit.repair import repair
from imagen_batch.audit.report import audit_text
from imagen_batch.audit.wrong_prompt_signs import PlausibilityCheck
from imagen_batch.reports.tables.manifest import manifest_columns
from imagen_batch.sending.attempts import check_reply
from imagen_batch.storage import Folder
from tests.support.damage import STATE, DamagedRun
from tests.support.entries import entry
from tests.support.runs import prompts, run, write_csv

TEXTS = ("a mole", "a rat", "a toad", "a badger")
COLUMNS = [column.name for column in manifest_columns(("mood",)) if column.name != "safety_ratings"]  # of the CSV


@pytest.fixture(scope="module")
def finished(tmp_path_factory, sim):
    """Return the home of a run with four images, one refusal and a user column."""
    home = tmp_path_factory.mktemp("finished")
    texts = (*TEXTS, "one [[sim:finish_IMAGE_SAFETY]]")
    rows = [{"id": f"id{number}", "prompt": text, "mood": "calm"} for number, text in enumerate(texts)]
    run(write_csv(home / "prompts.csv", rows), sim, aspect_ratio="16:9")
    return home


@pytest.fixture
def run_copy(tmp_path, finished):
    """Return a copy that a test may damage."""
    shutil.copytree(finished, tmp_path / "copy")
    return DamagedRun(tmp_path / "copy" / "out")


def findings_of(folder):
    """Return kind, row and file of each finding."""
    return [(one.kind, one.row, one.path) for one in audit(folder).findings]


def test_the_folder_is_clean_before_any_damage(run_copy):
    """There are no false findings."""
    assert findings_of(run_copy.folder) == []


@pytest.mark.parametrize("column", COLUMNS)
def test_an_altered_cell_in_any_column_of_the_csv_is_found(run_copy, column):
    """This includes columns that no program of ours reads."""
    value = {"row": "77", "sample": "7", "status": "failed"}.get(column, "7")
    run_copy.edit("manifest.csv", lambda rows: rows[1].update({column: value}))
    findings = audit(run_copy.folder).findings
    assert findings
    assert {one.path for one in findings} == {"manifest.csv"}


@pytest.mark.parametrize("name", ["manifest.parquet", "manifest.csv"])
def test_swapped_prompts_are_found(run_copy, name):
    """Each row claims to show what the other one shows."""

    def swap(rows):
        rows[0]["prompt"], rows[1]["prompt"] = rows[1]["prompt"], rows[0]["prompt"]

    run_copy.edit(name, swap)
    assert findings_of(run_copy.folder) == [("mislabelled", 1, name), ("mislabelled", 2, name)]


def edit_metadata(run_copy, change):
    """Change the rows of the dataset."""
    table = pq.read_table(run_copy.folder / "metadata.parquet")
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), run_copy.folder / "metadata.parquet")


def test_swapped_prompts_in_the_dataset_are_found(run_copy):
    """A model would be trained on them."""
    edit_metadata(run_copy, lambda rows: rows[0].update(prompt="a rat"))
    assert findings_of(run_copy.folder) == [("mislabelled", 1, "metadata.parquet")]


def test_swapped_files_in_the_dataset_are_found(run_copy):
    """Each prompt has the image of the other one."""

    def swap(rows):
        rows[0]["file_name"], rows[1]["file_name"] = rows[1]["file_name"], rows[0]["file_name"]

    edit_metadata(run_copy, swap)
    assert [one[:2] for one in findings_of(run_copy.folder)] == [("mislabelled", 1), ("mislabelled", 2)]


def test_a_truncated_dataset_is_found(run_copy):
    """Half of its rows are gone, or half of its bytes."""
    edit_metadata(run_copy, lambda rows: rows.__delitem__(slice(2, None)))
    assert findings_of(run_copy.folder) == [("stale", None, "metadata.parquet")]
    path = run_copy.folder / "metadata.parquet"
    path.write_bytes(path.read_bytes()[:-200])
    assert findings_of(run_copy.folder) == [("stale", None, "metadata.parquet")]


JUNK = {
    "a line too many": lambda text: text + "x,y,z,failed,no,500,1\r\n",
    "no line at all": lambda text: text.splitlines()[0] + "\r\n",
    "another reason": lambda text: text.replace("filtered", "failed"),
    "another header": lambda text: text.replace("prompt", "prompts", 1),
    "not text": lambda _text: "\0\1\2" * 100,
    "nothing": lambda _text: "",
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
def test_junk_in_the_failures_is_found(run_copy, junk):
    """People and the next run read the file."""
    path = run_copy.folder / "failures.csv"
    path.write_bytes(junk(path.read_bytes().decode()).encode())
    assert findings_of(run_copy.folder) == [("stale", None, "failures.csv")]


WRONG_SUMMARIES = {
    "counts": lambda summary: summary["samples"].update(ok=400),
    "a count that is text": lambda summary: summary["samples"].update(ok="4"),
    "cost": lambda summary: summary.update(cost_usd=99.0),
    "attempts": lambda summary: summary.update(attempts=1),
    "no samples": lambda summary: summary.pop("samples"),
}


@pytest.mark.parametrize("change", WRONG_SUMMARIES.values(), ids=WRONG_SUMMARIES)
def test_a_wrong_summary_is_found(run_copy, change):
    """Its numbers have to be those of the ledger."""
    path = run_copy.folder / "summary.json"
    summary = orjson.loads(path.read_bytes())
    change(summary)
    path.write_bytes(orjson.dumps(summary))
    assert findings_of(run_copy.folder) == [("stale", None, "summary.json")]


@pytest.mark.parametrize("text", ["[]", "null", "{", "5"])
def test_a_summary_of_another_form_is_found(run_copy, text):
    """It causes no traceback."""
    (run_copy.folder / "summary.json").write_text(text)
    assert findings_of(run_copy.folder) == [("stale", None, "summary.json")]


def test_times_that_differ_are_no_finding(run_copy):
    """The summary was written at another time."""
    path = run_copy.folder / "summary.json"
    summary = orjson.loads(path.read_bytes()) | {"started_at": "2020-01-01T00:00:00+00:00"}
    path.write_bytes(orjson.dumps(summary))
    assert findings_of(run_copy.folder) == []


def test_a_missing_readme_is_found_and_an_edited_one_is_accepted(run_copy):
    """It is the card of the dataset."""
    (run_copy.folder / "README.md").write_text("mine")
    assert findings_of(run_copy.folder) == []
    (run_copy.folder / "README.md").unlink()
    assert findings_of(run_copy.folder) == [("stale", None, "README.md")]


def link_elsewhere(run_copy, path):
    """Move the image out of the folder and link to it."""
    path.rename(run_copy.folder.parent / "elsewhere.png")
    path.symlink_to(run_copy.folder.parent / "elsewhere.png")


def link_to_nothing(_run_copy, path):
    """Replace the image by a dangling link."""
    path.unlink()
    path.symlink_to("nowhere.png")


def link_to_itself(_run_copy, path):
    """Replace the image by a link to itself."""
    path.unlink()
    path.symlink_to(path)


def pipe(_run_copy, path):
    """Replace the image by a pipe: reading it never ends."""
    path.unlink()
    os.mkfifo(path)


def folder(_run_copy, path):
    """Replace the image by a folder with its name."""
    path.unlink()
    path.mkdir()


IRREGULAR = (link_elsewhere, link_to_nothing, link_to_itself, pipe, folder)


@pytest.mark.parametrize("replace_file", IRREGULAR)
def test_an_irregular_file_is_found_and_not_followed(run_copy, replace_file):
    """It takes the place of an image, or is beside the images."""
    replace_file(run_copy, run_copy.file(2))
    kinds = [one[:2] for one in findings_of(run_copy.folder)]
    assert kinds == [("irregular", 2)]
    if replace_file is not folder:
        stray = run_copy.folder / "images" / "stray.png"
        stray.touch()
        replace_file(run_copy, stray)
        assert ("irregular", None, "images/stray.png") in findings_of(run_copy.folder)


def test_links_to_folders_are_found(run_copy):
    """One is beside the images, and one contains them."""
    (run_copy.folder / "images" / "more").symlink_to(run_copy.folder.parent)
    assert findings_of(run_copy.folder) == [("irregular", None, "images/more")]


def test_images_behind_a_link_to_a_folder_are_found(tmp_path, sim):
    """The folder of a chapter was moved elsewhere."""
    source = write_csv(tmp_path / "p.csv", [{"prompt": text, "filename": f"one/{text}"} for text in TEXTS])
    run_folder = run(source, sim).folder
    (run_folder / "images" / "one").rename(tmp_path / "elsewhere")
    (run_folder / "images" / "one").symlink_to(tmp_path / "elsewhere")
    assert [one[:2] for one in findings_of(run_folder)][:4] == [("irregular", row) for row in (1, 2, 3, 4)]
    requests_before = len(sim.requests)
    assert repair(run_folder).samples_to_remake == ()
    assert len(sim.requests) == requests_before
    assert findings_of(run_folder) == []
    assert len(list((tmp_path / "elsewhere").iterdir())) == 4


TABLES = ("manifest.csv", "manifest.parquet", "metadata.parquet", "failures.csv", "summary.json", "README.md")


@pytest.mark.parametrize("replace_file", IRREGULAR)
@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_is_no_regular_file_is_found(run_copy, name, replace_file):
    """A repair corrects it and deletes nothing."""
    replace_file(run_copy, run_copy.folder / name)
    assert ("stale", None, name) in findings_of(run_copy.folder)
    repair(run_copy.folder)
    assert findings_of(run_copy.folder) == []


def test_identical_images_of_different_prompts_are_reported_and_not_paid_again(tmp_path, monkeypatch, sim):
    """The service sends one image for every prompt."""
    real_validate, first = check_reply.validate, []

    def same(_bytes):
        first.append(_bytes)
        return real_validate(first[0])

    put = Folder.put
    monkeypatch.setattr(check_reply, "validate", same)
    monkeypatch.setattr(
        Folder,
        "put",
        lambda self, name, data: put(self, name, first[0] if "incoming" in name else data),
    )
    run_folder = run(prompts(tmp_path, *TEXTS), sim, concurrency=1).folder
    monkeypatch.undo()
    assert [one[:2] for one in findings_of(run_folder)] == [("duplicate", 2), ("duplicate", 3), ("duplicate", 4)]
    assert repair(run_folder).samples_to_remake == ()
    assert "does not make them again" in audit_text(audit(run_folder))


def shape_findings(**changes):
    """Return the findings about an image of 1024 x 1024 whose row has these options."""
    options = {name: changes.pop(name) for name in ("aspect_ratio", "image_size") if name in changes}
    row = entry(1)
    sample = replace(
        row.sample, status="ok", file="images/a.png", sha256="ab" * 32, **{"width": 1024, "height": 1024, **changes}
    )
    plausibility = PlausibilityCheck()
    plausibility.add(replace(row, sample=sample, options=replace(row.options, **options)))
    return [one.kind for one in plausibility.findings({})]


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({}, []),
        ({"aspect_ratio": "1:1"}, []),
        ({"aspect_ratio": "16:9"}, ["shape"]),
        ({"aspect_ratio": "16:9", "width": 1376, "height": 768}, []),
        ({"aspect_ratio": "9:16", "width": 1376, "height": 768}, ["shape"]),
        ({"aspect_ratio": "8:1", "width": 2928, "height": 352}, []),
        ({"image_size": "1K"}, []),
        ({"image_size": "2K"}, ["shape"]),
        ({"image_size": "4K", "width": 4096, "height": 4096}, []),
        ({"aspect_ratio": "none", "image_size": "huge"}, []),
    ],
)
def test_an_image_of_another_shape_is_reported(changes, kinds):
    """Only the options of its row count; the shapes that the services document are no finding."""
    assert shape_findings(**changes) == kinds


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "5", '"x"', "{}", '{"prompts": 5}', '{"samples": "many"}'])
def test_damaged_settings_are_found(run_copy, text):
    """JSON of another shape is damage, too: audit and repair report it and end."""
    (run_copy.folder / STATE / "settings.json").write_text(text)
    assert [(one.kind, one.path) for one in audit(run_copy.folder).findings] == [
        ("damaged", f"{STATE}/settings.json")
    ]
    assert repair(run_copy.folder).audit.counts["damaged"] == 1


@pytest.mark.parametrize("name", ["settings.json", "input.csv"])
@pytest.mark.parametrize("replace_file", [link_to_nothing, link_to_itself, pipe])
def test_settings_and_input_that_are_irregular_files_are_found(run_copy, name, replace_file):
    """They are not read."""
    replace_file(run_copy, run_copy.folder / STATE / name)
    assert [one.kind for one in audit(run_copy.folder).findings] == ["damaged"]


def test_an_edited_image_is_reported_kept_and_no_error(run_copy, sim):
    """It belongs to the user: it is neither lost nor paid for again, and the run is complete."""
    Image.open(run_copy.file(2)).rotate(3).save(run_copy.file(2))
    edited = run_copy.file(2).read_bytes()
    result = audit(run_copy.folder)
    assert (result.clean, [one.kind for one in result.findings]) == (True, ["edited"])
    assert "1 that you edited" in audit_text(result)
    requests_before = len(sim.requests)
    rows = run(run_copy.folder.parent / "prompts.csv", sim, aspect_ratio="16:9", retry=("missing", "failed")).rows
    assert (len(sim.requests), run_copy.file(2).read_bytes()) == (requests_before, edited)
    assert (rows[1]["status"], rows[1]["error_kind"], rows[1]["bytes"]) == ("ok", "edited", len(edited))
    assert repair(run_copy.folder).samples_to_remake == ()
    assert findings_of(run_copy.folder) == [("edited", 2, run_copy.rows[1]["file"])]


def test_a_csv_with_other_digits_from_a_spreadsheet_is_damaged_only_if_values_differ(run_copy):
    """0.10 equals 0.1."""
    path = run_copy.folder / "manifest.csv"
    with path.open(newline="", encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    rows[0]["latency_s"] += "0"
    with path.open("w", newline="", encoding="utf-8") as text:
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert findings_of(run_copy.folder) == []
