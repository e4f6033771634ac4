"""Reads a reply's JSON, of which any part may be absent or odd.

Only `parse_answer` raises. Text encodings, wrappers and stray bytes around good JSON are read, because the reply has
been paid for and would come in the same form again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

import orjson

from imagen_batch.errors import Transient
from imagen_batch.providers.wire import base64_text as lifting

Json = Mapping[str, object]

_BOM = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n\0"
_ANTI_SCRIPT = ")]}'"  # the line that Google's servers put before JSON for browsers
_NESTED_ARRAYS = 2
_ONCE = frozenset({"responseId", "predictions"})  # each reply has its own
_LENIENT = json.JSONDecoder(strict=False, parse_constant=lambda _name: None)
_RATING_ENUMS = frozenset({"category", "probability", "severity", "blockReason", "finishReason"})
_DIGITS = re.compile(r"\d{1,15}", re.ASCII)
_BLANKS_ALLOWED = 20  # a text may be this many times longer than what is kept of it before it is looked at no further


def parse_answer(body: bytes, *, known: Collection[str], http_status: int) -> Json:
    """The JSON object that an answered request brought. Raises Transient when there is none.

    `known` are the names of which an answer has at least one, unless it is empty: another service's
    `{"status": "up"}` must not pass for pictures withheld.
    """
    if looks_like_markup(body):
        message = "a web page came back, not JSON: is a proxy or a sign-in page in between?"
        raise Transient(message, kind="not_json", http_status=http_status)
    answer = parse_object(body)
    if answer is None:
        message = f"the reply of {len(body)} bytes is not a whole JSON object"
        raise lost_answer(message, kind="bad_reply", http_status=http_status)
    if answer and not any(key in answer or _snake(key) in answer for key in ("error", *known)):
        message = f"the reply is JSON, but no answer to the request: {short(', '.join(answer), 100)}"
        raise lost_answer(message, kind="bad_reply", http_status=http_status)
    return answer


def lost_answer(message: str, *, kind: str, http_status: int) -> Transient:
    """The service did answer, so pictures were probably made and billed, but none can be read."""
    return Transient(message, kind=kind, http_status=http_status, maybe_charged=True)


def has_error(answer: Json) -> bool:
    """Whether an answer states an error. One of code 0 without a message is the form of "no error"."""
    error = dig(answer, "error")
    if not isinstance(error, dict):
        return bool(error)
    if dig(error, "code") == 0 and word(dig(error, "status")) in (None, "OK"):
        return False
    return any(value and not _is_unspecified(name, value) for name, value in error.items())


def parse_object(body: bytes) -> Json | None:
    """A JSON object, also one in an array, as some gateways wrap it. None for all else."""
    try:
        value = lifting.loads(body)
    except orjson.JSONDecodeError:
        value = _read_trimmed(body)
    if isinstance(value, str):  # JSON whose one text is the JSON meant
        value = _read_leniently(value.encode("utf-8", "replace"))
    return value if isinstance(value, dict) else _merge(value)


def _read_trimmed(body: bytes) -> Any:
    """The JSON between a byte-order mark, blanks and NULs; read leniently where that is not it."""
    try:
        return lifting.loads(body.strip(_BLANKS).removeprefix(_BOM).strip(_BLANKS))
    except orjson.JSONDecodeError:
        return _read_leniently(body)


def _read_leniently(body: bytes) -> Any:
    """The first JSON value of `body` in whatever encoding of Unicode; None where there is none.

    Tolerates what a strict parser refuses without need: invalid bytes or line breaks inside a text, halves of
    surrogate pairs, NaN, and anything after the value.
    """
    if lifting.has_too_many_values(body):
        return None
    guesses = (data.decode(json.detect_encoding(data), "replace") for data in (body, body.lstrip(b"\0")))
    trimmed = (words.strip(" \t\r\n\0\ufeff").removeprefix(_ANTI_SCRIPT).lstrip() for words in guesses)
    words = next((words for words in trimmed if words.startswith(("{", "[", "data:"))), "")
    if words.startswith("data:"):
        words = _events(words)
    try:
        value, end = _LENIENT.raw_decode(words)
        value = orjson.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    # An empty object means that everything was withheld: with anything behind it that would be a guess.
    return value if (value and value != [{}]) or end == len(words) else None


def _events(words: str) -> str:
    """The events of a stream as a JSON array."""
    events = (line.removeprefix("data:").strip() for line in words.splitlines() if line.startswith("data:"))
    return f"[{','.join(event for event in events if event and event != '[DONE]')}]"


def _merge(value: Any) -> Json | None:
    """The objects of an array as one: lists are joined, of anything else the last statement counts.

    None for anything but the parts of one reply: two replies must not answer one request.
    """
    found: dict[str, Any] = {}
    boxes: list[Any] = [value] if isinstance(value, list) else []
    for _ in range(_NESTED_ARRAYS):
        boxes = [item for box in boxes for item in (box if isinstance(box, list) else [box])]
    for item in boxes:
        if not isinstance(item, dict):
            return None
        for name, part in item.items():
            if name in _ONCE and found.get(name, part) != part:
                return None
            if isinstance(part, list) and isinstance(found.get(name), list):
                found[name].extend(part)
            else:
                found[name] = list(part) if isinstance(part, list) else part
    return found if boxes else None


def looks_like_markup(body: bytes) -> bool:
    """Whether it begins as HTML or XML does, in whatever encoding."""
    return body[:64].lstrip(_BLANKS + b"\xef\xbb\xbf\xff\xfe").startswith(b"<")


def dig(value: object, *path: str) -> object:
    """What lies at `path`, or None. A name may also be written in snake case, as some proxies do."""
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value[name] if name in value else value.get(_snake(name))
    return value


def objects(value: object) -> list[Json]:
    """The objects of a list, or one without a list around it; nothing for all else."""
    if isinstance(value, dict):
        return [value]
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(value: object) -> str | None:
    """A text that says something, trimmed, else None."""
    return (value.strip() or None) if isinstance(value, str) else None


def word(value: object) -> str | None:
    """The name that an enum's field states, in upper case. None where it states nothing.

    Every enum of the services has a value 0 named ..._UNSPECIFIED, which stands for an absent field (api: 8.4).
    """
    name = (text(value) or "").upper()
    if not name or name.endswith("UNSPECIFIED") or name == "0":
        return None
    return name


def stated(value: object) -> object:
    """`value` without fields, at any depth, whose enum is unspecified, nor objects in lists that are empty then."""
    if isinstance(value, list):
        kept = [stated(item) for item in value]
        return [item for item, before in zip(kept, value, strict=True) if item != {} or before == {}]
    if isinstance(value, dict):
        return {name: stated(item) for name, item in value.items() if not _is_unspecified(name, item)}
    return value


def _is_unspecified(name: str, value: object) -> bool:
    if isinstance(value, str):
        return value.upper().endswith("_UNSPECIFIED")
    return type(value) is int and value == 0 and name in _RATING_ENUMS


def count(value: object) -> int:
    """A number of things, also written as text; 0 when it is no such number."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def json_text(value: object) -> str | None:
    """`value` as JSON for keeping; None when there is nothing to keep."""
    if not value:
        return None
    try:
        orjson.dumps(value)  # refuses what is nested too deep for the walk below
        said = stated(value)
        return orjson.dumps(said).decode() if said else None
    except orjson.JSONEncodeError:  # nested deeper than can be written
        return None


def short(words: str, limit: int = 1000) -> str:
    """`words` on one line, cut to `limit` characters."""
    line = " ".join(words[: limit * _BLANKS_ALLOWED].split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def _snake(name: str) -> str:
    return re.sub(r"(?=[A-Z])", "_", name).lower()
