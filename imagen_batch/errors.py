"""What does the run do about an error? Its class is the answer.

    ImagenBatchError
     +- InputInvalid          nothing was sent, every problem inside         exit 5
     +- SettingsInvalid       usage, settings, missing key, retired model    exit 2
     |   +- LedgerDamaged     a line of the ledger is not a record
     +- FolderBusy            another run holds the folder                   exit 2
     +- AttemptError          one HTTP attempt brought no answer to record
     |   +- Transient         tried again by tenacity
     |   |   +- RateLimited   the account's limit: everyone waits
     |   +- Fatal             stops the run, rows stay pending               its own exit code
     +- Interrupted           a signal or another stop came first: give up waiting

A refusal is none of these: it is a value (`records.Missing`). Any other exception is a bug and says so.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from imagen_batch.records import Problem


class ImagenBatchError(Exception):
    """Base of everything this package raises on purpose."""


class InputInvalid(ImagenBatchError):
    """The prompt file has problems; carries all of them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(f"{len(problems)} problem(s) in the input")
        self.problems = tuple(problems)


class SettingsInvalid(ImagenBatchError):
    """A choice of the run can't be followed; the message says which and what would do."""


class LedgerDamaged(SettingsInvalid):
    """A line of the ledger is not a record. `line` counts from 1, `offset` is in bytes.

    `place` is the run's folder or URL. Whoever opened it fills that in; otherwise it follows from the path.
    """

    def __init__(self, path: Path, line: int, offset: int, reason: str) -> None:
        super().__init__(path, line, offset, reason)
        self.path = path
        self.line = line
        self.offset = offset
        self.reason = reason
        self.place: str | None = None

    def __str__(self) -> str:
        command = f"imagen-batch audit {shlex.quote(self._found_place())} --repair"
        return (
            f"the ledger is damaged: {self.path.name}, line {self.line}, byte {self.offset}: {self.reason}. "
            f"Nothing was sent. To continue without that line and recover its images from their files: {command}"
        )

    def _found_place(self) -> str:
        if self.place is not None:
            return self.place if "://" in self.place else str(Path(self.place).absolute())
        state = next((parent for parent in self.path.parents if parent.name == ".imagen-batch"), None)
        return str(state.parent.absolute()) if state else "DIR"


class FolderBusy(ImagenBatchError):
    """Another run is at work in the same folder."""


class Interrupted(ImagenBatchError):
    """The run is stopping: what was not sent yet is not sent."""


class AttemptError(ImagenBatchError):
    """One attempt failed. `kind` is a short name for the cause ("timeout", "http_503", "bad_key", ...)."""

    def __init__(self, message: str, *, kind: str, http_status: int | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.http_status = http_status


class Transient(AttemptError):
    """May pass when tried again.

    `retry_after` is the service's own hint in seconds, None without one.
    `maybe_charged` is True where the service may have made (and billed) pictures that never arrived.
    `lost` is True where no whole HTTP reply came back: what happened is not known.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        http_status: int | None = None,
        retry_after: float | None = None,
        maybe_charged: bool = False,
        lost: bool = False,
    ) -> None:
        super().__init__(message, kind=kind, http_status=http_status)
        self.retry_after = retry_after
        self.maybe_charged = maybe_charged
        self.lost = lost


class RateLimited(Transient):
    """429: the account is over a limit. `per_minute` is the limit where the body names it."""

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        retry_after: float | None = None,
        per_minute: float | None = None,
    ) -> None:
        super().__init__(message, kind=kind, http_status=429, retry_after=retry_after)
        self.per_minute = per_minute


class Fatal(AttemptError):
    """No attempt of this run can succeed. `exit_code` is 2 (mend something) or 75 (come back later).

    `outcome` names the cause as the manifest does: "auth", "billing", "model_gone", "quota_day", "outage".
    `refreshable` is True where a new token may help (401). `resets_at` is when a daily quota begins anew.
    """

    def __init__(  # noqa: PLR0913 - facts of one attempt, all by name
        self,
        message: str,
        *,
        kind: str,
        outcome: str,
        exit_code: int = 2,
        http_status: int | None = None,
        resets_at: datetime | None = None,
        refreshable: bool = False,
    ) -> None:
        super().__init__(message, kind=kind, http_status=http_status)
        self.outcome = outcome
        self.exit_code = exit_code
        self.resets_at = resets_at
        self.refreshable = refreshable


def storage_failure(what: OSError | str) -> Fatal:
    """The run stops until somebody mended the folder."""
    words = what if isinstance(what, str) else what.strerror or str(what)
    return Fatal(f"the output folder can't be written: {words}", kind="disk", outcome="disk", exit_code=75)
