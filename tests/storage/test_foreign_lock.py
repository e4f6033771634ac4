"""A lock of another user's process on the same machine is alive."""

import os

import orjson
import pytest

from imagen_batch.errors import FolderBusy
from imagen_batch.storage.objects.object_store_lease import NAME, Lease
from tests.support.objects_in_memory import Objects


@pytest.fixture(name="locked")
def _locked(monkeypatch):
    """Return a store whose lock belongs to a process that must not be signaled."""
    objects, now = Objects(), 1000.0
    holder = Lease(objects, clock=lambda: now)
    note = {**holder._note, "pid": 4711, "token": "theirs", "at": now}
    objects.stored[NAME] = orjson.dumps(note)
    signaled = []

    def kill(pid, number):
        signaled.append((pid, number))
        raise PermissionError(pid)

    monkeypatch.setattr(os, "kill", kill)
    return objects, signaled


def test_it_is_held(locked):
    """The refusal to signal it shows that the process exists."""
    objects, signaled = locked
    assert Lease(objects, clock=lambda: 1001.0).is_held()
    assert signaled == [(4711, 0)]


def test_it_is_not_taken_over_at_once(locked):
    """The holder renews it while another run waits."""
    objects, _ = locked

    def renew(_seconds):
        note = orjson.loads(objects.stored[NAME])
        objects.stored[NAME] = orjson.dumps({**note, "at": note["at"] + 5})

    with pytest.raises(FolderBusy, match="4711"), Lease(objects, sleep=renew).hold():
        pass
    assert orjson.loads(objects.stored[NAME])["token"] == "theirs"
