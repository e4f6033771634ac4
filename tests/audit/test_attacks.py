"""Whatever is altered in a finished folder is found, and nothing that lies there can hang or crash an audit."""

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
from imagen_batch.audit.plausibility import PlausibilityCheck
from imagen_batch.audit.repair import repair
from imagen_batch.audit.report import audit_text
from imagen_batch.reports.tables.manifest import manifest_columns
from imagen_batch.sending import retry
from imagen_batch.simulator import Simulator
from imagen_batch.storage import Folder
from tests.support.damage import STATE, DamagedRun
from tests.support.entries import entry
from tests.support.runs import prompts, run, write_csv

TEXTS = ("a mole", "a rat", "a toad", "a badger")
COLUMNS = [column.name for column in manifest_columns(("mood",))]


@pytest.fixture(scope="module")
def sim():
    """A service that behaves."""
    with Simulator() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def finished(tmp_path_factory, sim):
    """A run of four images and one refusal, with a column of the user's own."""
    home = tmp_path_factory.mktemp("finished")
    texts = (*TEXTS, "one [[sim:finish_IMAGE_SAFETY]]")
    rows = [{"id": f"id{number}", "prompt": text, "mood": "calm"} for number, text in enumerate(texts)]
    run(write_csv(home / "prompts.csv", rows), sim, aspect_ratio="16:9")
    return home


@pytest.fixture
def it(tmp_path, finished):
    """A copy to be damaged."""
    shutil.copytree(finished, tmp_path / "copy")
    return DamagedRun(tmp_path / "copy" / "out")


def found(folder):
    """Kind, row and file of each finding."""
    return [(one.kind, one.row, one.path) for one in audit(folder).findings]


def test_the_folder_is_clean_before_any_damage(it):
    """Nothing is invented."""
    assert found(it.folder) == []


@pytest.mark.parametrize("column", COLUMNS)
def test_an_altered_cell_in_any_column_of_the_csv_is_found(it, column):
    """Also one that no program of ours reads."""
    value = {"row": "77", "sample": "7", "status": "failed"}.get(column, "7")
    it.edit("manifest.csv", lambda rows: rows[1].update({column: value}))
    findings = audit(it.folder).findings
    assert findings
    assert {one.path for one in findings} == {"manifest.csv"}


@pytest.mark.parametrize("name", ["manifest.parquet", "manifest.csv"])
def test_swapped_prompts_are_found(it, name):
    """Both rows say that they show what the other one shows."""

    def swap(rows):
        rows[0]["prompt"], rows[1]["prompt"] = rows[1]["prompt"], rows[0]["prompt"]

    it.edit(name, swap)
    assert found(it.folder) == [("mislabelled", 1, name), ("mislabelled", 2, name)]


def edit_metadata(it, change):
    """Change the rows of the dataset."""
    table = pq.read_table(it.folder / "metadata.parquet")
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), it.folder / "metadata.parquet")


def test_swapped_prompts_in_the_dataset_are_found(it):
    """It is what a model would be trained on."""
    edit_metadata(it, lambda rows: rows[0].update(prompt="a rat"))
    assert found(it.folder) == [("mislabelled", 1, "metadata.parquet")]


def test_swapped_files_in_the_dataset_are_found(it):
    """Each prompt with the other one's image."""

    def swap(rows):
        rows[0]["file_name"], rows[1]["file_name"] = rows[1]["file_name"], rows[0]["file_name"]

    edit_metadata(it, swap)
    assert [one[:2] for one in found(it.folder)] == [("mislabelled", 1), ("mislabelled", 2)]


def test_a_truncated_dataset_is_found(it):
    """Half of its rows are gone, or half of its bytes."""
    edit_metadata(it, lambda rows: rows.__delitem__(slice(2, None)))
    assert found(it.folder) == [("stale", None, "metadata.parquet")]
    path = it.folder / "metadata.parquet"
    path.write_bytes(path.read_bytes()[:-200])
    assert found(it.folder) == [("stale", None, "metadata.parquet")]


JUNK = {
    "a line too many": lambda text: text + "x,y,z,failed,no,500,1\r\n",
    "no line at all": lambda text: text.splitlines()[0] + "\r\n",
    "another reason": lambda text: text.replace("filtered", "failed"),
    "another header": lambda text: text.replace("prompt", "prompts", 1),
    "not text": lambda _text: "\0\1\2" * 100,
    "nothing": lambda _text: "",
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
def test_junk_in_the_failures_is_found(it, junk):
    """It is read by people and by the next run."""
    path = it.folder / "failures.csv"
    path.write_bytes(junk(path.read_bytes().decode()).encode())
    assert found(it.folder) == [("stale", None, "failures.csv")]


WRONG = {
    "counts": lambda summary: summary["samples"].update(ok=400),
    "a count that is text": lambda summary: summary["samples"].update(ok="4"),
    "cost": lambda summary: summary.update(cost_usd=99.0),
    "attempts": lambda summary: summary.update(attempts=1),
    "no samples": lambda summary: summary.pop("samples"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_summary_is_found(it, wrong):
    """Its numbers are those of the ledger."""
    path = it.folder / "summary.json"
    summary = orjson.loads(path.read_bytes())
    wrong(summary)
    path.write_bytes(orjson.dumps(summary))
    assert found(it.folder) == [("stale", None, "summary.json")]


@pytest.mark.parametrize("text", ["[]", "null", "{", "5"])
def test_a_summary_that_is_none_is_found(it, text):
    """And is no traceback."""
    (it.folder / "summary.json").write_text(text)
    assert found(it.folder) == [("stale", None, "summary.json")]


def test_times_that_differ_are_no_finding(it):
    """The summary was written at another moment."""
    path = it.folder / "summary.json"
    summary = orjson.loads(path.read_bytes()) | {"started_at": "2020-01-01T00:00:00+00:00"}
    path.write_bytes(orjson.dumps(summary))
    assert found(it.folder) == []


def test_a_missing_readme_is_found_and_a_changed_one_is_the_users(it):
    """The dataset's card."""
    (it.folder / "README.md").write_text("mine")
    assert found(it.folder) == []
    (it.folder / "README.md").unlink()
    assert found(it.folder) == [("stale", None, "README.md")]


def link_elsewhere(it, path):
    """The image lies outside the folder."""
    path.rename(it.folder.parent / "elsewhere.png")
    path.symlink_to(it.folder.parent / "elsewhere.png")


def dangling(_it, path):
    """A link to nothing."""
    path.unlink()
    path.symlink_to("nowhere.png")


def loop(_it, path):
    """A link to itself."""
    path.unlink()
    path.symlink_to(path)


def pipe(_it, path):
    """Reading it never ends."""
    path.unlink()
    os.mkfifo(path)


def folder(_it, path):
    """A folder under the name of an image."""
    path.unlink()
    path.mkdir()


ODD = (link_elsewhere, dangling, loop, pipe, folder)


@pytest.mark.parametrize("odd", ODD)
def test_what_is_no_regular_file_is_found_and_not_followed(it, odd):
    """In place of an image, and beside the images."""
    odd(it, it.file(2))
    kinds = [one[:2] for one in found(it.folder)]
    assert kinds == [("irregular", 2)]
    if odd is not folder:
        stray = it.folder / "images" / "stray.png"
        stray.touch()
        odd(it, stray)
        assert ("irregular", None, "images/stray.png") in found(it.folder)


def test_links_to_folders_are_found(it):
    """One beside the images, and one that holds them."""
    (it.folder / "images" / "more").symlink_to(it.folder.parent)
    assert found(it.folder) == [("irregular", None, "images/more")]


def test_images_behind_a_link_to_a_folder_are_found(tmp_path, sim):
    """The folder of a chapter was moved elsewhere."""
    source = write_csv(tmp_path / "p.csv", [{"prompt": text, "filename": f"one/{text}"} for text in TEXTS])
    place = run(source, sim).folder
    (place / "images" / "one").rename(tmp_path / "elsewhere")
    (place / "images" / "one").symlink_to(tmp_path / "elsewhere")
    assert [one[:2] for one in found(place)][:4] == [("irregular", row) for row in (1, 2, 3, 4)]
    asked = len(sim.requests)
    assert repair(place).lost == ()
    assert len(sim.requests) == asked
    assert found(place) == []
    assert len(list((tmp_path / "elsewhere").iterdir())) == 4


TABLES = ("manifest.csv", "manifest.parquet", "metadata.parquet", "failures.csv", "summary.json", "README.md")


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_is_no_regular_file_is_found(it, name, odd):
    """And put right by a repair, which deletes nothing."""
    odd(it, it.folder / name)
    assert ("stale", None, name) in found(it.folder)
    repair(it.folder)
    assert found(it.folder) == []


def test_the_same_bytes_for_different_prompts_are_told_and_not_bought_again(tmp_path, monkeypatch, sim):
    """A service that sends one image to everyone."""
    real_validate, first = retry.validate, []

    def same(_bytes):
        first.append(_bytes)
        return real_validate(first[0])

    put = Folder.put
    monkeypatch.setattr(retry, "validate", same)
    monkeypatch.setattr(
        Folder,
        "put",
        lambda self, name, data: put(self, name, first[0] if "incoming" in name else data),
    )
    place = run(prompts(tmp_path, *TEXTS), sim, concurrency=1).folder
    monkeypatch.undo()
    assert [one[:2] for one in found(place)] == [("duplicate", 2), ("duplicate", 3), ("duplicate", 4)]
    assert repair(place).lost == ()
    assert "does not buy them again" in audit_text(audit(place))


def shape(**changes):
    """What is found about an image of 1024 x 1024 whose row asks for something."""
    options = {name: changes.pop(name) for name in ("aspect_ratio", "image_size") if name in changes}
    made = entry(1)
    sample = replace(
        made.sample, status="ok", file="images/a.png", sha256="ab" * 32, **{"width": 1024, "height": 1024, **changes}
    )
    plausibility = PlausibilityCheck()
    plausibility.add(replace(made, sample=sample, options=replace(made.options, **options)))
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
def test_an_image_of_another_shape_is_told(changes, kinds):
    """As far as the row asks for one; what the services document is no finding."""
    assert shape(**changes) == kinds


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "5", '"x"', "{}", '{"prompts": 5}', '{"samples": "many"}'])
def test_damaged_settings_are_found(it, text):
    """Also JSON of another shape: audit and repair say so, and end."""
    (it.folder / STATE / "settings.json").write_text(text)
    assert [(one.kind, one.path) for one in audit(it.folder).findings] == [("damaged", f"{STATE}/settings.json")]
    assert repair(it.folder).audit.counts["damaged"] == 1


@pytest.mark.parametrize("name", ["settings.json", "input.csv"])
@pytest.mark.parametrize("odd", [dangling, loop, pipe])
def test_settings_and_input_that_are_no_files_are_found(it, name, odd):
    """They are not read."""
    odd(it, it.folder / STATE / name)
    assert [one.kind for one in audit(it.folder).findings] == ["damaged"]


def test_an_edited_image_is_told_kept_and_no_error(it, sim):
    """A retouched one is the user's: it is neither lost nor bought, and the run is complete."""
    Image.open(it.file(2)).rotate(3).save(it.file(2))
    edited = it.file(2).read_bytes()
    result = audit(it.folder)
    assert (result.clean, [one.kind for one in result.findings]) == (True, ["edited"])
    assert "1 that you edited" in audit_text(result)
    asked = len(sim.requests)
    rows = run(it.folder.parent / "prompts.csv", sim, aspect_ratio="16:9", retry=("missing", "failed")).rows
    assert (len(sim.requests), it.file(2).read_bytes()) == (asked, edited)
    assert (rows[1]["status"], rows[1]["error_kind"], rows[1]["bytes"]) == ("ok", "edited", len(edited))
    assert repair(it.folder).lost == ()
    assert found(it.folder) == [("edited", 2, it.rows[1]["file"])]


def test_a_csv_that_a_spreadsheet_saved_with_other_digits_is_told_only_where_it_says_something_else(it):
    """0.10 is 0.1."""
    path = it.folder / "manifest.csv"
    with path.open(newline="", encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    rows[0]["latency_s"] += "0"
    with path.open("w", newline="", encoding="utf-8") as text:
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert found(it.folder) == []
