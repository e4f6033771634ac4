"""Every kind of storage behaves in the same way."""

import os
import threading

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.errors import FolderBusy, SettingsInvalid
from imagen_batch.storage import Folder, open_storage
from imagen_batch.storage.objects.object_log import ObjectLog, ObjectLogs
from imagen_batch.storage.objects.object_store_lease import NAME, Lease


@pytest.fixture
def storage(place):
    """Return a storage location that is new."""
    return open_storage(place)


def names(storage, below=""):
    """Return the names of all files."""
    return sorted(name for name, _ in storage.sizes(below))


def test_what_is_put_is_read_byte_for_byte(storage):
    """This holds for no bytes at all and for a megabyte."""
    for number, data in enumerate([b"", b"\x00\xff\r\n", bytes(2**20)]):
        storage.put(f"images/book/{number}.png", data)
        assert storage.read(f"images/book/{number}.png") == data
        assert storage.size(f"images/book/{number}.png") == len(data)
        assert storage.local(f"images/book/{number}.png").read_bytes() == data


def test_a_missing_file_has_no_content_size_or_name(storage):
    """There is nothing to read, list or remove."""
    storage.put("images/a.png", b"a")
    assert storage.size("images/b.png") is None
    assert storage.size("images/a.png/b") is None
    assert names(storage, "other") == []
    storage.remove("images/b.png")
    with pytest.raises(FileNotFoundError):
        storage.read("images/b.png")


def test_names_come_sorted_with_their_sizes(storage):
    """Only those below the name are listed."""
    for name in ("b/2", "b/1", "c/x/y", "a"):
        storage.put(name, name.encode() * 2)
    assert list(storage.sizes("b")) == [("b/1", 6), ("b/2", 6)]
    assert list(storage.sizes("c")) == [("c/x/y", 10)]


@given(existing=st.sets(st.integers(0, 40)), wanted=st.lists(st.integers(0, 40), max_size=30))
@pytest.mark.parametrize("scheme", ["", "memory:/"], ids=["folder", "memory"])
def test_sizes_of_many_are_those_of_each(tmp_path_factory, scheme, existing, wanted):
    """The names are near each other or far apart, exist or not, and occur once or several times."""
    storage = open_storage(f"{scheme}{tmp_path_factory.mktemp('out')}")
    for number in existing:
        storage.put(f"images/{number:03}.png", b"x" * number)
    names = [f"images/{number:03}.png" for number in wanted]
    assert storage.sizes_of(names) == [number if number in existing else None for number in wanted]


def test_sizes_of_many_in_s3_are_found_page_by_page(s3, monkeypatch):
    """A page may end in between, and the last name may be far away."""
    storage = open_storage("s3://pictures/paged")
    for number in range(12):
        storage.put(f"images/{number:03}.png", b"x" * number)
    storage.put("zebra", b"far")
    names = [f"images/{number:03}.png" for number in (3, 11, 5, 99)] + ["zebra"]
    plain, wanted = storage._files.call_s3, []

    def three_at_a_time(operation, **named):
        wanted.append(operation)
        return plain(operation, MaxKeys=3, **named)

    monkeypatch.setattr(storage._files, "call_s3", three_at_a_time)
    assert storage.sizes_of(names) == [3, 11, 5, None, 3]
    assert storage.sizes_of([]) == []
    assert len(list(storage.sizes("images"))) == 12
    assert set(wanted) == {"list_objects_v2"}
    assert len(wanted) > 5


def test_a_taken_name_keeps_its_content(storage):
    """Neither a new file nor a rename replaces it."""
    assert storage.create("images/a.png", b"one")
    assert not storage.create("images/a.png", b"two")
    storage.put("incoming/b", b"three")
    assert not storage.link("incoming/b", "images/a.png")
    assert storage.link("incoming/b", "images/b.png")
    assert (storage.read("images/a.png"), storage.read("images/b.png")) == (b"one", b"three")
    assert names(storage) == ["images/a.png", "images/b.png", "incoming/b"]


def test_one_of_many_writers_gets_a_name(storage):
    """It gets the whole name, and the others get an error."""
    start, winners = threading.Barrier(6), []

    def want(number):
        start.wait()
        if storage.create("images/a.png", bytes([number]) * 10_000):
            winners.append(number)

    threads = [threading.Thread(target=want, args=(number,)) for number in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(winners) == 1
    assert storage.read("images/a.png") == bytes(winners) * 10_000
    assert names(storage) == ["images/a.png"]


def test_a_file_gets_another_name(storage):
    """The old name is free again."""
    storage.put("images/a.png", b"one")
    storage.put("aside/a.png", b"older")
    storage.move("images/a.png", "aside/a.png")
    assert names(storage) == ["aside/a.png"]
    assert storage.read("aside/a.png") == b"one"


def test_a_file_appears_whole_or_not_at_all(storage):
    """An error in the middle keeps the earlier content and leaves no traces."""
    with storage.write("manifest.csv") as handle:
        handle.write("für\r\n".encode())
    with pytest.raises(TypeError), storage.write("manifest.csv") as handle:
        handle.writelines([b"half", "not bytes"])
    assert storage.read("manifest.csv") == "für\r\n".encode()
    assert names(storage) == ["manifest.csv"]


def test_a_log_is_what_was_appended(storage):
    """There are several writers, each with its own file, and it is read while they write."""
    one, two = storage.log("ledger/1.jsonl"), storage.log("ledger/2.jsonl")
    one.append(b"a\n")
    assert (storage.logs("ledger") / "1.jsonl").read_bytes() == b"a\n"
    two.append(b"b\n")
    one.append(b"c\nd\n")
    folder = storage.logs("ledger")
    one.append(b"e\n")
    one.close()
    two.close()
    storage.logs("ledger")
    assert sorted(path.name for path in folder.glob("*.jsonl")) == ["1.jsonl", "2.jsonl"]
    assert (folder / "1.jsonl").read_bytes() == b"a\nc\nd\ne\n"
    assert (open_storage(storage.location).logs("ledger") / "1.jsonl").read_bytes() == b"a\nc\nd\ne\n"


def test_a_run_without_a_ledger_has_no_logs(storage):
    """The folder is empty or missing."""
    assert list(storage.logs("ledger").glob("*.jsonl")) == []


def test_a_lock_has_one_holder(storage):
    """The second one learns who holds it; after the release it is free."""
    assert not storage.is_locked()
    with storage.hold_lock():
        assert storage.is_locked()
        with pytest.raises(FolderBusy, match=rf"process {os.getpid()}"), open_storage(storage.location).hold_lock():
            pass
    assert not storage.is_locked()
    with storage.hold_lock():
        pass


def test_a_folder_without_hard_links_copies(tmp_path):
    """Some file systems have no hard links."""

    def no_links(_source, _target):
        raise PermissionError("no hard links here")

    folder = Folder(tmp_path, link=no_links)
    folder.put("a", b"one")
    assert folder.link("a", "images/b")
    assert not folder.link("a", "images/b")
    assert folder.read("images/b") == b"one"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://bucket", "SCHEME://BUCKET/FOLDER"),
        ("s3://key:secret@bucket/run", "no user, password"),
        ("what://bucket/run", "known: "),
        ("http://bucket/run", "known: "),
        ("s3://bucket/run[1]", "must not contain"),
        ("s3://bucket/run*", "must not contain"),
    ],
)
def test_a_url_that_can_not_be_used_is_refused(url, message):
    """The message is a sentence, without the secrets in the URL."""
    with pytest.raises(SettingsInvalid, match=message) as caught:
        open_storage(url)
    assert "secret@" not in str(caught.value)


def test_an_error_of_a_store_is_an_os_error(s3, monkeypatch):
    """The name that its library gives it does not matter."""
    storage = open_storage("s3://no-such-bucket/run")
    with pytest.raises(OSError, match=r"(?i)bucket|denied"):
        storage.put("a", b"one")


class Killed(Exception):
    """The process is killed in the middle of a merge."""


def test_a_merge_that_fails_loses_and_doubles_nothing(tmp_path):
    """What was appended is stored, whether the cleanup works or not."""
    objects = Objects()
    log = ObjectLog(objects, "ledger/1.jsonl", merge_after=3)
    put = objects.put
    objects.put = lambda name, data: put(name, data) if name[-8:] == name[-17:-9] else fail()
    objects.remove_all = lambda _names: fail()
    for number in range(7):
        log.append(b"%d\n" % number)
    log.close()
    assert _lines(ObjectLogs(objects, "ledger", tmp_path)) == [b"%d" % number for number in range(7)]


def fail():
    raise OSError("SlowDown")


class Objects:
    """An object store in memory; a test can kill its process at any change."""

    location = "s3://bucket/run"

    def __init__(self):
        self.stored = {}
        self.until = None  # so many changes, then the process is gone

    def _change(self):
        if self.until is not None:
            self.until -= 1
            if self.until < 0:
                raise Killed

    def put(self, name, data):
        self._change()
        self.stored[name] = data

    put_once = put

    def create(self, name, data):
        return name not in self.stored and not self.put(name, data)

    def read(self, name):
        if name not in self.stored:
            raise FileNotFoundError(name)
        return self.stored[name]

    def remove(self, name):
        self._change()
        self.stored.pop(name, None)

    def sizes(self, below):
        return ((name, len(data)) for name, data in self.stored.items() if name.startswith(below))

    def read_all(self, names):
        return [self.read(name) for name in names]

    def remove_all(self, names):
        for name in names:
            self.remove(name)


@given(
    appends=st.integers(0, 25),
    merge_after=st.integers(2, 6),
    until=st.integers(0, 60),
    counts=st.sets(st.integers(0, 25)),
)
def test_a_log_in_parts_reads_the_same_whenever_it_is_killed(tmp_path_factory, appends, merge_after, until, counts):
    """Every append that returned is read once, in order; one that did not return may be read."""
    objects = Objects()
    objects.until = until
    log = ObjectLog(objects, "ledger/1.jsonl", merge_after=merge_after)
    logs = ObjectLogs(objects, "ledger", tmp_path_factory.mktemp("logs"))
    returned = 0
    try:
        for number in range(appends):
            log.append(b"%d\n" % number)
            returned += 1
            if number in counts:
                assert len(_lines(logs)) == returned
        log.close()
    except Killed:
        pass
    objects.until = None
    new_objects = ObjectLogs(objects, "ledger", tmp_path_factory.mktemp("logs"))
    for read in (logs, new_objects):
        lines = _lines(read)
        assert lines == [b"%d" % number for number in range(len(lines))]
        assert returned <= len(lines) <= returned + 1


def _lines(logs):
    file = logs.refresh() / "1.jsonl"
    return file.read_bytes().splitlines() if file.exists() else []


def test_a_long_log_becomes_few_objects():
    """A thousand appends become one object, and the rest is one more."""
    objects = Objects()
    log = ObjectLog(objects, "ledger/1.jsonl", merge_after=100)
    for _ in range(1050):
        log.append(b"x\n")
    assert len(objects.stored) == 10 + 50
    log.close()
    assert len(objects.stored) == 11


def test_a_missing_part_is_an_error(tmp_path):
    """The ledger is the only record of what was paid."""
    objects = Objects()
    log = ObjectLog(objects, "ledger/1.jsonl")
    for _ in range(3):
        log.append(b"x\n")
    objects.remove("ledger/1.jsonl/00000002-00000002")
    with pytest.raises(OSError, match="00000002-00000002"):
        ObjectLogs(objects, "ledger", tmp_path).refresh()


def _foreign(objects, **changes):
    """Return the lock of a process on another machine."""
    note = {"pid": 1, "host": "elsewhere", "where": "elsewhere", "token": "theirs", "at": 0.0, **changes}
    objects.stored[NAME] = orjson.dumps(note)


def test_a_lock_that_nobody_renews_is_taken_over():
    """This takes half a minute without a renewal."""
    objects, slept = Objects(), []
    _foreign(objects)
    lease = Lease(objects, sleep=slept.append)
    with lease.hold():
        assert b"theirs" not in objects.stored[NAME]
    assert sum(slept) == 30 + 2


def test_one_of_two_that_take_over_a_dead_lock_gets_it():
    """The other one removed it a moment later, which a short wait reveals."""
    objects = Objects()
    _foreign(objects)

    def other_comes(seconds):
        if seconds == 2:
            _foreign(objects, token="the other's")

    with pytest.raises(FolderBusy, match="elsewhere"), Lease(objects, sleep=other_comes).hold():
        pass
    assert b"the other's" in objects.stored[NAME]


def test_a_lock_that_is_renewed_is_left_alone():
    """The first renewal ends the wait."""
    objects = Objects()
    _foreign(objects)
    with (
        pytest.raises(FolderBusy, match="elsewhere"),
        Lease(objects, sleep=lambda _: _foreign(objects, at=5.0)).hold(),
    ):
        pass
    assert b"theirs" in objects.stored[NAME]


def test_a_lock_of_an_ended_process_of_this_machine_is_taken_over_at_once(dead_pid):
    """Nothing has to be waited for."""
    objects, slept = Objects(), []
    where = Lease(objects)._note["where"]
    _foreign(objects, where=where, pid=dead_pid)
    with Lease(objects, sleep=slept.append).hold():
        pass
    assert slept == [2]


def test_a_lock_whose_process_id_was_reused_is_taken_over():
    """A restarted container gives its processes the same ids."""
    objects, slept = Objects(), []
    where = Lease(objects)._note["where"]
    _foreign(objects, where=where, pid=os.getpid())
    with Lease(objects, sleep=slept.append).hold():
        pass
    assert sum(slept) == 30 + 2


@pytest.fixture
def dead_pid():
    """Return the id of a process that has ended."""
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def test_a_store_without_conditional_writes_is_refused():
    """It could not keep two runs apart."""

    class Careless(Objects):
        def create(self, name, data):
            self.put(name, data)
            return True

    objects = Careless()
    with pytest.raises(SettingsInvalid, match="If-None-Match"), Lease(objects).hold():
        pass
    assert objects.stored == {}


def test_a_process_without_its_lock_writes_nothing_more(tmp_path):
    """Another process may be at work there."""
    storage = open_storage("memory://pictures/lost")
    with storage.hold_lock():
        storage.put("a", b"one")
        storage._lease._lost = "another run has taken the folder"
        for write in (storage.put, storage.create, storage.link):
            with pytest.raises(OSError, match="another run"):
                write("a", "a" if write == storage.link else b"two")
        with pytest.raises(OSError, match="another run"), storage.write("manifest.csv"):
            pass
        with pytest.raises(OSError, match="another run"):
            storage.remove_all(["a"])
    assert names(storage) == [".imagen-batch/lock", "a"]


def test_a_lock_with_another_holder_is_lost():
    """The next renewal notices it."""
    objects = Objects()
    lease = Lease(objects)
    lease._take()
    lease._renew()
    assert lease.lost is None
    _foreign(objects)
    lease._renew()
    assert lease.lost == "another run has taken the folder"


def test_a_lock_that_was_not_renewed_in_time_is_lost():
    """After a closed lid or a store that hung, others may hold it before half a minute is over."""
    objects, now = Objects(), [100.0]
    lease = Lease(objects, uptime=lambda: now[0])
    lease._take()
    now[0] = 124.0
    lease._renew()
    now[0] = 148.0
    assert lease.lost is None
    now[0] = 150.0
    assert "in time" in lease.lost
    before = objects.stored[NAME]
    lease._renew()
    assert objects.stored[NAME] == before, "a holder that lost the lock writes nothing"


def test_a_lock_that_can_not_be_released_fails_no_run():
    """It expires after a while."""
    objects = Objects()
    with Lease(objects).hold():
        objects.remove = lambda _name: (_ for _ in ()).throw(PermissionError("no right to delete"))
    assert NAME in objects.stored
