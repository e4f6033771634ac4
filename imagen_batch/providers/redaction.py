"""Removes the key from every text of a service's reply, after decoding and before anything can store it.

Raw bytes can't be searched for it, because JSON has many spellings of one text (`\\/`, `\\u0041`). The bytes of an
image are never changed.
"""

from __future__ import annotations

import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from html import escape
from typing import Any, cast

import orjson

from imagen_batch.errors import AttemptError
from imagen_batch.records import NoImage, ReceivedImage, Reply

SHOWN = "[key]"
_MIN_REVEALING = 4  # characters of a key at the end of a text that was shortened
_CUT = "…"
_UNIQUE = 16  # characters; no other text equals a key of this length, in any letter case

# The fields with text from the service. The others are ours, and might contain a short key by chance.
_SERVICE_TEXTS: dict[type, tuple[str, ...]] = {
    ReceivedImage: ("mime_type", "finish_reason", "safety", "note"),
    NoImage: ("reason", "category", "codes", "finish_reason", "safety"),
    Reply: ("model_version", "prompt_safety", "response_id"),
}
_JSON = ("safety", "prompt_safety")

Redact = Callable[[str], str]


def redact(text: str, secret: str) -> str:
    """Return `text` without `secret`, and without its beginning if the text was shortened within it."""
    if not secret:
        return text
    if _may_contain(text, secret):
        text = _pattern(secret).sub(SHOWN, text)
    for encoded in _encodings(secret):
        text = text.replace(encoded, SHOWN)
    if text.endswith(_CUT):
        for length in range(min(len(secret), len(text)) - 1, _MIN_REVEALING - 1, -1):
            if text.endswith(secret[:length] + _CUT):
                return text[: -length - 1] + SHOWN + _CUT
    return text


@lru_cache(maxsize=8)
def _encodings(secret: str) -> tuple[str, ...]:
    """Return other forms in which a service may echo a key: base64, with both alphabets, and hexadecimal."""
    if len(secret) < _UNIQUE:
        return ()
    data = secret.encode()
    plain, web = (encode(data).decode().rstrip("=") for encode in (b64encode, urlsafe_b64encode))
    return tuple(dict.fromkeys((plain, web, data.hex(), data.hex().upper())))


def redact_reply(reply: Reply, by: Redact) -> Reply:
    """Return `reply` with every text in it redacted."""
    samples = tuple(_redact_texts(sample, by) for sample in reply.samples)
    return cast("Reply", replace(_redact_texts(reply, by), samples=samples))


def redact_error(error: AttemptError, by: Redact) -> None:
    """Redact the message of `error`, in place: its class and its facts are the decision and stay."""
    error.args = tuple(by(word) if isinstance(word, str) else word for word in error.args)


def _redact_texts(value: Any, by: Redact) -> Any:
    changes: dict[str, Any] = {}
    for name in _SERVICE_TEXTS[type(value)]:
        old = getattr(value, name)
        new = _redact_value(old, by, json=name in _JSON)
        if new != old:
            changes[name] = new
    return replace(value, **changes) if changes else value


def _redact_value(value: Any, by: Redact, *, json: bool = False) -> Any:
    if isinstance(value, str):
        return _redact_json(value, by) if json else by(value)
    if isinstance(value, dict):
        return {by(name): _redact_value(inner, by) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_redact_value(inner, by) for inner in value)
    return value


def _redact_json(text: str, by: Redact) -> str:
    """Redact JSON so that it stays JSON: a short key may occur in the middle of an escape."""
    redacted = by(text)
    if redacted == text:
        return text
    try:
        return orjson.dumps(_redact_value(orjson.loads(text), by)).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return redacted


@lru_cache(maxsize=8)
def _pattern(secret: str) -> re.Pattern[str]:
    """Return a pattern for the secret, in which each character may be escaped as in JSON, URLs or HTML.

    A text inside a text (a gateway that quotes the service's JSON) is decoded only once.
    """
    flags = re.IGNORECASE if len(secret) >= _UNIQUE else 0
    return re.compile("".join(map(_spellings, secret)), flags)


def _spellings(letter: str) -> str:
    # Each alternative begins differently, so that matching never backtracks.
    code, before = ord(letter), "" if letter == "\\" else r"\\{0,3}"
    spellings = [
        before + re.escape(letter),
        re.escape(escape(letter)),
        rf"\\{{1,3}}u(?i:{code:04x})",
        f"%(?i:{code:02x})",
        f"&#(?:0{{0,4}}{code}|(?i:x0{{0,4}}{code:x}));",
    ]
    return f"(?:{'|'.join(spellings)})"


def _may_contain(text: str, secret: str) -> bool:
    if "\\" in text or "%" in text or "&" in text:
        return True
    return secret in text or (len(secret) >= _UNIQUE and secret.lower() in text.lower())
