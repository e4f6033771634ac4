"""A full disk stops the run before it costs more, and loses no image in flight."""

import errno
import itertools
import random
import threading
import time

import pytest

from imagen_batch.errors import Interrupted, StopRun
from imagen_batch.images.reserve_disk_space import DiskSpace
from imagen_batch.images.store import ImageStore
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.runs.run import open_run
from imagen_batch.sending.stop import Stop
from imagen_batch.settings import make_settings
from imagen_batch.simulator import Simulator
from imagen_batch.storage import STATE, Folder
from tests.support.runs import TODAY, prompts, run


class Disk:
    """Free space that a test sets."""

    def __init__(self, free):
        self.free = free

    def __call__(self):
        return self.free


KIND = ("a-model", "1K")


def test_a_disk_without_space_for_the_next_image_stops_the_run(tmp_path):
    """The exit code is 75: try again later."""
    disk = Disk(100 * 2**20)
    space = DiskSpace(Folder(tmp_path), in_flight=32, free=disk)
    space.reserve("a", images=1, kind=KIND)
    space.record_size(10 * 2**20, key="a")
    space.release("a")
    disk.free = 12 * 2**20
    with pytest.raises(StopRun) as caught:
        space.reserve("b", images=1, kind=KIND)
    assert (caught.value.exit_code, caught.value.cause) == (75, "disk")


def test_the_first_image_gives_the_expected_size(tmp_path):
    """Small images need little space, and images of another size are not judged by them."""
    space = DiskSpace(Folder(tmp_path), in_flight=8, free=Disk(4 * 2**20))
    space.reserve("a", images=1, kind=KIND)
    space.record_size(1000, key="a")
    space.release("a")
    for number in range(100):
        space.reserve(str(number), images=4, kind=KIND)
    with pytest.raises(Waited):
        space.reserve("large", images=1, kind=("a-model", "4K"), pause=fail_to_wait)


class Waited(Exception):
    """A reservation has to wait."""


def fail_to_wait(_seconds):
    """Raise an error instead of waiting."""
    raise Waited


def test_images_in_flight_have_their_space_before_more_is_sent(tmp_path):
    """Two fit. The third waits until one is stored and turns out smaller; then it fits, too."""
    disk = Disk(2**20 + 3_100_000)
    space = DiskSpace(Folder(tmp_path), in_flight=8, free=disk)
    space.reserve("a", images=1, kind=KIND)
    space.reserve("b", images=1, kind=KIND)
    space.reserve("a", images=1, kind=KIND, pause=fail_to_wait)  # sent again: its space is reserved
    with pytest.raises(Waited):
        space.reserve("c", images=1, kind=KIND, pause=fail_to_wait)

    def stored(_seconds):
        space.record_size(50_000, key="a")
        disk.free -= 50_000
        space.release("a")

    space.reserve("c", images=1, kind=KIND, pause=stored)


def test_a_run_on_a_disk_that_fills_loses_no_paid_image(tmp_path):
    """With many threads, a fast service and images of about one size, every image that was requested finds space."""
    lock, disk, lost = threading.Lock(), Disk(20 * 2**20), []
    space = DiskSpace(Folder(tmp_path), in_flight=16, free=disk)

    def work(worker):
        dice = random.Random(worker)
        for number in itertools.count():
            key = f"{worker}-{number}"
            try:
                space.reserve(key, images=1, kind=KIND, pause=lambda _seconds: time.sleep(0.0005))
            except StopRun:
                return
            time.sleep(0.001)
            size = dice.randrange(900_000, 1_000_000)
            with lock:
                if disk.free < size:
                    lost.append(key)
                disk.free -= size
            space.record_size(size, key=key)
            space.release(key)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert lost == []
    assert disk.free < 4 * 2**20  # and the disk was used


def test_a_stop_ends_the_wait_for_space(tmp_path):
    """Ctrl-C works during the wait."""
    stop, space = Stop(), DiskSpace(Folder(tmp_path), in_flight=8, free=Disk(3 * 2**20))
    space.reserve("a", images=1, kind=KIND)
    stop.interrupt(2)
    with pytest.raises(Interrupted):
        space.reserve("b", images=1, kind=KIND, pause=stop.sleep)


def test_space_is_released_after_every_kind_of_result(tmp_path):
    """The request is refused, failed, lost or stored."""
    marked = ("[[sim:finish_IMAGE_SAFETY]] a", "[[sim:bad_request]] b", "[[sim:http_503]] c", "d")
    settings = {"prompts": str(prompts(tmp_path, *marked)), "out": str(tmp_path / "out"), "provider": "simulator"}
    with Simulator() as sim:
        settings |= {"base_url": sim.url, "wait_initial": 0.0, "max_attempts": 2}
        with open_run(make_plan(make_settings(settings), today=TODAY), env={}) as opened:
            for shard in opened.shards():
                opened.generate_shard(shard)
            assert opened.context.store.disk_space._reserved == {}


def test_the_ballast_takes_a_small_share_and_is_removed(tmp_path):
    """It exists in order to be removed."""
    space = DiskSpace(Folder(tmp_path), in_flight=8, free=Disk(10 * 2**20))
    space.create_ballast()
    assert (tmp_path / STATE / "ballast").stat().st_size == 2**20
    space.release_ballast()
    space.release_ballast()
    assert not (tmp_path / STATE / "ballast").exists()


def test_an_image_gets_the_space_of_the_ballast(tmp_path, monkeypatch):
    """The first write fails on a full disk; the image is stored all the same, and the failure is known."""
    space = DiskSpace(Folder(tmp_path), in_flight=8)
    space.create_ballast()
    store = ImageStore(Folder(tmp_path), space)
    put = Folder.put

    def full(self, name, data):
        if (tmp_path / STATE / "ballast").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        put(self, name, data)

    monkeypatch.setattr(Folder, "put", full)
    file, failure = store.save(b"paid", key="ab" * 32, number=1, name="images/a.png")
    assert (file, failure.errno) == ("images/a.png", errno.ENOSPC)


def test_a_name_that_is_too_long_for_the_disk_loses_no_image(tmp_path):
    """It is stored under another name."""
    store = ImageStore(Folder(tmp_path), DiskSpace(Folder(tmp_path), in_flight=1))
    name, failure = store.save(b"paid", key="ab" * 32, number=1, name="images/" + "x" * 300 + ".png")
    assert (tmp_path / name).read_bytes() == b"paid"
    assert name.startswith("images/abab")
    assert failure is None


@pytest.mark.parametrize("wish", ["images/taken/a.png", "images/hero.png"])
def test_a_file_in_place_of_a_folder_loses_no_image_and_no_run(tmp_path, wish):
    """One prompt file has `hero.jpg` and `hero.jpg/x`."""
    store = ImageStore(Folder(tmp_path), DiskSpace(Folder(tmp_path), in_flight=1))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "taken").write_bytes(b"a file")
    name, failure = store.save(b"paid", key="ab" * 32, number=1, name=wish)
    assert (tmp_path / name).read_bytes() == b"paid"
    assert failure is None


def test_images_that_can_not_be_named_at_all_are_saved(tmp_path):
    """`images` itself is a file: the image is stored, and the run stops."""
    store = ImageStore(Folder(tmp_path), DiskSpace(Folder(tmp_path), in_flight=1))
    (tmp_path / "images").write_bytes(b"a file")
    name, failure = store.save(b"paid", key="ab" * 32, number=1, name="images/a.png")
    assert (tmp_path / name).read_bytes() == b"paid"
    assert name.startswith(".imagen-batch/rescued/")
    assert failure is not None


def test_a_run_stops_on_a_full_disk_and_continues_with_space(tmp_path, monkeypatch):
    """What was paid is stored, the rest is pending, and nothing is paid twice."""
    with Simulator() as sim:
        source = prompts(tmp_path, *(f"prompt {number}" for number in range(20)))
        calls = iter(range(1000))
        save = ImageStore.save

        def filling(self, *args, **kwargs):
            file, failure = save(self, *args, **kwargs)
            return file, OSError(errno.ENOSPC, "No space left on device") if next(calls) == 5 else failure

        monkeypatch.setattr(ImageStore, "save", filling)
        first = run(source, sim, concurrency=1)
        assert first.summary.exit_code == 75
        assert first.statuses.count("ok") == sim.bill.total == 6
        monkeypatch.setattr(ImageStore, "save", save)
        assert run(source, sim).statuses == ["ok"] * 20
        assert sim.bill.total == 20
