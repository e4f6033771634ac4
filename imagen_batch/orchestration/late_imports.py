"""Imports what a run needs at its end while it waits for its first replies, not before it sends."""

from __future__ import annotations

import threading
from contextlib import suppress
from importlib import import_module

from imagen_batch.orchestration.execution import Execution

_AT_THE_FIRST_IMAGE = ("PIL.Image", "PIL.JpegImagePlugin")
_AT_THE_END = (
    "imagen_batch.runs.finalize",
    "imagen_batch.orchestration.recording.story",
)


def import_during_first_requests(execution: Execution) -> None:
    """Import them in a thread, once requests are in flight."""

    def work() -> None:
        execution.wait_for_first_requests()
        for name in (*_AT_THE_FIRST_IMAGE, *_AT_THE_END):
            with suppress(Exception):  # the import that needs it reports it
                import_module(name)

    threading.Thread(target=work, name="imports", daemon=True).start()
