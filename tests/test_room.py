"""A full disk stops the run before it costs more, and loses nothing that is under way."""

import errno

import pytest
from running import prompts, run

from imagen_batch.errors import Fatal
from imagen_batch.room import Room
from imagen_batch.shelf import Shelf
from imagen_batch.simulator import Simulator
from imagen_batch.storage import STATE, Folder


class Disk:
    """Free space that a test decides."""

    def __init__(self, free):
        self.free = free

    def __call__(self):
        return self.free


def test_a_disk_that_could_not_take_what_is_under_way_stops_the_run(tmp_path):
    """Come back later: code 75."""
    disk = Disk(100 * 2**20)
    room = Room(Folder(tmp_path), in_flight=32, free=disk, clock=iter(range(100)).__next__)
    room.check()
    room.took(10 * 2**20)
    with pytest.raises(Fatal) as caught:
        room.check()
    assert (caught.value.exit_code, caught.value.outcome) == (75, "disk")


def test_the_first_picture_tells_how_large_they_are(tmp_path):
    """Small pictures need little room."""
    room = Room(Folder(tmp_path), in_flight=8, free=Disk(2 * 2**20), clock=iter(range(100)).__next__)
    room.took(1000)
    room.check()


def test_the_ballast_takes_a_small_share_and_goes(tmp_path):
    """It is there to be given up."""
    room = Room(Folder(tmp_path), in_flight=8, free=Disk(10 * 2**20))
    room.prepare()
    assert (tmp_path / STATE / "ballast").stat().st_size == 2**20
    room.give_up_ballast()
    room.give_up_ballast()
    assert not (tmp_path / STATE / "ballast").exists()


def test_a_picture_finds_room_where_the_ballast_was(tmp_path, monkeypatch):
    """The first write meets a full disk; the picture is kept all the same, and the trouble is known."""
    room = Room(Folder(tmp_path), in_flight=8)
    room.prepare()
    shelf = Shelf(Folder(tmp_path), room)
    put = Folder.put

    def full(self, name, data):
        if (tmp_path / STATE / "ballast").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        put(self, name, data)

    monkeypatch.setattr(Folder, "put", full)
    file, trouble = shelf.put(b"paid", key="ab" * 32, number=1, name="images/a.png")
    assert (file, trouble.errno) == ("images/a.png", errno.ENOSPC)


def test_a_name_that_is_too_long_for_the_disk_costs_no_picture(tmp_path):
    """It is kept under another one."""
    shelf = Shelf(Folder(tmp_path), Room(Folder(tmp_path), in_flight=1))
    name, trouble = shelf.put(b"paid", key="ab" * 32, number=1, name="images/" + "x" * 300 + ".png")
    assert (tmp_path / name).read_bytes() == b"paid"
    assert name.startswith("images/abab")
    assert trouble is None


@pytest.mark.parametrize("wish", ["images/taken/a.png", "images/hero.png"])
def test_a_folder_that_is_a_file_costs_no_picture_and_no_run(tmp_path, wish):
    """`hero.jpg` and `hero.jpg/x` in one file of prompts."""
    shelf = Shelf(Folder(tmp_path), Room(Folder(tmp_path), in_flight=1))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "taken").write_bytes(b"a file")
    name, trouble = shelf.put(b"paid", key="ab" * 32, number=1, name=wish)
    assert (tmp_path / name).read_bytes() == b"paid"
    assert trouble is None


def test_pictures_that_can_not_be_named_at_all_are_rescued(tmp_path):
    """`images` itself is a file: the picture is kept, and the run is told to stop."""
    shelf = Shelf(Folder(tmp_path), Room(Folder(tmp_path), in_flight=1))
    (tmp_path / "images").write_bytes(b"a file")
    name, trouble = shelf.put(b"paid", key="ab" * 32, number=1, name="images/a.png")
    assert (tmp_path / name).read_bytes() == b"paid"
    assert name.startswith(".imagen-batch/rescued/")
    assert trouble is not None


def test_a_run_that_meets_a_full_disk_stops_and_goes_on_when_there_is_room(tmp_path, monkeypatch):
    """What was paid is kept, the rest is pending, and nothing is paid twice."""
    with Simulator() as sim:
        source = prompts(tmp_path, *(f"prompt {number}" for number in range(20)))
        calls = iter(range(1000))
        put = Shelf.put

        def filling(self, *args, **kwargs):
            file, trouble = put(self, *args, **kwargs)
            return file, OSError(errno.ENOSPC, "No space left on device") if next(calls) == 5 else trouble

        monkeypatch.setattr(Shelf, "put", filling)
        first = run(source, sim, concurrency=1)
        assert first.summary.exit_code == 75
        assert first.statuses.count("ok") == sim.bill.total == 6
        monkeypatch.setattr(Shelf, "put", put)
        assert run(source, sim).statuses == ["ok"] * 20
        assert sim.bill.total == 20
