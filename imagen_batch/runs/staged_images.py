"""Which paid pictures did a killed run leave without a record?

A picture that lies whole in `incoming`, or under the name that an open attempt was to give it, was received: it
gets its name and its record, and is never paid for again. What is torn there was cut off in the middle of being
written, and goes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from imagen_batch.errors import Transient
from imagen_batch.images.store import ImageStore, StagedImage
from imagen_batch.images.validate import validate
from imagen_batch.ledger.history import History, OpenAttempt
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.records import CostIs, RequestTrace, SampleResult
from imagen_batch.sending.samples import saved


def recover_staged(store: ImageStore, past: History, ledger: LedgerWriter) -> int:
    """Record what lies there of open attempts; returns how many pictures were saved."""
    open_by_key = {attempt.key: attempt for attempt in past.open.values()}
    found: defaultdict[str, list[StagedImage]] = defaultdict(list)
    for left in store.left(open_by_key.values()):
        if not _recorded(open_by_key[left.key], left.number, past):
            found[left.key].append(left)
    return sum(_saved(open_by_key[key], pictures, store, ledger) for key, pictures in found.items())


def _recorded(attempt: OpenAttempt, number: int, past: History) -> bool:
    """Whether a picture was: only the clearing was cut off. One that was recorded before the attempt is another."""
    found = past.details(attempt.base, number) if past.status(attempt.base, number) == "ok" else None
    return found is not None and (found[1].finished_at or found[1].sent_at or 0.0) >= attempt.at


def _saved(attempt: OpenAttempt, pictures: Iterable[StagedImage], store: ImageStore, ledger: LedgerWriter) -> int:
    by_number = {sample.number: sample for left in pictures if (sample := _sample(attempt, left, store))}
    samples = tuple(by_number.values())
    if samples:
        trace = RequestTrace(attempt.key, attempts=attempt.attempt, http_status=200, sent_at=attempt.at)
        lost = (attempt.share or 0.0) * (len(attempt.numbers) - len(samples))
        ledger.done(attempt, samples, trace, maybe_usd=lost)
    store.clear(attempt.key, attempt.numbers)
    return len(samples)


def _sample(attempt: OpenAttempt, left: StagedImage, store: ImageStore) -> SampleResult | None:
    try:
        facts = validate(store.storage.read(left.file))
    except Transient:
        return None
    cost: tuple[float | None, CostIs] = (attempt.share, "unknown" if attempt.share is None else "estimate")
    if left.named:
        return saved(left.number, left.file, facts, cost=cost)
    name = attempt.names[left.number - attempt.first] + facts.extension
    file = store.publish(left.file, key=attempt.key, name=name, again=True)
    return saved(left.number, file, facts, cost=cost)
