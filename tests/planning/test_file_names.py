"""The user's own names: no disk takes two of them for one file, and no dataset loader leaves images out."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.images.disk_space import DiskSpace
from imagen_batch.images.file_names import TakenNames, folded_name
from imagen_batch.images.store import ImageStore
from imagen_batch.planning.filenames import slug, split_words, stem_from_template, without_split_words
from imagen_batch.planning.plan import make_plan
from imagen_batch.settings import make_settings
from imagen_batch.simulator import Simulator, read_stamp
from imagen_batch.storage import Folder
from tests.support.runs import IMAGEN, TODAY, run, write_csv

SAME = [
    ("Fox", "fox"),
    ("STRASSE", "straße"),
    ("ΟΔΟΣ", "οδος"),
    ("οδος", "οδοσ"),
    ("İstanbul", "istanbul"),
    ("ıspanak", "ISPANAK"),
    ("café", "cafe\u0301"),
    ("Å", "\u212b"),
    ("ПРИВЕТ", "привет"),
    ("Ａ", "ａ"),
    ("a\u200bb", "ab"),
    ("a/B. ", "A/b"),
    ("ſee", "see"),
    ("\u1e9e", "ss"),
]
SPLITS = (*("train", "training", "validation", "valid", "val", "dev"), *("test", "testing", "eval", "evaluation"))
SPLIT = re.compile(rf"(^|[-._ 0-9/])({'|'.join(SPLITS)})([-._ 0-9/]|$)", re.IGNORECASE)


@pytest.fixture
def sim():
    """A service without faults."""
    with Simulator() as simulator:
        yield simulator


@pytest.mark.parametrize(("one", "other"), SAME)
def test_spellings_that_a_disk_takes_for_one_fold_alike(one, other):
    """Case in any script, composed or not, what has no width, dots and spaces at the end."""
    assert folded_name(one) == folded_name(other)


@pytest.mark.parametrize(("one", "other"), [("fox", "fax"), ("page_01", "page_02"), ("a/b", "a_b"), ("1", "2")])
def test_other_names_stay_apart(one, other):
    """No unnecessary code is added."""
    assert folded_name(one) != folded_name(other)


@given(st.text(max_size=12))
def test_folding_knows_every_case_of_a_name(text):
    """Upper, lower, decomposed: the same; and folding twice changes nothing."""
    assert folded_name(text.upper()) == folded_name(text)
    assert folded_name(folded_name(text)) == folded_name(text)


@pytest.mark.parametrize(("one", "other"), SAME[:9])
@pytest.mark.parametrize("concurrency", [1, 8])
def test_the_second_of_two_rows_gets_a_code_whoever_is_ready_first(tmp_path, sim, one, other, concurrency):
    """Files of the run fold to different names, and each is its row's."""
    rows = [{"prompt": "first", "filename": one}, {"prompt": "second", "filename": other}]
    ran = run(write_csv(tmp_path / "p.csv", rows), sim, concurrency=concurrency)
    first, second = ran.rows
    assert re.fullmatch(r".*_[0-9a-f]{8}\.\w+", second["file"])
    assert not re.fullmatch(r".*_[0-9a-f]{8}\.\w+", first["file"])
    assert folded_name(first["file"]) != folded_name(second["file"])
    for row in ran.rows:
        assert read_stamp(ran.image(row))["prompt"] == row["prompt"]


def test_names_do_not_depend_on_which_run_made_the_image(tmp_path, sim):
    """The second row is made in a later run: the name is what it would have been."""
    rows = [
        {"prompt": "first [[sim:finish_IMAGE_SAFETY]]", "filename": "Fox"},
        {"prompt": "second", "filename": "fox"},
    ]
    source = write_csv(tmp_path / "p.csv", rows)
    ran = run(source, sim)
    assert re.search(r"fox_[0-9a-f]{8}\.", ran.rows[1]["file"])


def test_a_later_edit_does_not_fold_onto_a_image_that_is_there(tmp_path, sim):
    """A row is put before the one whose image has the name: the image keeps it, the new one gets a code."""
    run(write_csv(tmp_path / "p.csv", [{"prompt": "old", "filename": "Fox"}]), sim)
    rows = [{"prompt": "new", "filename": "fox"}, {"prompt": "old", "filename": "Fox"}]
    ran = run(write_csv(tmp_path / "p.csv", rows), sim)
    new, old = ran.rows
    assert old["file"].startswith("images/Fox.")
    assert re.search(r"images/fox_[0-9a-f]{8}\.", new["file"])
    assert len({folded_name(row["file"]) for row in ran.rows}) == 2
    assert len(sim.requests) == 2


def test_a_numbered_name_and_a_sample_of_another_row_stay_apart(tmp_path, sim):
    """`fox` with two samples makes `fox_01`, which another row may be called."""
    rows = [{"prompt": "a", "filename": "fox", "samples": 2}, {"prompt": "b", "filename": "Fox_01", "samples": 1}]
    ran = run(write_csv(tmp_path / "p.csv", rows), sim)
    assert len({folded_name(row["file"]) for row in ran.rows}) == 3


def test_the_warning_promises_what_happens(tmp_path, sim):
    """One sentence, with the number of rows that it concerns."""
    rows = [{"prompt": f"{n}", "filename": name} for n, name in enumerate(["Fox", "fox", "FOX", "owl"])]
    source = write_csv(tmp_path / "p.csv", rows)
    plan = make_plan(make_settings({"prompts": str(source), "provider": "simulator"}), today=TODAY)
    (warning,) = [text for text in plan.warnings if "short code" in text]
    assert "2 rows" in warning
    ran = run(source, sim)
    assert sum(bool(re.search(r"_[0-9a-f]{8}\.", row["file"])) for row in ran.rows) == 2


def test_threads_that_give_spellings_of_one_name_make_two_files(tmp_path):
    """Even if no plan has seen both."""
    storage = Folder(tmp_path)
    store = ImageStore(storage, DiskSpace(storage, in_flight=4))
    names = ["Fox", "fox", "FOX", "fOx"] * 5

    def put(number: int) -> str:
        key = f"{number:08x}" * 8
        return store.save(b"%d" % number, key=key, number=1, name=f"images/{names[number]}.png")[0]

    with ThreadPoolExecutor(8) as threads:
        files = list(threads.map(put, range(len(names))))
    assert len({folded_name(file) for file in files}) == len(names)
    for number, file in enumerate(files):
        assert (tmp_path / file).read_bytes() == b"%d" % number


def test_names_are_claimed_together_or_not_at_all():
    """Of a row with two samples neither name is given if one is taken."""
    taken = TakenNames()
    assert taken.claim(["a_01", "a_02"])
    assert not taken.claim(["A_02", "a_03"])
    assert "a_03" not in taken
    assert "A_01" in taken


@given(st.text(max_size=30), st.lists(st.sampled_from(SPLITS), min_size=1), st.sampled_from("-_. /"))
def test_names_we_make_hold_no_word_that_splits_a_dataset(text, words, mark):
    """Slugs and templates, whatever the cells contain."""
    prompt = mark.join([*words, text, *words])
    made = [slug(prompt), stem_from_template("{c}/{row:03}-{slug}", {"c": prompt, "row": 7, "slug": slug(prompt)})]
    for name in made:
        assert not split_words(name)
        assert not SPLIT.search(name.removeprefix("images/"))


def test_a_split_word_becomes_its_plural():
    """Readable, and not a split word."""
    assert slug("Test of strength on a train") == "tests-of-strength-on-a-trains"
    assert without_split_words("Train/001_a tested trainer") == "Trains/001_a tested trainer"


def test_a_user_s_own_split_word_is_kept_and_reported_before_money_is_spent(tmp_path):
    """The name is theirs; the warning says what it does to a loader, and what helps."""
    source = write_csv(tmp_path / "p.csv", [{"prompt": "a", "filename": "test/one"}])
    plan = make_plan(make_settings({"prompts": str(source), "provider": "simulator"}), today=TODAY)
    (warning,) = plan.warnings
    assert "'test'" in warning
    assert "load_dataset(DIR)" in warning
    assert plan.names == ["images/test/one"]


def test_sample_is_a_field_of_a_template(tmp_path, sim):
    """Then no number is added to the name."""
    source = write_csv(tmp_path / "p.csv", [{"prompt": "a fox", "scene": "s1"}])
    ran = run(source, sim, model=IMAGEN, samples=3, name_template="{scene}/{sample:02}-{slug}")
    stems = [row["file"].rpartition(".")[0] for row in ran.rows]
    assert stems == [f"images/s1/0{number}-a-fox" for number in (1, 2, 3)]
    for row in ran.rows:
        assert read_stamp(ran.image(row))["sample"] == row["sample"]


def test_a_template_without_sample_still_numbers_the_samples(tmp_path, sim):
    """As before."""
    source = write_csv(tmp_path / "p.csv", [{"prompt": "a fox"}])
    ran = run(source, sim, model=IMAGEN, samples=2, name_template="{slug}")
    assert [row["file"].rpartition(".")[0] for row in ran.rows] == ["images/a-fox_01", "images/a-fox_02"]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("form", ["imagefolder", "folder"])
def test_every_image_of_a_templated_run_is_loaded(tmp_path, sim, form):
    """The template of the README, with cells that contain test and train."""
    datasets = pytest.importorskip("datasets", reason="belongs to the extra `datasets`")
    rows = [
        {"prompt": f"{word} number {number}", "Category": category}
        for number, (word, category) in enumerate(
            [("train", "Test"), ("a fox", "test"), ("dev", "Val"), ("owl", "x")]
        )
    ]
    ran = run(write_csv(tmp_path / "p.csv", rows), sim, name_template="{Category}/{row:03}-{slug}")
    cache = str(tmp_path / "cache")
    if form == "imagefolder":
        loaded = datasets.load_dataset("imagefolder", data_dir=str(ran.folder), cache_dir=cache)
    else:
        loaded = datasets.load_dataset(str(ran.folder), cache_dir=cache)
    assert list(loaded) == ["train"]
    assert sorted(loaded["train"]["prompt"]) == sorted(row["prompt"] for row in rows)


@pytest.mark.filterwarnings("default")
def test_a_user_s_own_split_words_are_loaded_whole_from_the_folder(tmp_path, sim):
    """As the warning says."""
    datasets = pytest.importorskip("datasets", reason="belongs to the extra `datasets`")
    rows = [{"prompt": "a", "filename": "test/one"}, {"prompt": "b", "filename": "two"}]
    ran = run(write_csv(tmp_path / "p.csv", rows), sim)
    loaded = datasets.load_dataset(str(ran.folder), cache_dir=str(tmp_path / "cache"))
    assert sorted(loaded["train"]["prompt"]) == ["a", "b"]
