"""What should be typed or mended next, for each cause?"""

from __future__ import annotations

import re
from dataclasses import dataclass

from imagen_batch.causes import Cause

_PEOPLE = "39322892"  # the only support code that a setting can cure (api: 3.4)


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do, in words, and the command to type then."""

    words: str
    command: str

    def __str__(self) -> str:
        return f"{self.words}: {self.command}" if self.words else self.command


def advice(cause: Cause, *, command: str, stopped_for: str | None = None) -> Advice:
    """What mends a cause, built from the command that was typed.

    `stopped_for` is what ended the run ("auth", "quota_day", ...): samples that were not sent wait for that.
    """
    plain = re.sub(r" --retry[ =]\w+(,\w+| (failed|filtered|unknown|missing))*", "", command)
    words, _, template = _template(cause, stopped_for).rpartition(": ")
    return Advice(
        words,
        template.format(
            command=plain,
            retry_failed=f"{plain} --retry failed",
            retry_missing=f"{plain} --retry missing",
            resend=_without(plain, "--on-unknown"),
            other_model=f"{_without(plain, '--model')} --model ID",
            more=f"{_without(plain, _limit(plain))} {_limit(plain)} {_UNIT[_limit(plain)]}",
        ),
    )


def _template(cause: Cause, stopped_for: str | None) -> str:
    if _PEOPLE in cause.filter_codes:
        return _ALLOW_PEOPLE
    if cause.status == "not_attempted" and stopped_for in _BY_KIND:
        return _BY_KIND[stopped_for]
    if cause.status == "unknown":
        return _BY_STATUS["unknown"]
    return _BY_KIND.get(cause.error_kind or "") or _BY_STATUS[cause.status]


def _without(command: str, option: str) -> str:
    return re.sub(rf"\s{option}[=\s]\S+", "", command)


def _limit(command: str) -> str:
    return "--max-images" if "--max-images" in command and "--max-cost" not in command else "--max-cost"


_UNIT = {"--max-cost": "USD", "--max-images": "N"}

_REWORD = "reword these prompts in your file; only changed rows are sent again: {command}"
_ALLOW_PEOPLE = (
    "the model may not draw people here: put allow_adult into a person_generation column of these rows "
    "(--person-generation sets it for all rows, which are then all made anew): {command}"
)

_BY_KIND = {
    "transient_exhausted": "this may pass; to ask again: {retry_failed}",
    "no_image": "another try may bring one: {retry_failed}",
    "file_missing": "put the file back, or pay for a new one: {retry_missing}",
    "bad_request": "mend what the message names in these rows, then: {command}",
    "auth": "check GOOGLE_API_KEY (or GEMINI_API_KEY, --api-key-file) and its rights, then: {command}",
    "address": "check --base-url and what stands between you and the service, then: {command}",
    "billing": "turn on billing or top up the balance of the key's project, then: {command}",
    "model_gone": "choose a model that is still served (imagen-batch models names successors), then: {other_model}",
    "quota_day": "the daily quota begins anew at midnight Pacific time; then: {command}",
    "outage": "the service does not answer; some time later: {command}",
    "disk": "make room in the output folder, then: {command}",
}
_BY_STATUS = {
    "filtered": _REWORD,
    "failed": "to ask again: {retry_failed}",
    "unknown": "no reply came, so these may have been charged; running again asks once more "
    "(--on-unknown hold does not): {resend}",
    "skipped_budget": "raise the limit: {more}",
    "not_attempted": "to go on: {command}",
}
