"""Takes the decisions of a folder's review.csv into a run that makes the versions which they request."""

from __future__ import annotations

from collections.abc import Callable

from imagen_batch.inputs.stored_input_and_settings import holds_run
from imagen_batch.ledger.records import ReviewedVersion
from imagen_batch.review.decisions.record_decisions import pending_changes
from imagen_batch.review.review_csv import REVIEW_FILE
from imagen_batch.settings import Settings
from imagen_batch.text import plural


def review_of_run(
    settings: Settings, notify: Callable[[str], None]
) -> tuple[tuple[ReviewedVersion, ...], bytes | None]:
    """Return the decisions of the folder's review.csv that were not applied yet, and the bytes of the file.

    Only a run with --redo or --upgrade looks at the file. Raises InputInvalid with every problem of it.
    """
    if not (settings.redo or settings.upgrade) or not holds_run(settings.folder):
        return (), None
    pending = pending_changes(settings.folder)
    if pending is None:
        return (), None
    changes, data = pending
    if changes.decisions:
        notify(f"{REVIEW_FILE}: {plural(len(changes.decisions), 'new decision')} taken over")
    if changes.outdated:
        marks = plural(changes.outdated, "redo mark")
        notify(f"warning: {REVIEW_FILE}: {marks} ignored, because a newer version of the image was made since")
    return changes.decisions, data
