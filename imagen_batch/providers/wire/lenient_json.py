"""Reads a reply's JSON, of which any part may be absent or odd.

Only `parse_answer` raises. Text encodings, wrappers and stray bytes around good JSON are read, because the reply has
been paid for and would come in the same form again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

import orjson

from imagen_batch.errors import Transient
from imagen_batch.providers.wire import large_replies

Json = Mapping[str, object]

_BOM = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n\0"
_ANTI_SCRIPT = ")]}'"  # the line that Google's servers put before JSON for browsers
_NESTED_ARRAYS = 2
_ENVELOPES = ("response", "result", "data", "body", "output")  # names that gateways put around an answer
_UNIQUE_NAMES = frozenset({"responseId", "predictions"})  # two different ones belong to two replies
_LENIENT = json.JSONDecoder(strict=False, parse_constant=lambda _name: None)
_RATING_ENUMS = frozenset({"category", "probability", "severity", "blockReason", "finishReason"})
_DIGITS = re.compile(r"\d{1,15}", re.ASCII)
_BLANKS_ALLOWED = 20  # `shorten` reads this many times the length that it keeps


def parse_answer(body: bytes, *, known: Collection[str], http_status: int) -> Json:
    """Return the JSON object in the reply of a successful request. Raises Transient if there is none.

    A reply that is not empty has at least one of the names in `known`: `{"status": "up"}` from another service must
    not pass for filtered images.
    """
    if looks_like_markup(body):
        message = "a web page came back instead of JSON: is a proxy or a sign-in page in between?"
        raise Transient(message, kind="not_json", http_status=http_status)
    answer = parse_object(body)
    if answer is None:
        message = f"the reply of {len(body)} bytes is not a complete JSON object"
        raise unreadable_reply(message, kind="bad_reply", http_status=http_status)
    answer = _unwrap(answer, known)
    if answer and not any(key in answer or _snake(key) in answer for key in ("error", *known)):
        message = f"the reply is JSON, but not an answer to the request: {shorten(', '.join(answer), 100)}"
        raise unreadable_reply(message, kind="bad_reply", http_status=http_status)
    return answer


def _unwrap(answer: Json, known: Collection[str]) -> Json:
    """Return what a gateway's envelope holds: `{"response": {...}}` around an answer."""
    if any(key in answer or _snake(key) in answer for key in ("error", *known)):
        return answer
    inner = [value for name in _ENVELOPES if isinstance(value := answer.get(name), dict)]
    return next((value for value in inner if any(key in value or _snake(key) in value for key in known)), answer)


def unreadable_reply(message: str, *, kind: str, http_status: int) -> Transient:
    """Return the error for an answer that can't be read, although images were probably made and billed."""
    return Transient(message, kind=kind, http_status=http_status, maybe_charged=True)


def has_error(answer: Json) -> bool:
    """Return whether an answer states an error. One with code 0 and no message means "no error"."""
    error = dig(answer, "error")
    if not isinstance(error, dict):
        return bool(error)
    if dig(error, "code") == 0 and enum_name(dig(error, "status")) in (None, "OK"):
        return False
    return any(value and not _is_unspecified(name, value) for name, value in error.items())


def parse_object(body: bytes) -> Json | None:
    """Parse a JSON object, also one inside an array, as some gateways wrap it. None for anything else."""
    try:
        value = large_replies.loads(body)
    except orjson.JSONDecodeError:
        value = _parse_trimmed(body)
    if isinstance(value, str):  # JSON text that contains the actual JSON
        value = _parse_leniently(value.encode("utf-8", "replace"))
    return value if isinstance(value, dict) else _merge(value)


def _parse_trimmed(body: bytes) -> Any:
    """Parse JSON between a byte-order mark, blanks and NULs; parse leniently if that fails."""
    try:
        return large_replies.loads(body.strip(_BLANKS).removeprefix(_BOM).strip(_BLANKS))
    except orjson.JSONDecodeError:
        return _parse_leniently(body)


def _parse_leniently(body: bytes) -> Any:
    """Parse the first JSON value of `body`, in any encoding of Unicode; None if there is none.

    Accepts what a strict parser refuses: invalid bytes or line breaks inside a text, halves of surrogate pairs, NaN,
    and anything after the value.
    """
    if large_replies.has_too_many_values(body):
        return None
    decodings = (data.decode(json.detect_encoding(data), "replace") for data in (body, body.lstrip(b"\0")))
    trimmed = (words.strip(" \t\r\n\0\ufeff").removeprefix(_ANTI_SCRIPT).lstrip() for words in decodings)
    words = next((words for words in trimmed if words.startswith(("{", "[", "data:"))), "")
    if words.startswith("data:"):
        words = _events(words)
    try:
        value, end = _LENIENT.raw_decode(words)
        value = orjson.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    # An empty object means that every image was filtered. With anything behind it, that would be a guess.
    return value if (value and value != [{}]) or end == len(words) else None


def _events(words: str) -> str:
    """Return the events of a stream as a JSON array."""
    events = (line.removeprefix("data:").strip() for line in words.splitlines() if line.startswith("data:"))
    return f"[{','.join(event for event in events if event and event != '[DONE]')}]"


def _merge(value: Any) -> Json | None:
    """Merge the objects of an array into one: lists are joined, of other values the last one counts.

    None if they are not the parts of one reply: two replies must not answer one request.
    """
    merged: dict[str, Any] = {}
    items: list[Any] = [value] if isinstance(value, list) else []
    for _ in range(_NESTED_ARRAYS):
        items = [item for outer in items for item in (outer if isinstance(outer, list) else [outer])]
    for item in items:
        if not isinstance(item, dict):
            return None
        for name, part in item.items():
            if name in _UNIQUE_NAMES and merged.get(name, part) != part:
                return None
            if isinstance(part, list) and isinstance(merged.get(name), list):
                merged[name].extend(part)
            else:
                merged[name] = list(part) if isinstance(part, list) else part
    return merged if items else None


def looks_like_markup(body: bytes) -> bool:
    """Return whether `body` begins as HTML or XML does, in any encoding."""
    return body[:64].lstrip(_BLANKS + b"\xef\xbb\xbf\xff\xfe").startswith(b"<")


def dig(value: object, *path: str) -> object:
    """Return the value at `path`, or None. Names in snake case, as some proxies write them, are found too."""
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value[name] if name in value else value.get(_snake(name))
    return value


def as_objects(value: object) -> list[Json]:
    """Return the objects of a list, or a single object as a list; an empty list for anything else."""
    if isinstance(value, dict):
        return [value]
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def as_text(value: object) -> str | None:
    """Return a text without surrounding blanks; None for an empty one or anything else."""
    return (value.strip() or None) if isinstance(value, str) else None


def enum_name(value: object) -> str | None:
    """Return the name in an enum's field, in upper case; None if it is unspecified.

    Every enum of the services has a value 0 named ..._UNSPECIFIED, which stands for an absent field. (api: 8.4)
    """
    name = (as_text(value) or "").upper()
    if not name or name.endswith("UNSPECIFIED") or name == "0":
        return None
    return name


def drop_unspecified(value: object) -> object:
    """Return `value` without unspecified enum fields, at any depth, and without list items that become empty."""
    if isinstance(value, list):
        cleaned = [drop_unspecified(item) for item in value]
        return [item for item, before in zip(cleaned, value, strict=True) if item != {} or before == {}]
    if isinstance(value, dict):
        return {name: drop_unspecified(item) for name, item in value.items() if not _is_unspecified(name, item)}
    return value


def _is_unspecified(name: str, value: object) -> bool:
    if isinstance(value, str):
        return value.upper().endswith("_UNSPECIFIED")
    return type(value) is int and value == 0 and name in _RATING_ENUMS


def as_count(value: object) -> int:
    """Return a count, also one written as text; 0 for anything else."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def json_text(value: object) -> str | None:
    """Return `value` as JSON text to store; None if there is nothing to store."""
    if not value:
        return None
    try:
        orjson.dumps(value)  # refuses values that are nested too deep for the recursion below
        specified = drop_unspecified(value)
        return orjson.dumps(specified).decode() if specified else None
    except orjson.JSONEncodeError:  # nested too deep
        return None


def shorten(words: str, limit: int = 1000) -> str:
    """Return `words` on one line, shortened to `limit` characters."""
    line = " ".join(words[: limit * _BLANKS_ALLOWED].split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


@lru_cache(maxsize=256)
def _snake(name: str) -> str:
    return re.sub(r"(?=[A-Z])", "_", name).lower()
