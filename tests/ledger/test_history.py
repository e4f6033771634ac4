"""Reading a ledger while it grows has the same result as reading it at the end."""

import random

from hypothesis import given, settings
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
    """Write a ledger with results of requests 1, 2, ..., one sample each."""
    storage = Folder(folder)
    storage.put("images/a.png", b"")
    writer = LedgerWriter(storage, now=1.0)
    for number, sample in enumerate(samples, 1):
        writer.record_result(request(number), (sample,), trace(request(number).key))
    writer.close()
    return folder / LEDGER


def _state(history):
    requests = [request(number) for number in NUMBERS]
    samples = [
        (history.status(each.base, 1), history.details(each.base, 1), history.final_result(each.base, 1))
        for each in requests
    ]
    attempts = [(history.previous_attempts(each), history.latest_open_attempt(each.base, 1)) for each in requests]
    return (
        samples,
        attempts,
        history.open,
        history.cost_bounds(),
        history.max_images_made(),
        history.attempts,
        history.refused_429,
    )


@settings(deadline=None)
@given(STEPS)
def test_reading_in_steps_is_reading_at_once(tmp_path_factory, steps):
    """Attempts, their ends and results may be written in between, to one file or to several."""
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
            writer.record_sent(one, attempt=attempts[number], at=float(at))
        elif step in ("no", "maybe"):
            facts = {"kind": "x", "status": 429, "charged": step}
            writer.record_ended(one, attempt=attempts[number], at=float(at), facts=facts)
        else:
            sample = ok() if step == "ok" else SampleResult(1, "failed", error="no")
            writer.record_result(one, (sample,), trace(one.key, attempts=attempts[number]))
    writer.close()
    growing.read_folder(folder.logs(LEDGER))
    assert _state(growing) == _state(read_history(folder.logs(LEDGER)))


def test_an_incomplete_line_counts_once_it_is_complete(tmp_path):
    """It was being written while the ledger was read."""
    ledger = _written(tmp_path, ok(), ok())
    (path,) = ledger.glob("*.jsonl")
    data = path.read_bytes()
    path.write_bytes(data[:-10])
    history = read_history(ledger)
    assert history.images_recorded == 1
    path.write_bytes(data)
    history.read_folder(ledger)
    history.read_folder(ledger)
    assert history.images_recorded == 2
    assert history.details(request(2).base, 1) == (ok(), trace(request(2).key))


def test_records_are_found_in_any_order_and_of_any_length(tmp_path):
    """This includes a record that is longer than a block, and those around it."""
    samples = [ok(safety="x" * (400_000 if number % 7 == 0 else number)) for number in range(60)]
    history = read_history(_written(tmp_path, *samples))
    order = list(range(60))
    random.Random(3).shuffle(order)
    for number in order:
        one = request(number + 1)
        assert history.details(one.base, 1) == (samples[number], trace(one.key))


def test_a_result_is_open_again_when_a_later_attempt_may_have_been_charged(tmp_path):
    """A failed sample was sent again, and the process was killed; an image remains an image."""
    ledger = _written(tmp_path, SampleResult(1, "failed", error="no"), ok())
    writer = LedgerWriter(Folder(tmp_path), now=2.0)
    for number in (1, 2):
        writer.record_sent(request(number), attempt=2, at=5.0)
    writer.close()
    history = read_history(ledger)
    assert (history.status(request(1).base, 1), history.final_result(request(1).base, 1)) == ("unknown", None)
    assert history.final_result(request(2).base, 1) == (ok(), trace(request(2).key))
