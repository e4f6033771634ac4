"""A refusal is recognized in the form of every store, and a long wait is reported."""

import orjson
import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from imagen_batch.errors import SettingsInvalid
from imagen_batch.storage.objects.error_status import http_status, is_no_access
from imagen_batch.storage.objects.object_store import ObjectStore, open_object_store
from imagen_batch.storage.objects.object_store_lease import NAME, Lease
from imagen_batch.storage.objects.retry import is_temporary, retry_policy
from tests.support.objects_in_memory import Objects


class Store:
    """An fsspec file system in memory that refuses conditional writes with the errors of a list."""

    def __init__(self, *refusals):
        self.stored = {}
        self.refusals = list(refusals)  # of conditional writes, one after the other; then a name that is taken is 412
        self.writes = 0

    def pipe_file(self, path, data, mode="overwrite"):
        if mode == "create":
            self.writes += 1
            refusal = self.refusals.pop(0) if self.refusals else None
            if refusal is not None:
                raise refused(refusal)
            if path in self.stored:
                raise refused(412)
        self.stored[path] = data

    def cat_file(self, path):
        if path not in self.stored:
            raise FileNotFoundError(path)
        return self.stored[path]

    def info(self, path):
        return {"size": len(self.cat_file(path))}

    def rm_file(self, path):
        self.cat_file(path)
        del self.stored[path]


def refused(status, **error):
    """Return what s3fs raises for a store that sends only the status (SeaweedFS, MinIO, versitygw)."""
    answer = {"Error": {"Code": str(status), **error}, "ResponseMetadata": {"HTTPStatusCode": status}}
    raised = OSError(22, "At least one of the pre-conditions you specified did not hold")
    raised.__cause__ = ClientError(answer, "PutObject")
    return raised


@pytest.fixture
def no_waiting(monkeypatch):
    """Let a test fail if it would wait."""

    def sleep(_seconds):
        raise AssertionError("waited for what does not pass")

    monkeypatch.setattr("imagen_batch.storage.objects.retry.time.sleep", sleep)
    monkeypatch.setattr(
        "imagen_batch.storage.objects.object_store.retry_policy",
        lambda location: retry_policy(location, sleep=sleep, report=lambda _text: None),
    )


@pytest.mark.usefixtures("no_waiting")
def test_any_412_says_that_the_name_is_taken():
    """There is no wait, and the existing content stays."""
    store = Store()
    bucket = ObjectStore("s3://b/run", store, "b/run")
    assert bucket.create("a", b"one")
    assert not bucket.create("a", b"two")
    assert bucket.read("a") == b"one"
    assert store.writes == 2


@pytest.mark.usefixtures("no_waiting")
def test_after_a_conflict_the_name_is_read_at_once():
    """If nothing is there, the write is repeated; otherwise the name is taken."""
    store = Store(409, 409)
    bucket = ObjectStore("s3://b/run", store, "b/run")
    assert bucket.create("a", b"one")
    assert store.writes == 3
    store.refusals = [409]
    assert not bucket.create("a", b"two")
    assert bucket.read("a") == b"one"


@pytest.mark.usefixtures("no_waiting")
def test_the_lock_of_such_a_store_is_acquired_and_released():
    """With SeaweedFS the check for conditional writes once took two minutes and failed."""
    store = Store()
    with Lease(ObjectStore("s3://b/run", store, "b/run")).hold():
        assert list(store.stored) == [f"b/run/{NAME}"]
    assert store.stored == {}


@pytest.mark.parametrize("error", [OSError("away"), KeyboardInterrupt()])
def test_a_half_acquired_lock_is_released(error):
    """An error or Ctrl-C between the first and the second write leaves no lock."""
    objects = Objects(create_2=error)
    with pytest.raises(type(error)), Lease(objects).hold():
        raise AssertionError("held it")
    assert objects.stored == {}


def test_the_lock_of_another_run_is_not_released():
    """An error while waiting for it leaves it alone."""
    objects = Objects()
    objects.stored[NAME] = orjson.dumps({"pid": 1, "host": "x", "where": "x", "token": "theirs", "at": 0})

    def interrupted(_seconds):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Lease(objects, sleep=interrupted).hold():
        raise AssertionError("held it")
    assert b"theirs" in objects.stored[NAME]


def test_a_lock_whose_reply_was_lost_is_ours():
    """The library repeated the write and found its own: there is no other run."""
    objects = Objects(reply="lost")
    with Lease(objects, sleep=lambda _seconds: None).hold():
        assert NAME in objects.stored
    assert objects.stored == {}


@pytest.mark.parametrize("note", [b"null", b"[]", b"5", b"{}", b'{"at": "noon", "pid": "x"}', b"\xff", b""])
def test_a_damaged_lock_is_taken_over_after_a_while(note):
    """Its content does not matter."""
    objects, slept = Objects(), []
    objects.stored[NAME] = note
    with Lease(objects, sleep=slept.append, report=lambda _text: None).hold():
        assert b"token" in objects.stored[NAME]
    assert sum(slept) <= 32


def test_a_wait_for_a_lock_is_reported_after_five_seconds():
    """It is reported once, with the holder and how long it may take."""
    objects, messages = Objects(), []
    objects.stored[NAME] = orjson.dumps({"pid": 7, "host": "far", "where": "x", "token": "theirs", "at": 0})
    with Lease(objects, sleep=lambda _seconds: None, report=messages.append).hold():
        pass
    assert len(messages) == 1
    assert "process 7 on far" in messages[0]
    assert "30 s" in messages[0]


def test_a_wait_for_a_store_is_reported_once_after_five_seconds(monkeypatch):
    """The message has its name and its error."""
    now, messages = [0.0], []
    monkeypatch.setattr("tenacity.time.monotonic", lambda: now[0])

    def sleep(seconds):
        now[0] += seconds

    def put():
        raise OSError("503 SlowDown")

    with pytest.raises(OSError, match="SlowDown"):
        retry_policy("s3://b/run", sleep=sleep, report=messages.append)(put)
    assert now[0] == pytest.approx(120, abs=15)
    assert len(messages) == 1
    assert "s3://b/run: 503 SlowDown" in messages[0]


def test_a_store_that_refuses_the_credentials_is_not_waited_for():
    """The credentials are missing or wrong."""
    error_name = OSError("NoCredentialsError: Unable to locate credentials")
    error_name.__cause__ = NoCredentialsError()
    for error in (error_name, refused(403), refused(401), OSError("Forbidden: b/x\nno access")):
        assert is_no_access(error)
        assert not is_temporary(error)
    assert is_temporary(refused(503))
    assert is_temporary(OSError("connection reset"))


def test_the_status_is_found_in_the_error_of_any_library():
    """These are the errors of botocore, Azure and gcsfs."""
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
    """URLs allow this everywhere."""
    assert open_object_store(url).location.partition("://")[2] == "pictures/run"


@pytest.mark.parametrize("url", ["S3://", "s3://[::1/x", "s3://b", "x://b/c", "s3://b/[c]"])
def test_an_impossible_url_is_reported_in_a_sentence(url):
    """The exception of the library does not escape."""
    with pytest.raises(SettingsInvalid, match="--out"):
        open_object_store(url)
