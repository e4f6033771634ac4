"""Details are read back from any place of a large ledger, in any order."""

import random

import pytest

from imagen_batch.ledger.history import read_history
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.storage import LEDGER, Folder
from tests.support.factories import ok, request, trace

COUNT = 1500


@pytest.fixture(name="history", scope="module")
def _history(tmp_path_factory):
    """Return the history of two files of some hundred kilobytes, one record of which is longer than a block."""
    folder = tmp_path_factory.mktemp("ledger")
    storage = Folder(folder)
    storage.put("images/a.png", b"")
    for part in (1, 2):
        writer = LedgerWriter(storage, now=float(part))
        for number in range(part, 2 * COUNT + 1, 2):
            note = "x" * (400_000 if number in (601, 602) else 20)
            owner = request(number)
            writer.record_result(owner, (ok(width=number, note=note),), trace(owner.key), recovered=True)
        writer.close()
    return read_history(folder / LEDGER)


def _width(history, number):
    details = history.details(request(number).base, 1)
    assert details is not None
    return details[0].width


@pytest.mark.parametrize(
    "order",
    [
        range(1, 2 * COUNT + 1),
        range(2 * COUNT, 0, -1),
        [*range(1, 2 * COUNT, 2), *range(2, 2 * COUNT + 1, 2)],
        [*range(1200, 1300, 2), *range(1000, 1300, 2), *range(1298, 1000, -2)],
        random.Random(1).sample(range(1, 2 * COUNT + 1), 300),
        [1, 2 * COUNT - 1, 1, 2, 2 * COUNT, 601, 603, 599, 602, 604, 600],
    ],
    ids=["forward", "backward", "file by file", "back and forth", "random", "ends and long lines"],
)
def test_each_sample_is_read_from_its_own_record(history, order):
    """It does not matter what was read before."""
    assert [_width(history, number) for number in order] == list(order)


def test_records_near_each_other_are_read_from_one_block(history, monkeypatch):
    """A manifest of a million rows does not open a file for each."""
    lookup = history._lookup
    blocks, read = [], lookup._block_around
    monkeypatch.setattr(lookup, "_block_around", lambda where: blocks.append(where) or read(where))
    for number in [*range(1001, 1400, 2), *range(1399, 1000, -2)]:
        _width(history, number)
    assert len(blocks) <= 2


def test_the_samples_of_one_request_are_read_once(history, monkeypatch):
    """They are looked up one after the other, and a record is parsed for the first of them only."""
    lookup = history._lookup
    reads, read = [], lookup._read
    monkeypatch.setattr(lookup, "_read", lambda where, kind: reads.append(where) or read(where, kind))
    for number in (11, 11, 11, 13, 13):
        assert _width(history, number) == number
    assert len(reads) == 2
