"""Results of edited rows move to their new keys, all at once."""

import pytest

from imagen_batch.errors import LedgerDamaged
from imagen_batch.ledger.history import History
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.records import SampleResult
from imagen_batch.storage import LEDGER, Folder
from tests.support.factories import ok, request, trace

FACTS = {"prompt": "an earlier text", "model": "m", "dialect": "predict", "options": {"seed": 1}}
BASES = {number: request(number).base for number in range(1, 5)}


@pytest.fixture(name="ledger")
def _ledger(tmp_path):
    """Write a ledger with results of three requests."""
    storage = Folder(tmp_path)
    storage.put("images/a.png", b"")
    writer = LedgerWriter(storage, now=1.0)
    for number in (1, 2, 3):
        writer.record_result(request(number), (ok(width=number),), trace(request(number).key))
    yield writer
    writer.close()


def _history(tmp_path):
    history = History()
    history.read_folder(tmp_path / LEDGER)
    return history


def _move(source, target, **facts):
    return {"base": BASES[target], "from": BASES[source], "numbers": (1,), **facts}


def _widths(history):
    """Return the image width of each base; each width belongs to one image."""
    details = [history.details(base, 1) for base in BASES.values()]
    return [found and found[0].width for found in details]


def test_a_result_moves_to_its_new_key(tmp_path, ledger):
    """Nothing remains under the old one."""
    ledger.record_moves([_move(1, 4)], at=1.0)
    history = _history(tmp_path)
    assert _widths(history) == [None, 2, 3, 1]
    assert history.status(BASES[1], 1) is None
    assert history.kept(BASES[4], 1) is None


def test_rows_may_swap_places(tmp_path, ledger):
    """Both moves are made from the state before."""
    ledger.record_moves([_move(1, 2), _move(2, 3)], at=1.0)
    assert _widths(_history(tmp_path)) == [None, 1, 2, None]


def test_an_edited_row_keeps_its_image_and_the_earlier_text(tmp_path, ledger):
    """The earlier text keeps its result as well, should the edit be undone."""
    ledger.record_moves([_move(1, 4, **FACTS)], at=1.0)
    history = _history(tmp_path)
    assert _widths(history) == [1, 2, 3, 1]
    assert history.kept(BASES[4], 1) == FACTS
    assert history.kept(BASES[4], 1) == FACTS
    assert history.kept(BASES[1], 1) is None


def test_an_earlier_text_moves_with_its_image(tmp_path, ledger):
    """It then has an image of the row itself."""
    ledger.record_moves([_move(1, 4, **FACTS), _move(2, 3)], at=1.0)
    ledger.record_moves([_move(4, 2)], at=2.0)
    history = _history(tmp_path)
    assert _widths(history) == [1, 1, 2, None]
    assert (history.kept(BASES[2], 1), history.kept(BASES[3], 1), history.kept(BASES[4], 1)) == (FACTS, None, None)
    ledger.record_result(request(2), (ok(width=9),), trace(request(2).key, attempts=2))
    history = _history(tmp_path)
    assert history.kept(BASES[2], 1) is None
    assert _widths(history) == [1, 9, 2, None]


def test_a_move_without_a_result_empties_its_target(tmp_path, ledger):
    """The row has no image any more."""
    ledger.record_moves([_move(4, 1)], at=1.0)
    history = _history(tmp_path)
    assert _widths(history) == [None, 2, 3, None]
    assert history.images_made() == 2


def test_a_failure_of_the_target_is_forgotten(tmp_path, ledger):
    """It was a failure of another text."""
    four = request(4)
    ledger.record_sent(four, attempt=1, at=1.0)
    ledger.record_ended(four, attempt=1, at=2.0, facts={"kind": "x", "status": 503, "charged": "no"})
    assert _history_flushed(tmp_path, ledger).last_failed(four.base, 1) is not None
    ledger.record_moves([_move(1, 4)], at=3.0)
    assert _history(tmp_path).last_failed(four.base, 1) is None


def _history_flushed(tmp_path, ledger):
    ledger.flush()
    return _history(tmp_path)


def test_an_image_is_not_replaced_by_a_later_failure_after_a_move(tmp_path, ledger):
    """It stays an image."""
    ledger.record_moves([_move(1, 4)], at=1.0)
    ledger.record_result(request(4), (SampleResult(1, "failed", error="no"),), trace(request(4).key))
    assert _history(tmp_path).status(BASES[4], 1) == "ok"


def test_earlier_texts_of_several_edits_are_kept_apart(tmp_path, ledger):
    """Each is read from its own record."""
    other = {**FACTS, "prompt": "another text"}
    ledger.record_moves([_move(1, 4, **FACTS)], at=1.0)
    ledger.record_moves([_move(2, 3, **other)], at=2.0)
    history = _history(tmp_path)
    assert [history.kept(BASES[number], 1) for number in (4, 3, 4)] == [FACTS, other, FACTS]


def test_a_long_record_of_moves_is_read_once(tmp_path, ledger, monkeypatch):
    """All rows of an edited file are in one record."""
    ledger.record_moves([_move(1, 4, **FACTS)], at=1.0)
    history = _history(tmp_path)
    reads, read = [], history._lookup._read
    monkeypatch.setattr(history._lookup, "_read", lambda where, kind: reads.append(where) or read(where, kind))
    assert [history.kept(BASES[4], 1) for _ in range(3)] == [FACTS] * 3
    assert len(reads) == 1


def test_a_ledger_that_changes_while_it_is_read_is_damaged(tmp_path, ledger):
    """What is read later is not what was folded."""
    ledger.record_moves([_move(1, 4, **FACTS)], at=1.0)
    history = _history(tmp_path)
    (path,) = (tmp_path / LEDGER).glob("*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    claim = b'{"t":"claim","run":"r","shard":1'
    path.write_bytes(b"".join(claim + b" " * (len(line) - len(claim) - 2) + b"}\n" for line in lines))
    with pytest.raises(LedgerDamaged, match="changed while it was read"):
        history.kept(BASES[4], 1)
    with pytest.raises(LedgerDamaged, match="changed while it was read"):
        history.details(BASES[2], 1)
