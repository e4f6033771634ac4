"""Images get their names when they are complete, and never replace another one, in every storage."""

import threading

import pytest

from imagen_batch.images.reserve_disk_space import DiskSpace
from imagen_batch.images.store import ImageStore
from imagen_batch.storage import Folder, open_storage
from tests.support.factories import request as image_request

KEY, OTHER = "ab" * 32, "cd" * 32
OWN = f"images/000001_01_{KEY[:8]}.png"


def no_links(_source, _target):
    """Fail as on a file system without hard links."""
    raise PermissionError("no hard links here")


@pytest.fixture(params=["links", "no links", "memory", "s3"])
def storage(request, tmp_path):
    """Return each kind of storage."""
    if request.param == "s3":
        request.getfixturevalue("s3")
    return {
        "links": lambda: Folder(tmp_path),
        "no links": lambda: Folder(tmp_path, link=no_links),
        "memory": lambda: open_storage(f"memory://pictures/{tmp_path.name}"),
        "s3": lambda: open_storage(f"s3://pictures/{tmp_path.name}"),
    }[request.param]()


@pytest.fixture
def store(storage):
    """Return the image store of a run."""
    return ImageStore(storage, DiskSpace(storage, in_flight=1))


def _names(store, below="images"):
    return [name for name, _ in store.storage.sizes(below)]


def test_an_image_is_stored_byte_for_byte(store):
    """Its parent folders are created."""
    assert store.save(b"bytes", key=KEY, number=1, name="images/book/a.png") == ("images/book/a.png", None)
    assert store.storage.read("images/book/a.png") == b"bytes"
    assert _names(store) == ["images/book/a.png"]


def test_another_image_is_never_overwritten(store):
    """The second one gets a part of its key, the third a number."""
    names = [store.save(data, key=KEY, number=n, name="images/a.png")[0] for n, data in enumerate([b"1", b"2", b"3"])]
    assert names[0] == "images/a.png"
    assert names[1] == f"images/a_{KEY[:8]}.png"
    assert len(set(names)) == 3
    assert [store.storage.read(name) for name in names] == [b"1", b"2", b"3"]


def test_each_of_many_writers_gets_a_name(store):
    """Threads that want one name for different images lose none."""
    start = threading.Barrier(8)
    results = {}

    def write(number):
        start.wait()
        results[number], _ = store.save(bytes([number]) * 50_000, key=f"{number:064x}", number=1, name="images/a.png")

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(set(results.values())) == 8
    assert all(store.storage.read(name) == bytes([number]) * 50_000 for number, name in results.items())


def test_a_dangling_link_under_the_name_is_not_followed(tmp_path):
    """A link must not choose where an image is written."""
    store = ImageStore(Folder(tmp_path), DiskSpace(Folder(tmp_path), in_flight=1))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").symlink_to(tmp_path / "elsewhere.png")
    assert store.save(b"data", key=KEY, number=1, name="images/a.png")[0] != "images/a.png"
    assert not (tmp_path / "elsewhere.png").exists()


def test_a_received_image_is_found_until_the_ledger_has_it(store):
    """A kill in between loses nothing that is paid."""
    store.save(b"one", key=KEY, number=1, name="images/a.png")
    store.save(b"two", key=OTHER, number=2, name="images/b.png")
    attempts = [image_request(key=KEY, names=("images/a",)), image_request(key=OTHER, first=2, names=("images/b",))]
    assert [(one.key, one.number) for one in store.find_unrecorded(attempts)] == [(KEY, 1), (OTHER, 2)]
    store.clear_staging(KEY, [1])
    store.clear_staging(KEY, [1])
    assert [(one.key, one.number) for one in store.find_unrecorded(attempts)] == [(OTHER, 2)]


def test_a_name_that_contains_its_key_is_found_by_the_open_attempt(store):
    """Where that saves a second upload, the image has its name at once."""
    attempt = image_request(key=KEY, names=(OWN.removesuffix(".png"),))
    store.save(b"one", key=KEY, number=1, name=OWN)
    (left,) = store.find_unrecorded([attempt])
    assert store.storage.read(left.file) == b"one"
    assert (left.file == OWN) is left.named is (not store.storage.links)


def test_publishing_again_after_a_kill_changes_nothing(store):
    """If the name exists already, it is the same image."""
    name, _ = store.save(b"one", key=KEY, number=1, name="images/a.png")
    assert store.publish(store.staged_name(KEY, 1), key=KEY, name="images/a.png", may_exist=True) == name
    assert _names(store) == ["images/a.png"]
