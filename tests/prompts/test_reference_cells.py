"""Tests cells of reference images: paths, addresses and rows, separated by semicolons."""

import pytest

from imagen_batch.prompts.reference_cells import RowImage, is_uri, references, row_image


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("fox.png", ("fox.png",)),
        (" a b.png ; sheets/fox.png;", ("a b.png", "sheets/fox.png")),
        ('["a;b.png", "@fox"]', ("a;b.png", "@fox")),
        ("[draft].png", ("[draft].png",)),
        ("@fox#2;gs://b/x.png", ("@fox#2", "gs://b/x.png")),
    ],
)
def test_a_cell_is_a_list_in_order(text, names):
    """Blanks around names and a semicolon at the end do not count."""
    assert references(text) == names


@pytest.mark.parametrize(
    "text", ["a;;b", ";a", "@", "@ ;a", "@fox#0", "@fox#x", "@#2", "[1, 2]", ";".join("a" * 101)]
)
def test_a_malformed_cell_is_refused(text):
    """The error has a message, to which the caller adds the line."""
    with pytest.raises(ValueError, match=r"\w{3,}"):
        references(text)


def test_a_row_is_named_by_its_id_and_a_sample():
    """The last # separates the two: an id may contain one."""
    assert row_image("@fox") == RowImage("fox")
    assert row_image("@fox#2") == RowImage("fox", 2)
    assert row_image("@a#b#3") == RowImage("a#b", 3)
    assert row_image("fox@home.png") is None


def test_an_address_is_not_a_path():
    """A drive letter is not a scheme."""
    assert is_uri("gs://b/x.png")
    assert is_uri("HTTPS://x/y.png")
    assert not is_uri("C:/fox.png")
    assert not is_uri("sheets/fox.png")
