"""Records the paid images that a killed run had received but not recorded.

A complete image in `incoming`, or under the name that an open attempt was to give it, was received: it gets its name
and its record, and is not paid for again. An incomplete file was being written when the run was killed, and is
removed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from imagen_batch.errors import InvalidImage
from imagen_batch.images.store import ImageStore, StagedImage
from imagen_batch.images.validate import validate
from imagen_batch.ledger.history import History
from imagen_batch.ledger.records import SentRecord
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.records import RequestTrace, SampleResult
from imagen_batch.sending.build_sample_result import estimate_cost, saved_result


def recover_staged_images(store: ImageStore, history: History, ledger: LedgerWriter) -> int:
    """Record the staged images of open attempts; returns how many were recorded."""
    open_by_key = {attempt.key: attempt for attempt in history.open.values()}
    by_key: defaultdict[str, list[StagedImage]] = defaultdict(list)
    for image in store.find_unrecorded(open_by_key.values()):
        if not _is_recorded(open_by_key[image.key], image.number, history):
            by_key[image.key].append(image)
    return sum(_record(open_by_key[key], images, store, ledger) for key, images in by_key.items())


def _is_recorded(attempt: SentRecord, number: int, history: History) -> bool:
    """Whether the ledger has the image, and only the staging folder was not cleared before the kill.

    A record that is older than the attempt is of another image.
    """
    details = history.details(attempt.base, number) if history.status(attempt.base, number) == "ok" else None
    return details is not None and (details[1].finished_at or details[1].sent_at or 0.0) >= attempt.at


def _record(attempt: SentRecord, images: Iterable[StagedImage], store: ImageStore, ledger: LedgerWriter) -> int:
    by_number = {sample.number: sample for image in images if (sample := _sample(attempt, image, store))}
    samples = tuple(by_number.values())
    if samples:
        trace = RequestTrace(attempt.key, attempts=attempt.attempt, http_status=200, sent_at=attempt.at)
        ledger.record_result(attempt, samples, trace, maybe_usd=attempt.lost_usd(saved=len(samples)))
    store.clear_staging(attempt.key, attempt.numbers)
    return len(samples)


def _sample(attempt: SentRecord, image: StagedImage, store: ImageStore) -> SampleResult | None:
    try:
        info = validate(store.storage.read(image.file))
    except InvalidImage:
        return None
    cost = estimate_cost(attempt.share)
    if image.named:
        return saved_result(image.number, image.file, info, cost=cost)
    name = attempt.names[image.number - attempt.first] + info.extension
    file = store.publish(image.file, key=attempt.key, name=name, may_exist=True)
    return saved_result(image.number, file, info, cost=cost)
