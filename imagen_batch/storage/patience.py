"""How long is a store waited for that does not take what it is given?

What is to be kept was paid for: a store that is away for a moment costs nothing but time. A wait that lasts is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_exponential

from imagen_batch.storage.http_status import is_no_access
from imagen_batch.system.streams import say

PATIENCE_S = 120.0
_TELL_AFTER_S = 5.0


def patiently(
    place: str,
    *,
    patience: float = PATIENCE_S,
    sleep: Callable[[float], None] = time.sleep,
    tell: Callable[[str], None] = say,
) -> Retrying:
    """Call again and again what fails for a reason that may pass. After a few seconds it is said what for."""
    told = False

    def tell_once(state: RetryCallState) -> None:
        nonlocal told
        waited = state.seconds_since_start or 0.0
        ahead = state.next_action.sleep if state.next_action else 0.0
        if not told and waited + ahead >= _TELL_AFTER_S and state.outcome is not None:
            told = True
            error = " ".join(str(state.outcome.exception()).split())[:300]
            tell(f"waiting for {place}: {error} (tried again for up to {patience:.0f} s)")

    return Retrying(
        retry=retry_if_exception(may_pass),
        stop=stop_after_delay(patience),
        wait=wait_exponential(multiplier=0.5, max=10),
        sleep=sleep,
        before_sleep=tell_once,
        reraise=True,
    )


def may_pass(error: BaseException) -> bool:
    """Whether the same call may succeed later."""
    told_clearly = FileExistsError | FileNotFoundError | PermissionError
    return isinstance(error, OSError) and not isinstance(error, told_clearly) and not is_no_access(error)
