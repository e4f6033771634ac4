"""A refusal is recognized in the form of every store, and a long wait is reported."""

import orjson
import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from imagen_batch.errors import SettingsInvalid
from imagen_batch.storage.http_status import http_status, is_no_access
from imagen_batch.storage.lease import NAME, Lease
from imagen_batch.storage.object_store import ObjectStore, open_object_store
from imagen_batch.storage.retry import is_temporary, retry_policy


class Store:
    """An fsspec file system in memory that refuses a conditional write as it is told to."""

    def __init__(self, *refusals):
        self.kept = {}
        self.refusals = list(refusals)  # of conditional writes, one after the other; then a name that is taken is 412
        self.asked = 0

    def pipe_file(self, path, data, mode="overwrite"):
        if mode == "create":
            self.asked += 1
            refusal = self.refusals.pop(0) if self.refusals else None
            if refusal is not None:
                raise refused(refusal)
            if path in self.kept:
                raise refused(412)
        self.kept[path] = data

    def cat_file(self, path):
        if path not in self.kept:
            raise FileNotFoundError(path)
        return self.kept[path]

    def info(self, path):
        return {"size": len(self.cat_file(path))}

    def rm_file(self, path):
        self.cat_file(path)
        del self.kept[path]


def refused(status, **error):
    """What s3fs raises for a store that sends no more than the status (SeaweedFS, MinIO, versitygw)."""
    answer = {"Error": {"Code": str(status), **error}, "ResponseMetadata": {"HTTPStatusCode": status}}
    raised = OSError(22, "At least one of the pre-conditions you specified did not hold")
    raised.__cause__ = ClientError(answer, "PutObject")
    return raised


@pytest.fixture
def no_waiting(monkeypatch):
    """A test that would wait fails instead."""

    def sleep(_seconds):
        raise AssertionError("waited for what does not pass")

    monkeypatch.setattr("imagen_batch.storage.retry.time.sleep", sleep)
    monkeypatch.setattr(
        "imagen_batch.storage.object_store.retry_policy",
        lambda location: retry_policy(location, sleep=sleep, report=lambda _text: None),
    )


@pytest.mark.usefixtures("no_waiting")
def test_any_412_says_that_the_name_is_taken():
    """At once, and what is there stays."""
    store = Store()
    bucket = ObjectStore("s3://b/run", store, "b/run")
    assert bucket.create("a", b"one")
    assert not bucket.create("a", b"two")
    assert bucket.read("a") == b"one"
    assert store.asked == 2


@pytest.mark.usefixtures("no_waiting")
def test_a_conflict_is_looked_at_again_at_once():
    """Where nothing is there the write is repeated; where something is the name is taken."""
    store = Store(409, 409)
    bucket = ObjectStore("s3://b/run", store, "b/run")
    assert bucket.create("a", b"one")
    assert store.asked == 3
    store.refusals = [409]
    assert not bucket.create("a", b"two")
    assert bucket.read("a") == b"one"


@pytest.mark.usefixtures("no_waiting")
def test_the_lock_of_such_a_store_is_taken_and_given_back():
    """Found with SeaweedFS: the trial whether the store knows conditional writes took two minutes and failed."""
    store = Store()
    with Lease(ObjectStore("s3://b/run", store, "b/run")).hold():
        assert list(store.kept) == [f"b/run/{NAME}"]
    assert store.kept == {}


class Objects:
    """What a lease needs, with an error or two."""

    location = "s3://b/run"

    def __init__(self, **trouble):
        self.kept = {}
        self.trouble = trouble
        self.creates = 0

    def read(self, name):
        if name not in self.kept:
            raise FileNotFoundError(name)
        return self.kept[name]

    def put_once(self, name, data):
        self.kept[name] = data

    def create(self, name, data):
        self.creates += 1
        if error := self.trouble.get(f"create_{self.creates}"):
            raise error
        if name in self.kept:
            return False
        self.kept[name] = data
        return self.trouble.get("reply") != "lost"

    def remove(self, name):
        self.kept.pop(name, None)


@pytest.mark.parametrize("error", [OSError("away"), KeyboardInterrupt()])
def test_a_lock_that_was_only_half_taken_is_given_back(error):
    """An error or Ctrl-C between the first and the second write leaves none behind."""
    objects = Objects(create_2=error)
    with pytest.raises(type(error)), Lease(objects).hold():
        raise AssertionError("held it")
    assert objects.kept == {}


def test_a_lock_of_somebody_else_is_not_given_back():
    """An error while it is waited for leaves it alone."""
    objects = Objects()
    objects.kept[NAME] = orjson.dumps({"pid": 1, "host": "x", "where": "x", "token": "theirs", "at": 0})

    def interrupted(_seconds):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Lease(objects, sleep=interrupted).hold():
        raise AssertionError("held it")
    assert b"theirs" in objects.kept[NAME]


def test_a_lock_whose_reply_was_lost_is_ours():
    """The library repeated the write and found its own: that is no other run."""
    objects = Objects(reply="lost")
    with Lease(objects, sleep=lambda _seconds: None).hold():
        assert NAME in objects.kept
    assert objects.kept == {}


@pytest.mark.parametrize("note", [b"null", b"[]", b"5", b"{}", b'{"at": "noon", "pid": "x"}', b"\xff", b""])
def test_a_damaged_lock_is_taken_over_after_a_while(note):
    """Whatever stands in it."""
    objects, slept = Objects(), []
    objects.kept[NAME] = note
    with Lease(objects, sleep=slept.append, report=lambda _text: None).hold():
        assert b"token" in objects.kept[NAME]
    assert sum(slept) <= 32


def test_waiting_for_a_lock_is_told_after_five_seconds():
    """Once, with the holder and how long it may take."""
    objects, told = Objects(), []
    objects.kept[NAME] = orjson.dumps({"pid": 7, "host": "far", "where": "x", "token": "theirs", "at": 0})
    with Lease(objects, sleep=lambda _seconds: None, report=told.append).hold():
        pass
    assert len(told) == 1
    assert "process 7 on far" in told[0]
    assert "30 s" in told[0]


def test_waiting_for_a_store_is_told_once_after_five_seconds(monkeypatch):
    """With its name and its error."""
    now, told = [0.0], []
    monkeypatch.setattr("tenacity.time.monotonic", lambda: now[0])

    def sleep(seconds):
        now[0] += seconds

    def put():
        raise OSError("503 SlowDown")

    with pytest.raises(OSError, match="SlowDown"):
        retry_policy("s3://b/run", sleep=sleep, report=told.append)(put)
    assert now[0] == pytest.approx(120, abs=15)
    assert len(told) == 1
    assert "s3://b/run: 503 SlowDown" in told[0]


def test_a_store_that_lets_nobody_in_is_not_waited_for():
    """No credentials, or the wrong ones."""
    lacking = OSError("NoCredentialsError: Unable to locate credentials")
    lacking.__cause__ = NoCredentialsError()
    for error in (lacking, refused(403), refused(401), OSError("Forbidden: b/x\nno access")):
        assert is_no_access(error)
        assert not is_temporary(error)
    assert is_temporary(refused(503))
    assert is_temporary(OSError("connection reset"))


def test_the_status_is_found_behind_any_library_s_error():
    """Botocore's, Azure's and gcsfs's."""
    for name in ("status_code", "code"):
        inner = Exception("no")
        setattr(inner, name, 409)
        outer = OSError("no")
        outer.__cause__ = inner
        assert http_status(outer) == 409
    assert http_status(OSError("no")) is None
    assert http_status(FileNotFoundError(2, "no")) is None


@pytest.mark.parametrize("url", ["S3://pictures/run", "s3://pictures/run", "Memory://pictures/run"])
def test_the_scheme_of_a_url_may_be_written_in_any_case(s3, url):
    """As everywhere."""
    assert open_object_store(url).location.partition("://")[2] == "pictures/run"


@pytest.mark.parametrize("url", ["S3://", "s3://[::1/x", "s3://b", "x://b/c", "s3://b/[c]"])
def test_a_url_that_can_not_be_is_a_sentence(url):
    """No library's own error."""
    with pytest.raises(SettingsInvalid, match="--out"):
        open_object_store(url)
