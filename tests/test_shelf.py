"""Pictures get their names whole, and never the name of another."""

import os
import threading

import pytest

from imagen_batch.room import Room
from imagen_batch.shelf import Shelf

KEY, OTHER = "ab" * 32, "cd" * 32


def no_links(_source, _target):
    """A file system without hard links."""
    raise PermissionError("no hard links here")


@pytest.fixture(params=[os.link, no_links], ids=["links", "no links"])
def shelf(request, tmp_path):
    """The pictures of a run, on both kinds of file system."""
    return Shelf(tmp_path, Room(tmp_path, in_flight=1), link=request.param)


def _files(folder):
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def test_a_picture_is_kept_byte_for_byte(shelf, tmp_path):
    """Folders on the way are made."""
    assert shelf.put(b"bytes", key=KEY, number=1, name="images/book/a.png") == ("images/book/a.png", None)
    assert (tmp_path / "images" / "book" / "a.png").read_bytes() == b"bytes"
    assert _files(tmp_path / "images" / "book") == ["a.png"]


def test_another_picture_is_never_overwritten(shelf, tmp_path):
    """The second one gets a part of its key, the third a number."""
    names = [shelf.put(data, key=KEY, number=n, name="images/a.png")[0] for n, data in enumerate([b"1", b"2", b"3"])]
    assert names[0] == "images/a.png"
    assert names[1] == f"images/a_{KEY[:8]}.png"
    assert len(set(names)) == 3
    assert [(tmp_path / name).read_bytes() for name in names] == [b"1", b"2", b"3"]


def test_of_many_writers_each_gets_a_name(shelf, tmp_path):
    """Threads that want one name for different pictures lose none."""
    start = threading.Barrier(8)
    got = {}

    def write(number):
        start.wait()
        got[number], _ = shelf.put(bytes([number]) * 50_000, key=f"{number:064x}", number=1, name="images/a.png")

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(set(got.values())) == 8
    assert all((tmp_path / name).read_bytes() == bytes([number]) * 50_000 for number, name in got.items())


def test_a_dangling_link_under_the_name_is_not_followed(shelf, tmp_path):
    """A picture must not be written to wherever some link points."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").symlink_to(tmp_path / "elsewhere.png")
    assert shelf.put(b"data", key=KEY, number=1, name="images/a.png")[0] != "images/a.png"
    assert not (tmp_path / "elsewhere.png").exists()


def test_what_was_received_is_found_until_the_ledger_has_it(shelf):
    """After a kill in between, nothing paid for is lost."""
    shelf.put(b"one", key=KEY, number=1, name="images/a.png")
    shelf.put(b"two", key=OTHER, number=2, name="images/b.png")
    assert [(key, number) for key, number, _ in shelf.left()] == [(KEY, 1), (OTHER, 2)]
    shelf.clear(KEY, [1])
    shelf.clear(KEY, [1])
    assert [(key, number) for key, number, _ in shelf.left()] == [(OTHER, 2)]


def test_publishing_again_after_a_kill_changes_nothing(shelf, tmp_path):
    """The name was given already: it is the same picture."""
    name, _ = shelf.put(b"one", key=KEY, number=1, name="images/a.png")
    assert shelf.publish(shelf.incoming(KEY, 1), key=KEY, name="images/a.png", again=True) == name
    assert _files(tmp_path / "images") == ["a.png"]
