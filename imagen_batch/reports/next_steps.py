"""Suggests a next step for each group of failures, with the command to type.

A command names the run's folder and no setting: `resume` restores those of the run, so that it goes to the same
service and asks for the same images, from any current folder. It contains only the options that it changes.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from imagen_batch.reports.add_review_columns import APPROVED_MISSING, REDO
from imagen_batch.reports.causes import FailureGroup, merge_rows
from imagen_batch.storage import is_url
from imagen_batch.text import plural, usd_at_most

BEYOND_LIMIT = "beyond_limit"
"""The error kind of samples of rows that `--limit` left out."""

RetryChoice = Literal["", "failed", "filtered", "unknown", "missing"]
"""The `--retry` choice of a command; empty for one that sends only what is pending."""


@dataclass(frozen=True, slots=True)
class LimitRaise:
    """The limits that admit everything pending, and its number of images and price."""

    options: tuple[str, ...]
    images: int
    usd: float | None  # worst case; None if a price is not known


@dataclass(frozen=True, slots=True)
class Continuation:
    """The facts from which the commands that continue a run are built.

    `folder` is an absolute path or a URL. `prompts` is the user's own prompt file, None if it no longer exists.
    `raised` returns for a choice of `--retry` the limits that have to be raised because nothing fits any more.
    `beyond` is the number of rows of the input, if `--limit` left some out; `beyond_usd` is the most that those cost.
    """

    folder: str
    prompts: str | None = None
    raised: Callable[[RetryChoice], tuple[str, ...]] = lambda _retry: ()
    whole: LimitRaise | None = None
    holds_unknown: bool = False
    beyond: int | None = None
    beyond_usd: float | None = None
    successor: str | None = None  # of the run's model
    notices: tuple[str, ...] = ()  # about models that end soon

    def resume_command(
        self, retry: RetryChoice = "", *, limits: tuple[str, ...] | None = None, more: tuple[str, ...] = ()
    ) -> str:
        """Return the command that continues the run, and sends again what `retry` names."""
        retried = ("--retry", retry) if retry else ()
        raised = self.raised(retry) if limits is None else limits
        return shlex.join(["imagen-batch", "resume", self.folder, *retried, *raised, *more])

    @property
    def edited_command(self) -> str:
        """The command that takes over the edited prompt file."""
        if self.prompts is None:
            return shlex.join(["imagen-batch", "run", self.failures_file])
        return self.resume_command(limits=self.raised("filtered"), more=("--prompts", self.prompts))

    @property
    def failures_file(self) -> str:
        """The file of the rows without an image."""
        return f"{self.folder}/failures.csv"

    @property
    def edited_name(self) -> str:
        """The name of the file that the user edits."""
        return PurePosixPath(self.prompts or self.failures_file).name


def make_absolute(location: str) -> str:
    """Return a folder as a path that is valid in any current folder; a URL as it is."""
    return location if is_url(location) else os.path.abspath(location)  # noqa: PTH100 - links are kept as the user made them


@dataclass(frozen=True, slots=True)
class NextStep:
    """What to do, as a sentence, and the command to type."""

    text: str
    command: str

    def __str__(self) -> str:
        return f"{self.text} {self.command}"


@dataclass(frozen=True, slots=True)
class _Advice:
    """A next step before its rows and images are filled in: groups with the same advice become one step."""

    text: str  # with {rows}, {images} and {file} in it
    command: str
    file: str = ""

    def step_for(self, groups: list[FailureGroup]) -> NextStep:
        images = plural(sum(group.count for group in groups), "image")
        text = self.text.replace("{images}", images).replace("{rows}", merge_rows(groups))
        return NextStep(text.replace("{file}", self.file), self.command)


def next_step(group: FailureGroup, *, run: Continuation, stopped_for: str | None = None) -> NextStep:
    """Return the next step for a single group.

    `stopped_for` is the cause that ended the run ("auth", "quota_day", ...): samples that were not sent wait for it.
    """
    return _advice(group, run, stopped_for).step_for([group])


def next_steps(
    groups: Iterable[FailureGroup], *, run: Continuation, stopped_for: str | None = None
) -> tuple[NextStep, ...]:
    """Return the next steps for all groups, that for most samples first. Groups with the same remedy share a step."""
    by_advice: dict[_Advice, list[FailureGroup]] = {}
    for group in groups:
        by_advice.setdefault(_advice(group, run, stopped_for), []).append(group)
    ranked = sorted(by_advice.items(), key=lambda item: -sum(group.count for group in item[1]))
    return tuple(advice.step_for(same_advice) for advice, same_advice in ranked)


def _advice(group: FailureGroup, run: Continuation, stopped_for: str | None) -> _Advice:
    if (review_advice := _advise_on_review(group, run)) is not None:
        return review_advice
    if group.error_kind == BEYOND_LIMIT:
        return _advise_on_limit(run)
    if group.error_kind == "over_budget" or group.status == "skipped_budget":
        return _advise_on_budget(group, run, stopped_for)
    if group.status == "unknown":
        return _Advice(_UNKNOWN, run.resume_command("unknown" if run.holds_unknown else ""))
    if group.status == "not_attempted":
        return _advise_on_references(group, run) or _advise_on_stop(stopped_for, run)
    return _advise_edit(group, run) or _advise_retry(group, run)


def _advise_on_review(group: FailureGroup, run: Continuation) -> _Advice | None:
    """Return the advice about reviewed images; None for all other groups."""
    if (group.error_kind or "").startswith(REDO):
        return _advise_on_redo(group, run)
    if group.error_kind == APPROVED_MISSING:
        return _Advice(_LOCKED, shlex.join(["imagen-batch", "review", "clear", run.folder, *group.first_samples]))
    return None


def _advise_on_redo(group: FailureGroup, run: Continuation) -> _Advice:
    """Return the advice for an image whose redo brought no image."""
    if group.status == "filtered":
        sample = group.first_samples[0].partition("@")[0]
        mark = shlex.join(["imagen-batch", "review", "redo", run.folder, sample, "--prompt", "NEW TEXT"])
        return _Advice("The earlier images of {rows} stay. Mark them again with another prompt, such as:", mark)
    return _Advice(
        "The earlier images of {rows} stay. To make the marked versions:", run.resume_command(more=("--redo",))
    )


def _advise_on_references(group: FailureGroup, run: Continuation) -> _Advice | None:
    """Return the advice for rows without a reference image that they need; None for all others."""
    if group.error_kind == "reference_refused":
        return _Advice(_REFUSED_REFERENCE, run.edited_command, run.edited_name)
    if group.error_kind not in _WAITING:
        return None
    retry: RetryChoice = "failed" if group.error_kind == "reference_failed" else ""
    return _Advice(_WAITING[group.error_kind], run.resume_command(retry))


def _advise_on_stop(stopped_for: str | None, run: Continuation) -> _Advice:
    if stopped_for == "model_gone" and run.successor:
        command = shlex.join(["imagen-batch", "run", run.failures_file, "--model", run.successor])
        return _Advice(_SUCCESSOR, command)
    text, command_or_none = _STOPPED.get(stopped_for or "", ("To continue:", None))
    return _Advice(text, command_or_none or run.resume_command())


def _advise_edit(group: FailureGroup, run: Continuation) -> _Advice | None:
    """Return the advice for a row that has to be changed; None if sending the same again may help."""
    if group.advice is not None and group.advice.setting == "person_generation":
        text = _ALLOW_PEOPLE
    elif group.error_kind == "bad_request":
        text = "Fix the problem shown above in {rows} of {file}, then run:"
    elif group.status == "filtered":
        text = "Reword {rows} in {file} and run again; only changed rows are sent."
    else:
        return None
    return _Advice(text, run.edited_command, run.edited_name)


def _advise_retry(group: FailureGroup, run: Continuation) -> _Advice:
    text, retry = _RETRY.get(group.error_kind or "", ("To try {images} again:", "failed"))
    return _Advice(text, run.resume_command(retry))


def _advise_on_limit(run: Continuation) -> _Advice:
    cost = "" if run.beyond_usd is None else f" (up to {usd_at_most(run.beyond_usd)})"
    limit = () if run.beyond is None else ("--limit", str(run.beyond))
    return _Advice(f"To also make the {{images}} beyond --limit{cost}:", run.resume_command(more=limit))


def _advise_on_budget(group: FailureGroup, run: Continuation, stopped_for: str | None) -> _Advice:
    charged = "These may have been charged. " if group.status == "unknown" else ""
    if stopped_for == "budget_period":
        return _Advice(
            charged + _PERIOD_SPENT, run.resume_command("unknown" if run.holds_unknown and charged else "")
        )
    if group.status == "unknown" and run.holds_unknown:
        limits = run.raised("unknown")
        text = f"To send them again, use {shlex.join(limits)}:" if limits else "To send them again:"
        return _Advice(charged + text, run.resume_command("unknown", limits=limits))
    options = run.whole.options if run.whole else ()
    if run.whole is None or not options:
        text = "The rest fits into the limits of a new run. To continue:"
    elif "--max-cost-per-run" in options:  # raised for the dearest request alone: all of it may take several runs
        text = f"To continue, use {shlex.join(options)}:"
    else:
        cost = "" if run.whole.usd is None else f" (up to {usd_at_most(run.whole.usd)})"
        text = f"To make the other {run.whole.images:,}{cost}, use {shlex.join(options)}:"
    return _Advice(charged + text, run.resume_command(limits=options))


_PERIOD_SPENT = "The other {images} wait until earlier charges are older than the period of --max-cost-per. Then run:"
_REFUSED_REFERENCE = (
    "Not made, as the images of other rows that they need were refused: {images}. Reword those rows in {file}; the "
    "same command then makes both:"
)
_WAITING: dict[str | None, str] = {
    "reference": "A reference image of {rows} is not the one that the run was planned with. To use it as it is now:",
    "reference_pending": "Not made, as they need images of other rows that are not made yet: {images}. To continue:",
    "reference_failed": "Not made, as they need images of other rows that failed: {images}. To try again:",
    "reference_unapproved": (
        "Not made, as they need a row with several images: {images}. Approve one of each, in the gallery or with "
        "imagen-batch review approve, or name one as in @fox#2; then run:"
    ),
    "reference_unusable": (
        "Not made, as the images of other rows that they need can't be sent along: {images}. Change {rows}, then run:"
    ),
}
"""The error kinds of samples that are not sent because a reference image is missing."""

_UNKNOWN = (
    "No reply arrived for {images}, which may have been charged. To send them again, possibly for a second charge:"
)
_LOCKED = (
    "Approved images are never made again. Put the missing files of {rows} back; or take the approval back and then "
    "use --retry missing:"
)
_ALLOW_PEOPLE = (
    "The model may not draw people here. In {file}, put allow_adult into a person_generation column of {rows} "
    "and run again; only changed rows are sent."
)
_SUCCESSOR = "The model is no longer served. To make the missing images with its successor:"
_RETRY: dict[str, tuple[str, RetryChoice]] = {
    "transient_exhausted": ("The error may be temporary. To try {images} again:", "failed"),
    "no_image": ("Another attempt may bring an image. To try {images} again:", "failed"),
    "file_missing": ("Put the missing files back, or make and pay for {images} again:", "missing"),
}
# What ended the run -> text, and a command where it is not the one that continues.
_STOPPED: dict[str, tuple[str, str | None]] = {
    "auth": ("Check GOOGLE_API_KEY (or GEMINI_API_KEY, --api-key-file) and its permissions, then run:", None),
    "address": ("Check the address (--base-url) and the connection to the service, then run:", None),
    "certificates": ("Correct the certificates (REQUESTS_CA_BUNDLE) or the address (--base-url), then run:", None),
    "proxy": ("Correct the proxy (HTTPS_PROXY, NO_PROXY), then run:", None),
    "billing": ("Turn on billing or top up the balance of the key's project, then run:", None),
    # A command that names another model would make and charge the existing images once more.
    "model_gone": ("The model is no longer served. Choose another one for these rows from:", "imagen-batch models"),
    "time": ("The next run makes {images}. To continue now:", None),
    "quota_day": ("The daily quota resets at midnight Pacific time. Then run:", None),
    "outage": ("The service does not answer. Try again later:", None),
    "disk": ("Make room in the output folder, then run:", None),
}
