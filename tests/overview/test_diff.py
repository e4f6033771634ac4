"""`imagen-batch diff` compares two runs of the same rows, sample by sample."""

import re
from html.parser import HTMLParser
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.cells import cell_len

from imagen_batch.errors import SettingsInvalid
from imagen_batch.overview.diff.compare import compare
from imagen_batch.overview.diff.page import write_page
from imagen_batch.overview.diff.report import comparison_text
from imagen_batch.overview.diff.samples import read_samples
from imagen_batch.simulator import Simulator
from tests.support.runs import run, write_csv

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)> \x1b[31m\u202e"


def make_manifest(folder, rows):
    """Write a manifest with some columns."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = {"sample": 1, "status": "ok", "id": "", "prompt": "p", "model": "m", "file": None, "sha256": "a"}
    full = [{"row": number, **plain, **row} for number, row in enumerate(rows, 1)]
    pq.write_table(pa.Table.from_pylist(full), folder / "manifest.parquet")
    return str(folder)


def changes(tmp_path, before, after):
    """What changed about each sample, by row and number of the later side."""
    one, two = make_manifest(tmp_path / "one", before), make_manifest(tmp_path / "two", after)
    found = compare(read_samples(one), read_samples(two))
    return found, [(each.sample.row, each.sample.number, each.changes) for each in found.differences]


@pytest.fixture
def two_runs(tmp_path):
    """Two real runs of the same rows: one prompt differs, and one row is new."""
    for name, texts in (("a", ["a fox", "a hen"]), ("b", ["a fox", "a red hen", "a mole"])):
        (tmp_path / name).mkdir()
        rows = [{"id": f"id-{number}", "prompt": text} for number, text in enumerate(texts)]
        with Simulator() as sim:
            run(write_csv(tmp_path / name / "book.csv", rows), sim)
    return str(tmp_path / "a" / "out"), str(tmp_path / "b" / "out")


def test_two_real_runs_differ_where_their_prompts_do(two_runs):
    """The unchanged row has the same bytes, the edited one another image, the new one is added."""
    found = compare(*map(read_samples, two_runs))
    assert found.matched_by == "id"
    assert found.same == 1
    assert [(each.sample.id, each.changes) for each in found.differences] == [
        ("id-1", ("prompt", "image")),
        ("id-2", ("added",)),
    ]


def test_a_run_is_the_same_as_itself(two_runs):
    """Nothing is listed."""
    found = compare(read_samples(two_runs[0]), read_samples(two_runs[0]))
    assert (found.same, found.differences) == (2, ())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"model": "n"}, ("model",)),
        ({"sha256": "b"}, ("image",)),
        ({"prompt": "q", "sha256": "b"}, ("prompt", "image")),
        ({"status": "filtered", "sha256": None}, ("status",)),
        ({}, ()),
    ],
)
def test_each_change_is_named(tmp_path, change, expected):
    """A lost image is a change of status and not of the image."""
    _, found = changes(tmp_path, [{}], [change])
    assert found == ([(1, 1, expected)] if expected else [])


def test_another_reason_for_a_missing_image_is_a_change(tmp_path):
    """The status alone would hide it."""
    before = {"status": "failed", "error_kind": "timeout", "sha256": None}
    _, found = changes(tmp_path, [before], [{**before, "error_kind": "bad_request"}])
    assert found == [(1, 1, ("reason",))]


def test_rows_are_matched_by_id_wherever_they_stand(tmp_path):
    """Inserting a row changes nothing else."""
    found, listed = changes(tmp_path, [{"id": "a"}, {"id": "b"}], [{"id": "new"}, {"id": "b"}, {"id": "a"}])
    assert found.matched_by == "id"
    assert listed == [(1, 1, ("added",))]


@pytest.mark.parametrize("ids", [("a", "a"), ("a", ""), ("", "")])
def test_rows_without_unique_ids_are_matched_by_number(tmp_path, ids):
    """One run without unique ids is enough."""
    rows = [{"id": text} for text in ids]
    found, listed = changes(tmp_path, rows, [{"id": "a"}, {"id": "b"}, {"id": "c"}])
    assert found.matched_by == "row"
    assert listed == [(3, 1, ("added",))]


def test_a_row_that_is_gone_is_removed(tmp_path):
    """It stands at the end."""
    _, listed = changes(tmp_path, [{"id": "a"}, {"id": "b"}], [{"id": "b", "sha256": "z"}])
    assert listed == [(1, 1, ("image",)), (1, 1, ("removed",))]


def test_long_prompts_that_differ_only_at_their_end_differ(tmp_path):
    """What is shown of them is the same."""
    _, listed = changes(tmp_path, [{"prompt": "x" * 5000}], [{"prompt": "x" * 4999 + "y"}])
    assert listed == [(1, 1, ("prompt",))]


def test_the_text_fits_80_columns_and_obeys_nothing(tmp_path):
    """Only the lines with the folders may be longer."""
    found, _ = changes(
        tmp_path,
        [{"prompt": HOSTILE * 9, "model": HOSTILE, "id": HOSTILE}],
        [{"prompt": "b" * 900, "model": "m2", "id": HOSTILE, "status": "failed", "error_kind": HOSTILE}],
    )
    text = comparison_text(found)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert all(cell_len(line) <= 80 for line in text.splitlines()[2:])


class Page(HTMLParser):
    """The elements of a page, and the addresses of its images."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.images, self.attributes, self.policy = set(), [], set(), ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        facts = dict(attrs)
        self.attributes |= set(facts)
        if tag == "img":
            self.images.append(facts["src"])
        if facts.get("http-equiv") == "Content-Security-Policy":
            self.policy = facts["content"]


def test_the_page_shows_both_images_and_nothing_else(two_runs, tmp_path):
    """Its addresses lead to the files of both runs."""
    target = tmp_path / "sub dir" / "changes.html"
    target.parent.mkdir()
    write_page(compare(*map(read_samples, two_runs)), target)
    page = Page(target.read_text(encoding="utf-8"))
    files = [(target.parent / unquote(address)).resolve() for address in page.images]
    assert len(files) == 3  # two of the edited row, one of the new row
    assert all(file.is_file() for file in files)
    assert {"script", "iframe", "object", "link", "form"} & page.tags == set()
    assert "default-src 'none'" in page.policy
    assert "unsafe" not in page.policy


def test_hostile_text_is_text_in_the_page(tmp_path):
    """In prompt, model, id, reason and the name of the folder; a path that leads out is not shown."""
    one = make_manifest(tmp_path / '<b onclick="x">', [{"id": "a", "prompt": HOSTILE, "file": "../../etc/passwd"}])
    two = make_manifest(
        tmp_path / "two", [{"id": "a", "prompt": "p", "model": HOSTILE, "file": "javascript:alert(1)", "sha256": "b"}]
    )
    write_page(compare(read_samples(one), read_samples(two)), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert not any(name.startswith("on") for name in page.attributes)
    assert all(address.startswith("./") for address in page.images)
    assert "passwd" not in text
    assert not re.search("[\x1b\u202e]", text)


def test_a_page_needs_a_name_of_a_page(two_runs, tmp_path):
    """A slip must not replace an image; a folder that does not exist is named."""
    found = compare(*map(read_samples, two_runs))
    for name in ("image.png", "nowhere/page.html"):
        with pytest.raises(SettingsInvalid, match="--html"):
            write_page(found, tmp_path / name)
    assert list(tmp_path.glob(".*.part")) == []


def test_a_folder_without_a_manifest_and_a_damaged_one_are_refused(shell, tmp_path):
    """In a sentence with the command that helps."""
    good = make_manifest(tmp_path / "good", [{}])
    ended = shell.run("diff", good, tmp_path / "nothing")
    assert (ended.code, "finished run" in ended.err) == (2, True)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "manifest.parquet").write_bytes(b"PAR1 no")
    ended = shell.run("diff", good, tmp_path / "bad")
    assert (ended.code, "--repair" in ended.err, "Traceback" in ended.err) == (2, True, False)


def test_the_command_prints_text_json_and_a_page(shell, two_runs):
    """All of them come from the same comparison."""
    ended = shell.run("diff", *two_runs, "--html", "page.html")
    assert ended.code == 0
    assert "matched by id: 1 the same, 2 different" in ended.out
    assert "A prompt  a hen" in ended.out
    assert (shell.here / "page.html").is_file()
    ended = shell.run("diff", *two_runs, "--json")
    assert ended.json["different"] == 2
    assert ended.json["samples"][0]["before"]["prompt"] == "a hen"
