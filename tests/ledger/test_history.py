"""A ledger that is read as it grows says the same as one that is read at its end."""

import random

from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.ledger.history import History, read_history
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.records import SampleResult
from imagen_batch.storage import LEDGER, Folder
from tests.support.factories import ok, request, trace

NUMBERS = (1, 2, 3)
STEPS = st.lists(
    st.tuples(st.sampled_from(["sent", "no", "maybe", "ok", "failed", "read"]), st.sampled_from(NUMBERS))
)


def _written(folder, *samples):
    """A ledger of the results of requests 1, 2, ..., a sample of each."""
    storage = Folder(folder)
    storage.put("images/a.png", b"")
    writer = LedgerWriter(storage, now=1.0)
    for number, sample in enumerate(samples, 1):
        writer.done(request(number), (sample,), trace(request(number).key))
    writer.close()
    return folder / LEDGER


def _told(past):
    asked = [request(number) for number in NUMBERS]
    samples = [(past.status(one.base, 1), past.details(one.base, 1), past.settled(one.base, 1)) for one in asked]
    tries = [(past.tries(one), past.latest_open_attempt(one.base, 1)) for one in asked]
    return samples, tries, past.open, past.cost_bounds(), past.max_images_made(), past.attempts, past.refused_429


@given(STEPS)
def test_reading_on_is_reading_all(tmp_path_factory, steps):
    """Whatever is written in between: attempts, their ends, results, in one file or in several."""
    folder = Folder(tmp_path_factory.mktemp("run"))
    folder.put("images/a.png", b"")
    writer, growing, attempts = LedgerWriter(folder, now=1.0), History(), dict.fromkeys(NUMBERS, 0)
    for at, (step, number) in enumerate(steps):
        one = request(number)
        if step == "read":
            writer.close()
            growing.read_folder(folder.logs(LEDGER))
            writer = LedgerWriter(folder, now=2.0 + at)
        elif step == "sent":
            attempts[number] += 1
            writer.sent(one, attempt=attempts[number], at=float(at))
        elif step in ("no", "maybe"):
            facts = {"kind": "x", "status": 429, "charged": step}
            writer.back(one, attempt=attempts[number], at=float(at), facts=facts)
        else:
            sample = ok() if step == "ok" else SampleResult(1, "failed", error="no")
            writer.done(one, (sample,), trace(one.key, attempts=attempts[number]))
    writer.close()
    growing.read_folder(folder.logs(LEDGER))
    assert _told(growing) == _told(read_history(folder.logs(LEDGER)))


def test_a_line_that_was_torn_counts_once_it_is_whole(tmp_path):
    """Somebody was writing while it was read."""
    ledger = _written(tmp_path, ok(), ok())
    (path,) = ledger.glob("*.jsonl")
    data = path.read_bytes()
    path.write_bytes(data[:-10])
    past = read_history(ledger)
    assert past.pictures == 1
    path.write_bytes(data)
    past.read_folder(ledger)
    past.read_folder(ledger)
    assert past.pictures == 2
    assert past.details(request(2).base, 1) == (ok(), trace(request(2).key))


def test_records_are_found_in_any_order_and_of_any_length(tmp_path):
    """Also one that is longer than what is read at once, and the ones around it."""
    samples = [ok(safety="x" * (400_000 if number % 7 == 0 else number)) for number in range(60)]
    past = read_history(_written(tmp_path, *samples))
    order = list(range(60))
    random.Random(3).shuffle(order)
    for number in order:
        one = request(number + 1)
        assert past.details(one.base, 1) == (samples[number], trace(one.key))


def test_a_result_is_open_again_when_a_later_attempt_may_have_been_charged(tmp_path):
    """A failed sample was sent once more, and the process was killed; a picture stays a picture."""
    ledger = _written(tmp_path, SampleResult(1, "failed", error="no"), ok())
    writer = LedgerWriter(Folder(tmp_path), now=2.0)
    for number in (1, 2):
        writer.sent(request(number), attempt=2, at=5.0)
    writer.close()
    past = read_history(ledger)
    assert (past.status(request(1).base, 1), past.settled(request(1).base, 1)) == ("unknown", None)
    assert past.settled(request(2).base, 1) == (ok(), trace(request(2).key))
