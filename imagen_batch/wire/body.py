"""What is in a reply's JSON, when any part of it may be absent or odd?

Everything here looks and never complains, but for `parse_answer` and `picture_bytes`.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Collection, Mapping

import orjson
import pybase64

from imagen_batch.errors import Transient
from imagen_batch.wire import lifting

Json = Mapping[str, object]

_BLANKS = 20  # a text may be this many times longer than what is kept of it before it is looked at no further


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


def parse_object(body: bytes) -> Json | None:
    """A JSON object, also one alone in an array, as some gateways wrap it. None for all else."""
    try:
        value = lifting.loads(body)
    except orjson.JSONDecodeError:
        return None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, dict) else None


def looks_like_markup(body: bytes) -> bool:
    """Whether it begins as HTML or XML does."""
    return body[:64].removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")


def picture_bytes(text: object) -> bytes | None:
    """A picture out of its base64. None when it is damaged or empty."""
    if not isinstance(text, str | memoryview):
        return None
    try:
        return pybase64.b64decode(text, validate=True) or None
    except (binascii.Error, UnicodeEncodeError):
        return None


def dig(value: object, *path: str) -> object:
    """What lies at `path`, or None. A name may also be written in snake case, as some proxies do."""
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value[name] if name in value else value.get(_snake(name))
    return value


def objects(value: object) -> list[Json]:
    """The objects of a list; nothing when there is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(value: object) -> str | None:
    """A text that says something, trimmed, else None."""
    return (value.strip() or None) if isinstance(value, str) else None


def count(value: object) -> int:
    """A number of things; 0 when it is no such number."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def json_text(value: object) -> str | None:
    """`value` as JSON for keeping; None when there is nothing to keep."""
    if not value:
        return None
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # nested deeper than can be written
        return None


def short(words: str, limit: int = 1000) -> str:
    """`words` on one line, cut to `limit` characters."""
    line = " ".join(words[: limit * _BLANKS].split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def _snake(name: str) -> str:
    return re.sub(r"(?=[A-Z])", "_", name).lower()
