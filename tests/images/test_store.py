"""Pictures get their names whole, and never the name of another, wherever they are kept."""

import threading

import pytest

from imagen_batch.images.disk_space import Room
from imagen_batch.images.store import Shelf
from imagen_batch.storage import Folder, open_storage
from tests.support.factories import request as image_request

KEY, OTHER = "ab" * 32, "cd" * 32
OWN = f"images/000001_01_{KEY[:8]}.png"


def no_links(_source, _target):
    """A file system without hard links."""
    raise PermissionError("no hard links here")


@pytest.fixture(params=["links", "no links", "memory", "s3"])
def storage(request, tmp_path):
    """Each kind of storage."""
    if request.param == "s3":
        request.getfixturevalue("s3")
    return {
        "links": lambda: Folder(tmp_path),
        "no links": lambda: Folder(tmp_path, link=no_links),
        "memory": lambda: open_storage(f"memory://pictures/{tmp_path.name}"),
        "s3": lambda: open_storage(f"s3://pictures/{tmp_path.name}"),
    }[request.param]()


@pytest.fixture
def shelf(storage):
    """The pictures of a run."""
    return Shelf(storage, Room(storage, in_flight=1))


def _names(shelf, below="images"):
    return [name for name, _ in shelf.storage.sizes(below)]


def test_a_picture_is_kept_byte_for_byte(shelf):
    """Folders on the way are made."""
    assert shelf.put(b"bytes", key=KEY, number=1, name="images/book/a.png") == ("images/book/a.png", None)
    assert shelf.storage.read("images/book/a.png") == b"bytes"
    assert _names(shelf) == ["images/book/a.png"]


def test_another_picture_is_never_overwritten(shelf):
    """The second one gets a part of its key, the third a number."""
    names = [shelf.put(data, key=KEY, number=n, name="images/a.png")[0] for n, data in enumerate([b"1", b"2", b"3"])]
    assert names[0] == "images/a.png"
    assert names[1] == f"images/a_{KEY[:8]}.png"
    assert len(set(names)) == 3
    assert [shelf.storage.read(name) for name in names] == [b"1", b"2", b"3"]


def test_of_many_writers_each_gets_a_name(shelf):
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
    assert all(shelf.storage.read(name) == bytes([number]) * 50_000 for number, name in got.items())


def test_a_dangling_link_under_the_name_is_not_followed(tmp_path):
    """A picture must not be written to wherever some link points."""
    shelf = Shelf(Folder(tmp_path), Room(Folder(tmp_path), in_flight=1))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").symlink_to(tmp_path / "elsewhere.png")
    assert shelf.put(b"data", key=KEY, number=1, name="images/a.png")[0] != "images/a.png"
    assert not (tmp_path / "elsewhere.png").exists()


def test_what_was_received_is_found_until_the_ledger_has_it(shelf):
    """After a kill in between, nothing paid for is lost."""
    shelf.put(b"one", key=KEY, number=1, name="images/a.png")
    shelf.put(b"two", key=OTHER, number=2, name="images/b.png")
    attempts = [image_request(key=KEY, names=("images/a",)), image_request(key=OTHER, first=2, names=("images/b",))]
    assert [(one.key, one.number) for one in shelf.left(attempts)] == [(KEY, 1), (OTHER, 2)]
    shelf.clear(KEY, [1])
    shelf.clear(KEY, [1])
    assert [(one.key, one.number) for one in shelf.left(attempts)] == [(OTHER, 2)]


def test_a_name_that_tells_its_key_is_found_by_the_open_attempt(shelf):
    """Where that saves a second upload the picture has its name at once."""
    attempt = image_request(key=KEY, names=(OWN.removesuffix(".png"),))
    shelf.put(b"one", key=KEY, number=1, name=OWN)
    (left,) = shelf.left([attempt])
    assert shelf.storage.read(left.file) == b"one"
    assert (left.file == OWN) is left.named is (not shelf.storage.links)


def test_publishing_again_after_a_kill_changes_nothing(shelf):
    """The name was given already: it is the same picture."""
    name, _ = shelf.put(b"one", key=KEY, number=1, name="images/a.png")
    assert shelf.publish(shelf.incoming(KEY, 1), key=KEY, name="images/a.png", again=True) == name
    assert _names(shelf) == ["images/a.png"]
