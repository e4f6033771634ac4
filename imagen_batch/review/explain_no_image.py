"""Explains why a sample has no image and what a person can do about it.

The texts are shown in the gallery, where the prompt can be edited at once. Codes and enum names of the services are
replaced by plain words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_PREFIXES: Final = ("HARM_CATEGORY_", "IMAGE_", "FINISH_REASON_")

# Words for categories and finish reasons whose own name is not clear.
_WORDS: Final[Mapping[str, str]] = {
    "bad request": "request not accepted",
    "blocklist": "a blocked word",
    "child": "a child",
    "celebrity": "a known person",
    "celebrity or child": "a known person or a child",
    "file missing": "file is gone",
    "filtered input": "prompt refused",
    "filtered output": "image withheld",
    "jailbreak": "an attempt to get around the rules",
    "model armor": "a rule of your organization",
    "no image": "no image came",
    "other": "usage policy",
    "people or face": "people or faces",
    "recitation": "too close to an existing work",
    "spii": "personal information",
    "third-party content": "a brand or a protected character",
    "transient exhausted": "service error",
    "unknown": "a reason that the service does not explain",
}

_PEOPLE_CODE: Final = "39322892"

# How a prompt can be changed, by the words of its category.
_REWORD: Final[Mapping[str, str]] = {
    "a blocked word": "Replace the word that the service blocks, often a name.",
    "a known person": "Describe the person by looks and clothes, without a name.",
    "a child": "Leave out ages and words for children, or show a grown-up or an animal.",
    "a known person or a child": "Leave out names, ages and words for children.",
    "too close to an existing work": "Leave out titles, artists and quotations; use words of your own.",
    "a brand or a protected character": "Leave out brands and characters of others, and describe what is to be seen.",
    "personal information": "Leave out names, numbers and addresses.",
    "violence": "Describe the moment before or after, without blood and weapons.",
    "sexual": "Describe clothing and posture plainly.",
    "a rule of your organization": "Ask who keeps the rules of your organization.",
}
_REWORD_INPUT: Final = "Reword the prompt: it was refused before an image was made."
_REWORD_OUTPUT: Final = (
    "An image was made and withheld. Reword the prompt, or redo it as it is: the next image may pass."
)
_ALLOW_PEOPLE: Final = "Put allow_adult into a person_generation column of this row, or show no people."

_BY_KIND: Final[Mapping[str, str]] = {
    "transient_exhausted": "The service failed. Redo sends the same prompt again.",
    "no_image": "No image came. Redo sends the same prompt again.",
    "bad_request": "The service did not accept the request: correct what it names, here or in the prompt file.",
    "file_missing": "Put the file back, or redo and pay for it again.",
    "over_budget": "Raise the limit, and the next run makes it.",
    "interrupted": "The next run makes it.",
    "in_flight": "Its reply is awaited.",
    "beyond_limit": "Raise --limit, and the next run makes it.",
    "not_named": "A run of the whole prompt file makes it.",
}
_BY_STATUS: Final[Mapping[str, str]] = {
    "failed": "Redo sends the same prompt again.",
    "unknown": "No reply arrived, and it may have been charged. The next run sends it again.",
    "skipped_budget": "Raise the limit, and the next run makes it.",
    "not_attempted": "The next run makes it.",
}


def category_in_words(record: Mapping[str, Any]) -> str | None:
    """Return the category by which a sample without an image can be filtered: that of its refusal or error."""
    if record["status"] == "ok":
        return None
    name = record.get("filter_category") or _specific_reason(record) or record.get("error_kind")
    if not name:
        return None
    return ", ".join(_in_words(part) for part in str(name).split(", "))


def advise(record: Mapping[str, Any]) -> str | None:
    """Return what can be done about a manifest row without an image; None for a row with its image."""
    status = record["status"]
    if status == "ok":
        return None
    if status == "filtered":
        return _advise_rewording(record)
    known = _BY_KIND.get(record.get("error_kind") or "") if status != "unknown" else None
    return known or _BY_STATUS.get(status)


def _advise_rewording(record: Mapping[str, Any]) -> str:
    if _PEOPLE_CODE in (record.get("filter_codes") or ""):
        return _ALLOW_PEOPLE
    general = _REWORD_INPUT if record.get("filter_stage") == "input" else _REWORD_OUTPUT
    hints = [hint for word in (category_in_words(record) or "").split(", ") if (hint := _REWORD.get(word))]
    return " ".join([*hints, general])


def _specific_reason(record: Mapping[str, Any]) -> str | None:
    """Return the finish reason of a refused sample, if it is more specific than a refusal."""
    reason = record.get("finishReason") if record["status"] == "filtered" else None
    return None if reason in {None, "", "STOP", "OTHER", "IMAGE_OTHER"} else str(reason)


def _in_words(name: str) -> str:
    plain = name
    for prefix in _PREFIXES:
        plain = plain.removeprefix(prefix)
    plain = plain.replace("_", " ").strip().lower() if plain.isupper() or "_" in plain else plain
    return _WORDS.get(plain.lower(), plain)
