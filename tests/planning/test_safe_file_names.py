"""Tests that no text leads an image out of its folder, hides it, or gives it a name that a system refuses."""

from __future__ import annotations

import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imagen_batch.images.taken_names import with_key
from imagen_batch.planning.file_names import (
    check_template,
    default_stem,
    image_name,
    slug,
    split_words,
    stem_from,
    stem_from_template,
)

KEY = "3f2a9c1d" + "0" * 56

# Any text, and text made of parts that are dangerous in paths and rarely occur together by chance.
PIECES = [
    "..",
    ".",
    "/",
    "\\",
    " ",
    "__",
    "con",
    "NUL",
    "images/",
    ".png",
    ".JPG",
    ":",
    "C:",
    "a",
    "é",
    "e\u0301",
]
PIECES += [
    "\0",
    "\n",
    "\u202e",
    "\u3000",
    "\ud800",
    "語" * 50,
    "👩‍🚀",
    "x" * 118,
    "{",
    "}",
    "~",
    "-",
    "%2e",
    ".",
]
texts = st.text(st.characters()) | st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


def stem_or_none(text: str) -> str | None:
    try:
        return stem_from(text)
    except UnicodeError:  # a ValueError, too, but not one that we raise
        raise
    except ValueError:
        return None


def assert_safe(stem: str) -> None:
    name = with_key(image_name(stem, sample=1, key=KEY, extension=".webp", named=False, samples=1), KEY)
    folder = Path("/run").resolve()
    assert (folder / name).resolve().is_relative_to(folder / "images")
    assert not PureWindowsPath(name).is_absolute()
    assert not PureWindowsPath(name).drive
    for segment in name.split("/"):
        assert segment.strip(". ") == segment != ""
        assert len(segment.encode()) <= 255
        assert not any(unicodedata.category(char) == "Cc" or char in '<>:"|?*\\' for char in segment)
    assert not any(segment.startswith("__") for segment in name.split("/")[:-1])


@settings(deadline=None)
@given(texts)
@example("images/images")
@example("con.tar.png.\u3000.png")
@example("con." + "x" * 112 + ".pngz")
@example("con" + " " * 120 + "x")
def test_no_text_leads_out_of_the_folder(text: str) -> None:
    """It is refused, or the name is safe on every system and stays the same when it is read again."""
    stem = stem_or_none(text)
    if stem is None:
        return
    assert_safe(stem)
    assert stem_from(stem) == stem


@settings(deadline=None)
@given(texts, texts)
def test_no_value_of_a_template_leads_out_of_the_folder(first: str, second: str) -> None:
    """Cells are data: the template makes one folder and one file, whatever they contain."""
    stem = stem_from_template("{first}/x{second:03}", {"first": first, "second": second})
    assert_safe(stem)
    assert stem.count("/") <= 2


@pytest.mark.parametrize(
    ("cell", "stem"),
    [
        ("cat", "images/cat"),
        ("cat.png", "images/cat"),
        ("cat.v2.JPEG", "images/cat.v2"),
        ("Chapter 1/page 2", "images/Chapter 1/page 2"),
        ("a\\b", "images/a/b"),
        ("./a//b/", "images/a/b"),
        ("images/cat.png", "images/cat"),
        ("who? me: <yes>", "images/who_ me_ _yes_"),
        ("line\nbreak", "images/line_break"),
        (".hidden/..x", "images/_hidden/_x"),
        ("__pycache__/a", "images/_pycache__/a"),
        ("con/NUL.txt.png", "images/_con/_NUL.txt"),
        ("con artist", "images/con artist"),
        ("e\u0301te\u0301", "images/été"),
        ("dots...  ", "images/dots"),
        ("語" * 60, "images/" + "語" * 40),
        ("C:cat", "images/C_cat"),
    ],
)
def test_a_cell_is_made_safe_and_stays_readable(cell: str, stem: str) -> None:
    """Every character that all systems allow is kept."""
    assert stem_from(cell) == stem


@pytest.mark.parametrize("cell", ["/etc/passwd", "\\\\server\\share", "\\x", "C:\\x", "c:/x", "  /x", "//x"])
def test_absolute_paths_are_refused(cell: str) -> None:
    """Each of them is absolute on some system."""
    with pytest.raises(ValueError, match="absolute path"):
        stem_from(cell)


@pytest.mark.parametrize("cell", ["..", "../x", "a/../b", "a\\..\\b", " .. /x", "images/../../x", "x/.."])
def test_parent_folders_are_refused(cell: str) -> None:
    """Paths that would lead back into the folder are refused as well."""
    with pytest.raises(ValueError, match=r"'\.\.'"):
        stem_from(cell)


@pytest.mark.parametrize("cell", ["", "  ", "/".join("abcdefghi"), "./.", "images/"])
def test_empty_and_too_deep_names_are_refused(cell: str) -> None:
    """Nothing of the name is left, or it has too many folders."""
    with pytest.raises(ValueError, match=r"leaves no file name|at most 8"):
        stem_from(cell)


@pytest.mark.parametrize(
    ("template", "stem"),
    [
        ("{chapter:02}/{page:03}-{slug}", "images/07/012-a-cat"),
        ("{chapter:02d}", "images/07"),
        ("{page}", "images/12"),
        ("{title:03}.png", "images/VII_ of_ cups"),
        ("minus{below:04}", "images/minus-003"),
        ("{{{page}}}", "images/{12}"),
        ("{empty}/{page}", "images/12"),
        ("{evil}/{page}", "images/_/12"),
        ("images\\{page}", "images/12"),
    ],
)
def test_a_template_is_filled_in(template: str, stem: str) -> None:
    """Numbers are padded, slashes in values make no folders, dots in values lead nowhere."""
    values: dict[str, str | int] = {"chapter": "7", "page": 12, "slug": "a-cat", "title": "VII/ of: cups"}
    more: dict[str, str | int] = {"below": "-3", "empty": " ", "evil": ".."}
    assert stem_from_template(template, values | more) == stem


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{titel}", "not a column here. The columns are: page, row"),
        ("{row.__class__}", "not a column"),
        ("{row[0]}", "not a column"),
        ("{}", "not a column"),
        ("{0}", "not a column"),
        ("{row!r}", "width only"),
        ("{row:>10}", "width only"),
        ("{row:0999999999}", "width only"),
        ("{row:{page}}", "width only"),
        ("{row", "can't be read"),
        ("row}", "can't be read"),
        ("/tmp/{row}", "absolute"),
        ("C:\\{row}", "absolute"),
        ("../{row}", r"'\.\.'"),
        ("", "no file name"),
    ],
)
def test_a_bad_template_is_refused_before_a_run(template: str, message: str) -> None:
    """The check names the problem and lists the columns; nothing reaches into objects."""
    with pytest.raises(ValueError, match=message):
        check_template(template, ["row", "page"])


def test_a_good_template_passes_the_check() -> None:
    """It may have padding, folders and text of its own."""
    check_template("book/{row:03}_{page:02d}.png", {"row", "page"})


def test_default_names_contain_only_digits_and_hex() -> None:
    """They have row, sample and the start of the key: no word in them can split a dataset."""
    name = image_name(default_stem(1), sample=2, key=KEY, extension=".png", named=False, samples=4)
    assert name == "images/000001_02_3f2a9c1d.png"
    assert split_words(name) == ()


def test_the_user_s_own_name_is_kept() -> None:
    """The sample number is added only if there are several."""
    one = image_name("images/cat", sample=1, key=KEY, extension=".jpg", named=True, samples=1)
    third = image_name("images/cat", sample=3, key=KEY, extension=".jpg", named=True, samples=4)
    assert (one, third) == ("images/cat.jpg", "images/cat_03.jpg")


def test_a_taken_name_gets_the_key() -> None:
    """The key is added before the extension, which begins at the last dot."""
    assert with_key("images/a/b.png", KEY) == "images/a/b_3f2a9c1d.png"
    assert with_key("images/v1.5.png", KEY) == "images/v1.5_3f2a9c1d.png"


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("A Cat, sitting on the Moon!", "a-cat-sitting-on-the-moon"),
        ("one two three four five six seven eight nine", "one-two-three-four-five-six-seven-eight"),
        ("don't it’s", "dont-its"),
        ("Über die Brücke", "über-die-brücke"),
        ("हिन्दी में", "हिन्दी-में"),
        ("../../etc", "etc"),
        ("🎉", "untitled"),
    ],
)
def test_a_slug_is_the_first_words(prompt: str, expected: str) -> None:
    """They contain letters and digits of any script, in lower case."""
    assert slug(prompt) == expected


@settings(deadline=None)
@given(texts)
def test_a_slug_is_short_and_one_segment(text: str) -> None:
    """Whatever the prompt is, its slug is valid as part of a name."""
    name = slug(text)
    assert 0 < len(name.encode()) <= 80
    assert PurePosixPath(stem_from(name)).parts == ("images", name) or name in {"con", "prn", "aux", "nul"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("images/a-train-in-the-rain.png", ("train",)),
        ("images/test.png", ("test",)),
        ("images/7dev7 eval.png", ("dev", "eval")),
        ("train/val/train.png", ("train", "val")),
        ("images/training_day.png", ("training",)),
        ("images/trains-tested-devil-value.png", ()),
        ("images/Train.png", ()),
    ],
)
def test_words_that_split_a_dataset_are_found(name: str, words: tuple[str, ...]) -> None:
    """Only whole words between the loader's separators count, each once, in the loader's spelling."""
    assert split_words(name) == words
