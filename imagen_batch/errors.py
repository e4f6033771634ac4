"""Defines the errors that this package raises on purpose. Their class decides what the run does.

    ImagenBatchError
     +- InputInvalid          nothing was sent; carries every problem        exit 5
     +- SettingsInvalid       usage, settings, missing key, retired model    exit 2
     |   +- LedgerDamaged     a line of the ledger is not a record
     +- FolderBusy            another run holds the folder                   exit 2
     +- InvalidImage          received bytes are not a whole image
     +- ReferenceUnusable     a reference image can't be sent: the request waits
     +- AttemptError          one HTTP attempt returned no answer to record
     |   +- Transient         tenacity tries again
     |   |   +- RateLimited   over the account's limit: every request waits
     |   +- Fatal             also a StopRun
     +- StopRun               ends the run, rows stay pending                its own exit code
     |   +- Fatal             no attempt of this run can succeed
     +- Interrupted           a signal or a StopRun came first: stop waiting

A refusal is not an error but a value (`records.NoImage`). Any other exception is reported as a bug.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from imagen_batch.records import Problem


class ImagenBatchError(Exception):
    """Base of every error that this package raises on purpose."""


class InputInvalid(ImagenBatchError):
    """The prompt file has problems; carries all of them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(f"{len(problems)} {'problem' if len(problems) == 1 else 'problems'} in the input")
        self.problems = tuple(problems)


class SettingsInvalid(ImagenBatchError):
    """A setting can't be used; the message names it and says what would work."""


class LedgerDamaged(SettingsInvalid):
    """A line of the ledger is not a record. `line` counts from 1, `offset` is in bytes.

    `location` is the run's folder or URL. The code that opened it sets that; otherwise it follows from the path.
    """

    def __init__(self, path: Path, line: int, offset: int, reason: str) -> None:
        super().__init__(path, line, offset, reason)
        self.path = path
        self.line = line
        self.offset = offset
        self.reason = reason
        self.location: str | None = None

    def __str__(self) -> str:
        remedy = f"To continue without that line and recover its images from their files: {self.repair_command}"
        return f"{self.description}. Nothing was sent. {remedy}"

    @property
    def description(self) -> str:
        """The damage and its place, without what to do."""
        return f"the ledger is damaged: {self.path.name}, line {self.line}, byte {self.offset}: {self.reason}"

    @property
    def repair_command(self) -> str:
        """The command that skips the line."""
        return f"imagen-batch audit {shlex.quote(self._run_location())} --repair"

    def _run_location(self) -> str:
        if self.location is not None:
            return self.location if "://" in self.location else str(Path(self.location).absolute())
        state = next((parent for parent in self.path.parents if parent.name == ".imagen-batch"), None)
        return str(state.parent.absolute()) if state else "DIR"


class FolderBusy(ImagenBatchError):
    """Another run is using the same folder."""


class Interrupted(ImagenBatchError):
    """The run is stopping: requests that are not yet sent stay unsent."""


class InvalidImage(ImagenBatchError):
    """The bytes are not a whole image, though they may have been paid for.

    `kind` is "damaged_picture" for a known format and "not_a_picture" for anything else; the ledger stores it.
    """

    def __init__(self, message: str, *, kind: str = "damaged_picture") -> None:
        super().__init__(message)
        self.kind = kind


class ReferenceUnusable(ImagenBatchError):
    """A reference image is missing, unreadable, of a wrong type or has changed. The message is a clause about it."""


class AttemptError(ImagenBatchError):
    """One attempt failed. `kind` is a short name for the cause ("timeout", "http_503", "bad_key", ...)."""

    def __init__(self, message: str, *, kind: str, http_status: int | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.http_status = http_status


class Transient(AttemptError):
    """The same request may succeed later.

    `retry_after` is the service's own hint in seconds, None without one.
    `maybe_charged` is True where the service may have made (and billed) images that never arrived.
    `lost` is True where no complete HTTP reply arrived, so that the outcome is unknown.
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


class StopRun(ImagenBatchError):
    """The run must stop. `exit_code` is 2 (the user must fix something), 75 (try again later) or 1 (a bug).

    `cause` is the name that the summary uses: "disk", "settings", "outage", "bug", ...
    `resets_at` is when a daily quota resets.
    """

    def __init__(self, message: str, *, cause: str, exit_code: int = 2, resets_at: datetime | None = None) -> None:
        super().__init__(message)
        self.cause = cause
        self.exit_code = exit_code
        self.resets_at = resets_at


class Fatal(StopRun, AttemptError):
    """An attempt failed, and every further attempt would fail in the same way.

    `cause` is "auth", "address", "certificates", "proxy", "billing", "model_gone" or "quota_day".
    `refreshable` is True where a new access token may help (401).
    """

    def __init__(  # noqa: PLR0913 - facts of one attempt, all by name
        self,
        message: str,
        *,
        kind: str,
        cause: str,
        exit_code: int = 2,
        http_status: int | None = None,
        resets_at: datetime | None = None,
        refreshable: bool = False,
    ) -> None:
        AttemptError.__init__(self, message, kind=kind, http_status=http_status)
        self.cause = cause
        self.exit_code = exit_code
        self.resets_at = resets_at
        self.refreshable = refreshable


def bug(error: Exception) -> StopRun:
    """Return the error that stops a run because of an exception that nothing expected."""
    return StopRun(f"a bug: {error!r}", cause="bug", exit_code=1)


def storage_failure(reason: OSError | str) -> StopRun:
    """Return the error that stops a run whose output folder can't be written."""
    text = reason if isinstance(reason, str) else reason.strerror or str(reason)
    return StopRun(f"the output folder can't be written: {text}", cause="disk", exit_code=75)
