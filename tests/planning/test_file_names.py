"""Tests the user's own names: no disk takes two of them for one file, and no dataset loader leaves images out."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.images.reserve_disk_space import DiskSpace
from imagen_batch.images.store import ImageStore
from imagen_batch.images.taken_names import TakenNames, folded_name
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.planning.file_names import slug, split_words, stem_from_template, without_split_words
from imagen_batch.settings import make_settings
from imagen_batch.simulator import read_stamp
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


@pytest.mark.parametrize(("one", "other"), SAME)
def test_spellings_that_are_one_file_on_some_disk_fold_to_the_same_name(one, other):
    """They differ in case, composition, invisible characters, or in dots and spaces at the end."""
    assert folded_name(one) == folded_name(other)


@pytest.mark.parametrize(("one", "other"), [("fox", "fax"), ("page_01", "page_02"), ("a/b", "a_b"), ("1", "2")])
def test_other_names_fold_to_different_names(one, other):
    """No unnecessary code is added."""
    assert folded_name(one) != folded_name(other)


@given(st.text(max_size=12))
def test_folding_ignores_case_and_is_idempotent(text):
    """Folding a folded name changes nothing."""
    assert folded_name(text.upper()) == folded_name(text)
    assert folded_name(folded_name(text)) == folded_name(text)


@pytest.mark.parametrize(("one", "other"), SAME[:9])
@pytest.mark.parametrize("concurrency", [1, 8])
def test_the_second_of_two_rows_gets_a_code_whichever_image_arrives_first(tmp_path, sim, one, other, concurrency):
    """The files fold to different names, and each has the image of its row."""
    rows = [{"prompt": "first", "filename": one}, {"prompt": "second", "filename": other}]
    ran = run(write_csv(tmp_path / "p.csv", rows), sim, concurrency=concurrency)
    first, second = ran.rows
    assert re.fullmatch(r".*_[0-9a-f]{8}\.\w+", second["file"])
    assert not re.fullmatch(r".*_[0-9a-f]{8}\.\w+", first["file"])
    assert folded_name(first["file"]) != folded_name(second["file"])
    for row in ran.rows:
        assert read_stamp(ran.image(row))["prompt"] == row["prompt"]


def test_names_do_not_depend_on_which_run_made_the_image(tmp_path, sim):
    """A row that is made in a later run gets the name that it would have had in the first."""
    rows = [
        {"prompt": "first [[sim:filtered*1]]", "filename": "Fox"},
        {"prompt": "second", "filename": "fox"},
    ]
    source = write_csv(tmp_path / "p.csv", rows)
    ran = run(source, sim)
    assert ran.statuses == ["filtered", "ok"]
    assert re.search(r"fox_[0-9a-f]{8}\.", ran.rows[1]["file"])
    assert run(source, sim, retry="filtered").rows[0]["file"].startswith("images/Fox.")


def test_a_later_edit_does_not_fold_onto_an_image_that_is_there(tmp_path, sim):
    """A row is inserted before the one whose image has the name: the image keeps it, the new one gets a code."""
    run(write_csv(tmp_path / "p.csv", [{"prompt": "old", "filename": "Fox"}]), sim)
    rows = [{"prompt": "new", "filename": "fox"}, {"prompt": "old", "filename": "Fox"}]
    ran = run(write_csv(tmp_path / "p.csv", rows), sim)
    new, old = ran.rows
    assert old["file"].startswith("images/Fox.")
    assert re.search(r"images/fox_[0-9a-f]{8}\.", new["file"])
    assert len({folded_name(row["file"]) for row in ran.rows}) == 2
    assert len(sim.requests) == 2


def test_a_numbered_name_differs_from_a_sample_of_another_row(tmp_path, sim):
    """`fox` with two samples makes `fox_01`, which may be the name of another row."""
    rows = [{"prompt": "a", "filename": "fox", "samples": 2}, {"prompt": "b", "filename": "Fox_01", "samples": 1}]
    ran = run(write_csv(tmp_path / "p.csv", rows), sim)
    assert len({folded_name(row["file"]) for row in ran.rows}) == 3


def test_the_warning_about_equal_names_is_true(tmp_path, sim):
    """One sentence has the number of rows that get a code."""
    rows = [{"prompt": f"{n}", "filename": name} for n, name in enumerate(["Fox", "fox", "FOX", "owl"])]
    source = write_csv(tmp_path / "p.csv", rows)
    plan = make_plan(make_settings({"prompts": str(source), "provider": "simulator"}), today=TODAY)
    (warning,) = [text for text in plan.warnings if "short code" in text]
    assert "2 rows" in warning
    ran = run(source, sim)
    assert sum(bool(re.search(r"_[0-9a-f]{8}\.", row["file"])) for row in ran.rows) == 2


def test_threads_that_give_spellings_of_one_name_make_two_files(tmp_path):
    """This holds even for names that no plan has compared."""
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


def test_the_names_of_a_row_are_claimed_together_or_not_at_all():
    """A row with two samples gets neither name if one of them is taken."""
    taken = TakenNames()
    assert taken.claim(["a_01", "a_02"])
    assert not taken.claim(["A_02", "a_03"])
    assert "a_03" not in taken
    assert "A_01" in taken


@given(st.text(max_size=30), st.lists(st.sampled_from(SPLITS), min_size=1), st.sampled_from("-_. /"))
def test_slugs_and_templates_contain_no_word_that_splits_a_dataset(text, words, mark):
    """This holds whatever the cells contain."""
    prompt = mark.join([*words, text, *words])
    values = {"c": prompt, "row": 7, "slug": slug(prompt)}
    for name in (slug(prompt), stem_from_template("{c}/{row:03}-{slug}", values)):
        assert not split_words(name)
        assert not SPLIT.search(name.removeprefix("images/"))


def test_a_split_word_becomes_its_plural():
    """The plural is readable, and it is not a split word."""
    assert slug("Test of strength on a train") == "tests-of-strength-on-a-trains"
    assert without_split_words("Train/001_a tested trainer") == "Trains/001_a tested trainer"


def test_a_user_s_own_split_word_is_kept_and_reported_before_money_is_spent(tmp_path):
    """The user chose the name; the warning has the effect on a loader and the remedy."""
    source = write_csv(tmp_path / "p.csv", [{"prompt": "a", "filename": "test/one"}])
    plan = make_plan(make_settings({"prompts": str(source), "provider": "simulator"}), today=TODAY)
    (warning,) = plan.warnings
    assert "'test'" in warning
    assert "load_dataset(DIR)" in warning
    assert plan.names == ["images/test/one"]


def test_a_template_may_contain_the_sample_number(tmp_path, sim):
    """No number is added to the name then."""
    source = write_csv(tmp_path / "p.csv", [{"prompt": "a fox", "scene": "s1"}])
    ran = run(source, sim, model=IMAGEN, samples=3, name_template="{scene}/{sample:02}-{slug}")
    stems = [row["file"].rpartition(".")[0] for row in ran.rows]
    assert stems == [f"images/s1/0{number}-a-fox" for number in (1, 2, 3)]
    for row in ran.rows:
        assert read_stamp(ran.image(row))["sample"] == row["sample"]


def test_a_number_is_added_to_the_names_of_a_template_without_the_sample_number(tmp_path, sim):
    """Otherwise the samples of a row would have the same name."""
    source = write_csv(tmp_path / "p.csv", [{"prompt": "a fox"}])
    ran = run(source, sim, model=IMAGEN, samples=2, name_template="{slug}")
    assert [row["file"].rpartition(".")[0] for row in ran.rows] == ["images/a-fox_01", "images/a-fox_02"]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("form", ["imagefolder", "folder"])
def test_every_image_of_a_templated_run_is_loaded(tmp_path, sim, form):
    """The template is that of the README, with cells that contain test and train."""
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
def test_images_with_split_words_of_the_user_are_all_loaded_from_the_folder(tmp_path, sim):
    """The warning about such names recommends this."""
    datasets = pytest.importorskip("datasets", reason="belongs to the extra `datasets`")
    rows = [{"prompt": "a", "filename": "test/one"}, {"prompt": "b", "filename": "two"}]
    ran = run(write_csv(tmp_path / "p.csv", rows), sim)
    loaded = datasets.load_dataset(str(ran.folder), cache_dir=str(tmp_path / "cache"))
    assert sorted(loaded["train"]["prompt"]) == ["a", "b"]
