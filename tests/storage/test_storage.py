"""Every kind of storage keeps the same promises."""

import os
import threading

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.errors import FolderBusy, SettingsInvalid
from imagen_batch.storage import Folder, open_storage
from imagen_batch.storage.lease import NAME, Lease
from imagen_batch.storage.object_log import ObjectLog, ObjectLogs


@pytest.fixture
def storage(place):
    """A place that nobody has used yet."""
    return open_storage(place)


def names(storage, below=""):
    """All files."""
    return sorted(name for name, _ in storage.sizes(below))


def test_what_is_put_is_read_byte_for_byte(storage):
    """Also nothing at all, and a megabyte."""
    for number, data in enumerate([b"", b"\x00\xff\r\n", bytes(2**20)]):
        storage.put(f"images/book/{number}.png", data)
        assert storage.read(f"images/book/{number}.png") == data
        assert storage.size(f"images/book/{number}.png") == len(data)
        assert storage.local(f"images/book/{number}.png").read_bytes() == data


def test_what_is_not_there_is_not_there(storage):
    """No file, no size, no name, and nothing to take away."""
    storage.put("images/a.png", b"a")
    assert storage.size("images/b.png") is None
    assert storage.size("images/a.png/b") is None
    assert names(storage, "other") == []
    storage.remove("images/b.png")
    with pytest.raises(FileNotFoundError):
        storage.read("images/b.png")


def test_names_come_sorted_with_their_sizes(storage):
    """Those below a name, and no others."""
    for name in ("b/2", "b/1", "c/x/y", "a"):
        storage.put(name, name.encode() * 2)
    assert list(storage.sizes("b")) == [("b/1", 6), ("b/2", 6)]
    assert list(storage.sizes("c")) == [("c/x/y", 10)]


@given(there=st.sets(st.integers(0, 40)), asked=st.lists(st.integers(0, 40), max_size=30))
@pytest.mark.parametrize("scheme", ["", "memory:/"], ids=["folder", "memory"])
def test_sizes_of_many_are_those_of_each(tmp_path_factory, scheme, there, asked):
    """Near each other or far apart, there or not, once or several times."""
    storage = open_storage(f"{scheme}{tmp_path_factory.mktemp('out')}")
    for number in there:
        storage.put(f"images/{number:03}.png", b"x" * number)
    names = [f"images/{number:03}.png" for number in asked]
    assert storage.sizes_of(names) == [number if number in there else None for number in asked]


def test_sizes_of_many_in_s3_are_found_page_by_page(s3, monkeypatch):
    """Also where a page ends in between, and where the last is far away."""
    storage = open_storage("s3://pictures/paged")
    for number in range(12):
        storage.put(f"images/{number:03}.png", b"x" * number)
    storage.put("zebra", b"far")
    names = [f"images/{number:03}.png" for number in (3, 11, 5, 99)] + ["zebra"]
    plain, asked = storage._files.call_s3, []

    def three_at_a_time(operation, **named):
        asked.append(operation)
        return plain(operation, MaxKeys=3, **named)

    monkeypatch.setattr(storage._files, "call_s3", three_at_a_time)
    assert storage.sizes_of(names) == [3, 11, 5, None, 3]
    assert storage.sizes_of([]) == []
    assert len(list(storage.sizes("images"))) == 12
    assert set(asked) == {"list_objects_v2"}
    assert len(asked) > 5


def test_a_name_that_is_taken_stays_what_it_is(storage):
    """Neither a new file nor a second name goes over it."""
    assert storage.create("images/a.png", b"one")
    assert not storage.create("images/a.png", b"two")
    storage.put("incoming/b", b"three")
    assert not storage.link("incoming/b", "images/a.png")
    assert storage.link("incoming/b", "images/b.png")
    assert (storage.read("images/a.png"), storage.read("images/b.png")) == (b"one", b"three")
    assert names(storage) == ["images/a.png", "images/b.png", "incoming/b"]


def test_of_many_that_want_a_name_one_gets_it(storage):
    """Whole, and the others are told."""
    start, got = threading.Barrier(6), []

    def want(number):
        start.wait()
        if storage.create("images/a.png", bytes([number]) * 10_000):
            got.append(number)

    wanting = [threading.Thread(target=want, args=(number,)) for number in range(6)]
    for one in wanting:
        one.start()
    for one in wanting:
        one.join()
    assert len(got) == 1
    assert storage.read("images/a.png") == bytes(got) * 10_000
    assert names(storage) == ["images/a.png"]


def test_a_file_gets_another_name(storage):
    """And the old one is free."""
    storage.put("images/a.png", b"one")
    storage.put("aside/a.png", b"older")
    storage.move("images/a.png", "aside/a.png")
    assert names(storage) == ["aside/a.png"]
    assert storage.read("aside/a.png") == b"one"


def test_a_file_appears_whole_or_not_at_all(storage):
    """An error in the middle leaves what was there, and no traces."""
    with storage.write("manifest.csv") as handle:
        handle.write("für\r\n".encode())
    with pytest.raises(TypeError), storage.write("manifest.csv") as handle:
        handle.writelines([b"half", "not bytes"])
    assert storage.read("manifest.csv") == "für\r\n".encode()
    assert names(storage) == ["manifest.csv"]


def test_a_log_is_what_was_appended(storage):
    """From several writers, each a file of its own, also while they go on."""
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
    """The folder is empty, or is not there."""
    assert list(storage.logs("ledger").glob("*.jsonl")) == []


def test_a_lock_has_one_holder(storage):
    """The second one is told who it is; afterwards it is free."""
    assert not storage.is_locked()
    with storage.hold_lock():
        assert storage.is_locked()
        with pytest.raises(FolderBusy, match=rf"process {os.getpid()}"), open_storage(storage.location).hold_lock():
            pass
    assert not storage.is_locked()
    with storage.hold_lock():
        pass


def test_a_folder_without_hard_links_copies(tmp_path):
    """Some file systems know none."""

    def no_links(_source, _target):
        raise PermissionError("no hard links here")

    folder = Folder(tmp_path, link=no_links)
    folder.put("a", b"one")
    assert folder.link("a", "images/b")
    assert not folder.link("a", "images/b")
    assert folder.read("images/b") == b"one"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://bucket", "SCHEME://BUCKET/FOLDER"),
        ("s3://key:secret@bucket/run", "no user, password"),
        ("what://bucket/run", "known: "),
        ("http://bucket/run", "known: "),
        ("s3://bucket/run[1]", "must not contain"),
        ("s3://bucket/run*", "must not contain"),
    ],
)
def test_a_url_that_can_not_be_used_is_refused(url, said):
    """In a sentence, without the secrets in it."""
    with pytest.raises(SettingsInvalid, match=said) as caught:
        open_storage(url)
    assert "secret@" not in str(caught.value)


def test_trouble_with_a_store_is_an_os_error(s3, monkeypatch):
    """Whatever its library calls it."""
    storage = open_storage("s3://no-such-bucket/run")
    with pytest.raises(OSError, match=r"(?i)bucket|denied"):
        storage.put("a", b"one")


class Killed(Exception):
    """The process is gone in the middle of a merge."""


def test_a_merge_that_fails_loses_and_doubles_nothing(tmp_path):
    """What was appended is stored, whatever becomes of the tidying up."""
    objects = Objects()
    log = ObjectLog(objects, "ledger/1.jsonl", merge_after=3)
    put = objects.put
    objects.put = lambda name, data: put(name, data) if name[-8:] == name[-17:-9] else _away()
    objects.remove_all = lambda _names: _away()
    for number in range(7):
        log.append(b"%d\n" % number)
    log.close()
    assert _lines(ObjectLogs(objects, "ledger", tmp_path)) == [b"%d" % number for number in range(7)]


def _away():
    raise OSError("SlowDown")


class Objects:
    """A store in memory that a test can have its process killed in."""

    location = "s3://bucket/run"

    def __init__(self):
        self.kept = {}
        self.until = None  # so many changes, then the process is gone

    def _change(self):
        if self.until is not None:
            self.until -= 1
            if self.until < 0:
                raise Killed

    def put(self, name, data):
        self._change()
        self.kept[name] = data

    put_once = put

    def create(self, name, data):
        return name not in self.kept and not self.put(name, data)

    def read(self, name):
        if name not in self.kept:
            raise FileNotFoundError(name)
        return self.kept[name]

    def remove(self, name):
        self._change()
        self.kept.pop(name, None)

    def sizes(self, below):
        return ((name, len(data)) for name, data in self.kept.items() if name.startswith(below))

    def read_all(self, names):
        return [self.read(name) for name in names]

    def remove_all(self, names):
        for name in names:
            self.remove(name)


@given(
    appends=st.integers(0, 25),
    merge_after=st.integers(2, 6),
    until=st.integers(0, 60),
    looks=st.sets(st.integers(0, 25)),
)
def test_a_log_in_parts_reads_the_same_whenever_it_is_killed(tmp_path_factory, appends, merge_after, until, looks):
    """Every append that returned is there once, in order; one that did not may be there."""
    objects = Objects()
    objects.until = until
    log = ObjectLog(objects, "ledger/1.jsonl", merge_after=merge_after)
    logs = ObjectLogs(objects, "ledger", tmp_path_factory.mktemp("logs"))
    returned = 0
    try:
        for number in range(appends):
            log.append(b"%d\n" % number)
            returned += 1
            if number in looks:
                assert len(_lines(logs)) == returned
        log.close()
    except Killed:
        pass
    objects.until = None
    afresh = ObjectLogs(objects, "ledger", tmp_path_factory.mktemp("logs"))
    for read in (logs, afresh):
        lines = _lines(read)
        assert lines == [b"%d" % number for number in range(len(lines))]
        assert returned <= len(lines) <= returned + 1


def _lines(logs):
    file = logs.refresh() / "1.jsonl"
    return file.read_bytes().splitlines() if file.exists() else []


def test_a_long_log_becomes_few_objects():
    """A thousand appends are one, and what remains is one more."""
    objects = Objects()
    log = ObjectLog(objects, "ledger/1.jsonl", merge_after=100)
    for _ in range(1050):
        log.append(b"x\n")
    assert len(objects.kept) == 10 + 50
    log.close()
    assert len(objects.kept) == 11


def test_a_part_that_is_missing_is_told(tmp_path):
    """The ledger is the truth about money: a hole in it is no small matter."""
    objects = Objects()
    log = ObjectLog(objects, "ledger/1.jsonl")
    for _ in range(3):
        log.append(b"x\n")
    objects.remove("ledger/1.jsonl/00000002-00000002")
    with pytest.raises(OSError, match="00000002-00000002"):
        ObjectLogs(objects, "ledger", tmp_path).refresh()


def _foreign(objects, **changes):
    """A lock of a process on another machine."""
    note = {"pid": 1, "host": "elsewhere", "where": "elsewhere", "token": "theirs", "at": 0.0, **changes}
    objects.kept[NAME] = orjson.dumps(note)


def test_a_lock_that_nobody_renews_is_taken_over():
    """After half a minute without a sign of life."""
    objects, slept = Objects(), []
    _foreign(objects)
    lease = Lease(objects, sleep=slept.append)
    with lease.hold():
        assert b"theirs" not in objects.kept[NAME]
    assert sum(slept) == 30 + 2


def test_of_two_that_find_a_lock_dead_one_gets_it():
    """The other one took it away a moment later: whoever waits a little finds that out."""
    objects = Objects()
    _foreign(objects)

    def other_comes(seconds):
        if seconds == 2:
            _foreign(objects, token="the other's")

    with pytest.raises(FolderBusy, match="elsewhere"), Lease(objects, sleep=other_comes).hold():
        pass
    assert b"the other's" in objects.kept[NAME]


def test_a_lock_that_is_renewed_is_left_alone():
    """The first sign of life ends the waiting."""
    objects = Objects()
    _foreign(objects)
    with (
        pytest.raises(FolderBusy, match="elsewhere"),
        Lease(objects, sleep=lambda _: _foreign(objects, at=5.0)).hold(),
    ):
        pass
    assert b"theirs" in objects.kept[NAME]


def test_a_lock_of_a_process_of_this_machine_that_is_gone_is_taken_over_at_once(dead_pid):
    """No need to wait."""
    objects, slept = Objects(), []
    where = Lease(objects)._note["where"]
    _foreign(objects, where=where, pid=dead_pid)
    with Lease(objects, sleep=slept.append).hold():
        pass
    assert slept == [2]


def test_an_old_lock_of_a_number_that_another_process_has_now_is_taken_over():
    """A restarted container gives its processes the same numbers."""
    objects, slept = Objects(), []
    where = Lease(objects)._note["where"]
    _foreign(objects, where=where, pid=os.getpid())
    with Lease(objects, sleep=slept.append).hold():
        pass
    assert sum(slept) == 30 + 2


@pytest.fixture
def dead_pid():
    """The number of a process that has ended."""
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def test_a_store_that_writes_over_what_is_taken_is_refused():
    """Two runs could not be kept apart there."""

    class Careless(Objects):
        def create(self, name, data):
            self.put(name, data)
            return True

    objects = Careless()
    with pytest.raises(SettingsInvalid, match="If-None-Match"), Lease(objects).hold():
        pass
    assert objects.kept == {}


def test_whoever_lost_the_lock_writes_nothing_more(tmp_path):
    """Somebody else may be at work there."""
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


def test_a_lock_in_other_hands_is_found_lost():
    """By the one who wants to renew it."""
    objects = Objects()
    lease = Lease(objects)
    lease._take()
    lease._renew()
    assert lease.lost is None
    _foreign(objects)
    lease._renew()
    assert lease.lost == "another run has taken the folder"


def test_a_lock_that_was_not_renewed_in_time_is_lost_whatever_its_thread_does():
    """A closed lid, a store that does not answer: others may have it before half a minute is over."""
    objects, now = Objects(), [100.0]
    lease = Lease(objects, uptime=lambda: now[0])
    lease._take()
    now[0] = 124.0
    lease._renew()
    now[0] = 148.0
    assert lease.lost is None
    now[0] = 150.0
    assert "in time" in lease.lost
    before = objects.kept[NAME]
    lease._renew()
    assert objects.kept[NAME] == before, "a holder that lost the lock writes nothing"


def test_a_store_that_does_not_let_go_of_the_lock_costs_no_run():
    """It is nobody's after a while."""
    objects = Objects()
    with Lease(objects).hold():
        objects.remove = lambda _name: (_ for _ in ()).throw(PermissionError("no right to delete"))
    assert NAME in objects.kept
