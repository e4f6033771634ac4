"""Says what to do about each cause, and the command to type then.

A command names the run's folder and no setting: `resume` restores those of the run, so that it goes to the same
service and asks for the same, from whatever folder it is typed in. Only what it changes stands in it.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from imagen_batch.reports.causes import FailureGroup
from imagen_batch.storage import is_url

_PEOPLE = "39322892"  # the only support code that a setting can cure (api: 3.4)

Again = Literal["", "failed", "filtered", "unknown", "missing"]
"""What a command asks for besides what is pending: a choice of `--retry`, or nothing."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """What the commands that continue a run are made of.

    `folder` is an absolute path or a URL. `prompts` is the user's own prompt file, None where that is not there.
    `raised` tells for a choice of `--retry` which limits have to be raised since they admit nothing any more.
    `whole` is the limits below which everything pending fits. `beyond` is how many rows the input has, where
    `--limit` left some out, and `beyond_usd` what those cost at most.
    """

    folder: str
    prompts: str | None = None
    raised: Callable[[Again], tuple[str, ...]] = lambda _again: ()
    whole: tuple[str, ...] = ()
    holds_unknown: bool = False
    beyond: int | None = None
    beyond_usd: float | None = None
    successor: str | None = None  # of the run's model

    def resume(self, again: Again = "", *, limits: tuple[str, ...] | None = None, more: tuple[str, ...] = ()) -> str:
        """The command that continues the run, and retries what `again` names."""
        retry = ("--retry", again) if again else ()
        raised = self.raised(again) if limits is None else limits
        return shlex.join(["imagen-batch", "resume", self.folder, *retry, *raised, *more])

    @property
    def edited(self) -> str:
        """The command that takes an edited prompt file over."""
        if self.prompts is None:
            return shlex.join(["imagen-batch", "run", self.failures])
        return self.resume(limits=self.raised("filtered"), more=("--prompts", self.prompts))

    @property
    def failures(self) -> str:
        """The file of the rows without an image."""
        return f"{self.folder}/failures.csv"

    @property
    def to_edit(self) -> str:
        """The file that the user edits."""
        return self.prompts or self.failures


def absolute(place: str) -> str:
    """A folder as it can be named from any current folder; a URL as it is."""
    return place if is_url(place) else os.path.abspath(place)  # noqa: PTH100 - links are kept as the user made them


@dataclass(frozen=True, slots=True)
class NextStep:
    """What to do, in words, and the command to type then."""

    words: str
    command: str

    def __str__(self) -> str:
        return f"{self.words}: {self.command}" if self.words else self.command


def next_step(cause: FailureGroup, *, run: Continuation, stopped_for: str | None = None) -> NextStep:
    """What fixes a cause.

    `stopped_for` is what ended the run ("auth", "quota_day", ...): samples that were not sent wait for that.
    """
    if cause.error_kind == BEYOND_LIMIT:
        return _beyond(run)
    if cause.error_kind == "over_budget" or cause.status == "skipped_budget":
        return _over_budget(cause, run)
    if cause.status == "unknown":
        return _unknown(run)
    if cause.status == "not_attempted":
        return _stopped(stopped_for, run)
    return _edit(cause, run) or _retry(cause, run)


def _stopped(stopped_for: str | None, run: Continuation) -> NextStep:
    if stopped_for == "model_gone" and run.successor:
        return NextStep(_SUCCESSOR, shlex.join(["imagen-batch", "run", run.failures, "--model", run.successor]))
    words, command = _STOPPED.get(stopped_for or "", ("to continue", None))
    return NextStep(words, command or run.resume())


def _edit(cause: FailureGroup, run: Continuation) -> NextStep | None:
    """What takes another text of the row; None where asking again may help."""
    if _PEOPLE in cause.filter_codes:
        return NextStep(_ALLOW_PEOPLE.format(file=run.to_edit), run.edited)
    if cause.error_kind == "bad_request":
        return NextStep(f"fix what the message names in these rows of {run.to_edit}, then", run.edited)
    if cause.status == "filtered":
        return NextStep(f"reword these prompts in {run.to_edit}, {_ONLY_CHANGED}", run.edited)
    return None


def _retry(cause: FailureGroup, run: Continuation) -> NextStep:
    words, again = _RETRY.get(cause.error_kind or "", ("to try again", "failed"))
    return NextStep(words, run.resume(again))


def _beyond(run: Continuation) -> NextStep:
    cost = "" if run.beyond_usd is None else f", at most ${run.beyond_usd:.2f}"
    limit = () if run.beyond is None else ("--limit", str(run.beyond))
    return NextStep(f"to make the rows beyond --limit, too{cost}", run.resume(more=limit))


def _over_budget(cause: FailureGroup, run: Continuation) -> NextStep:
    again: Again = "unknown" if cause.status == "unknown" and run.holds_unknown else ""
    limits = run.raised(again) if again else run.whole
    words = "raise the limit" if limits else "the next run has its own --max-cost-per-run"
    known = "these may have been charged; " if cause.status == "unknown" else ""
    return NextStep(f"{known}{words}", run.resume(again, limits=limits))


def _unknown(run: Continuation) -> NextStep:
    words = "no reply came, so these may have been charged; to send them again, possibly for a second charge"
    return NextStep(words, run.resume("unknown" if run.holds_unknown else ""))


BEYOND_LIMIT = "beyond_limit"
"""The error kind of samples of rows that `--limit` left out."""

_ONLY_CHANGED = "only changed rows are sent again"
_ALLOW_PEOPLE = (
    "the model may not draw people here: in {file} put allow_adult into a person_generation column of these rows, "
    f"{_ONLY_CHANGED}"
)
_SUCCESSOR = "the model is no longer served; to make the missing images with its successor"
_RETRY: dict[str, tuple[str, Again]] = {
    "transient_exhausted": ("this may pass; to try again", "failed"),
    "no_image": ("another attempt may bring one", "failed"),
    "file_missing": ("put the file back, or pay for a new one", "missing"),
}
# What ended the run -> words, and a command where it is not to continue.
_STOPPED: dict[str, tuple[str, str | None]] = {
    "auth": ("check GOOGLE_API_KEY (or GEMINI_API_KEY, --api-key-file) and its rights, then", None),
    "address": ("check the address (--base-url) and what stands between you and the service, then", None),
    "billing": ("turn on billing or top up the balance of the key's project, then", None),
    # To name another model here would be to buy the images that are there once more.
    "model_gone": ("the model is no longer served; choose another for these rows, from", "imagen-batch models"),
    "quota_day": ("the daily quota resets at midnight Pacific time; then", None),
    "outage": ("the service does not answer; some time later", None),
    "disk": ("make room in the output folder, then", None),
}
