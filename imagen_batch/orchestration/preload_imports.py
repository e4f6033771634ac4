"""Imports what a run needs at its end while it waits for its first replies.

What checks and stores images is imported before anything is sent: it must not fail once an image is paid for.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from importlib import import_module

from imagen_batch.orchestration.execution import Execution

_FOR_THE_FIRST_IMAGE = ("PIL.JpegImagePlugin",)
_FOR_THE_END = (
    "imagen_batch.runs.finalize",
    "imagen_batch.orchestration.recording.run_snapshot",
    "imagen_batch.review.run_gallery",
    "imagen_batch.runs.finished.recognize_unchanged_run",
    "imagen_batch.reports.render",
)


def import_during_first_requests(execution: Execution) -> None:
    """Import these modules in a thread, once requests are in flight."""

    def import_all() -> None:
        execution.wait_for_first_requests()
        for name in (*_FOR_THE_FIRST_IMAGE, *_FOR_THE_END):
            with suppress(Exception):  # the code that needs the module reports the error
                import_module(name)

    threading.Thread(target=import_all, name="imports", daemon=True).start()
