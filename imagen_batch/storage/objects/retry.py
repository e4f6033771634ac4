"""Retries writes to an object store that fails temporarily.

The data to be saved is paid for, so a store that is briefly unavailable may cost only time. A longer wait is
reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_exponential

from imagen_batch.storage.objects.error_status import is_no_access
from imagen_batch.system.streams import print_message

PATIENCE_S = 120.0
_REPORT_AFTER_S = 5.0


def retry_policy(
    location: str,
    *,
    patience: float = PATIENCE_S,
    sleep: Callable[[float], None] = time.sleep,
    report: Callable[[str], None] = print_message,
) -> Retrying:
    """Return a caller that repeats calls whose errors are temporary. A wait of a few seconds is reported once."""
    reported = False

    def report_once(state: RetryCallState) -> None:
        nonlocal reported
        waited = state.seconds_since_start or 0.0
        next_wait = state.next_action.sleep if state.next_action else 0.0
        if not reported and waited + next_wait >= _REPORT_AFTER_S and state.outcome is not None:
            reported = True
            error = " ".join(str(state.outcome.exception()).split())[:300]
            report(f"waiting for {location}: {error} (trying again for up to {patience:.0f} s)")

    return Retrying(
        retry=retry_if_exception(is_temporary),
        stop=stop_after_delay(patience),
        wait=wait_exponential(multiplier=0.5, max=10),
        sleep=sleep,
        before_sleep=report_once,
        reraise=True,
    )


def is_temporary(error: BaseException) -> bool:
    """Whether the same call may succeed later."""
    definite = FileExistsError | FileNotFoundError | PermissionError
    return isinstance(error, OSError) and not isinstance(error, definite) and not is_no_access(error)
