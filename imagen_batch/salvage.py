"""Which paid pictures did a killed run leave without a record?

A picture that lies whole in `incoming` was received: it gets its name and its record, and is never paid for
again. What is torn there was cut off in the middle of being written, and goes.
"""

from __future__ import annotations

from collections.abc import Iterable

from imagen_batch.errors import Transient
from imagen_batch.generate import kept_sample
from imagen_batch.history import History, OpenAttempt
from imagen_batch.images import inspect
from imagen_batch.ledger import LedgerWriter
from imagen_batch.records import Sample, Trace
from imagen_batch.shelf import Shelf


def salvage(shelf: Shelf, past: History, ledger: LedgerWriter) -> int:
    """Record what `incoming` holds of open attempts and empty it; returns how many pictures were saved."""
    open_by_key = {attempt.key: attempt for attempt in past.open.values()}
    found: dict[str, list[int]] = {}
    for key, number, path in shelf.left():
        attempt = open_by_key.get(key)
        # A sample that is ok already was recorded: only the clearing was cut off.
        if attempt and number in attempt.numbers and past.status(attempt.base, number) != "ok":
            found.setdefault(key, []).append(number)
        else:
            path.unlink()
    return sum(_saved(open_by_key[key], numbers, shelf, ledger) for key, numbers in found.items())


def _saved(attempt: OpenAttempt, numbers: Iterable[int], shelf: Shelf, ledger: LedgerWriter) -> int:
    samples = tuple(sample for number in numbers if (sample := _sample(attempt, number, shelf)))
    if samples:
        trace = Trace(attempt.key, attempts=attempt.attempt, http_status=200, sent_at=attempt.at)
        lost = (attempt.share or 0.0) * (len(attempt.numbers) - len(samples))
        ledger.done(attempt, samples, trace, folders=shelf.folders_of(samples), maybe_usd=lost)
    shelf.clear(attempt.key, attempt.numbers)
    return len(samples)


def _sample(attempt: OpenAttempt, number: int, shelf: Shelf) -> Sample | None:
    incoming = shelf.incoming(attempt.key, number)
    try:
        facts = inspect(incoming.read_bytes())
    except Transient:
        return None
    name = attempt.names[number - attempt.first] + facts.extension
    file = shelf.publish(incoming, key=attempt.key, name=name, again=True)
    return kept_sample(number, file, facts, cost=(attempt.share, "unknown" if attempt.share is None else "estimate"))
