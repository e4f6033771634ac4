"""Takes the key out of every text of a service's answer, after it is decoded and before anyone can write it down.

Raw bytes are no place for it: JSON writes one text in many ways (`\\/`, `\\u0041`). A picture's bytes are never
touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from html import escape
from typing import Any, cast

import orjson

from imagen_batch.errors import AttemptError
from imagen_batch.records import NoImage, Picture, Reply

SHOWN = "[key]"
_LEAST_REVEALING = 4  # characters of a key that stand at the end of a text that was cut
_CUT = "…"
_SURELY_A_KEY = 16  # characters; nothing else reads like it, in small letters either

# The fields that a service's words get into; the others are ours, and a short key may be a part of them.
_WORDS: dict[type, tuple[str, ...]] = {
    Picture: ("mime_type", "finish_reason", "safety", "note"),
    NoImage: ("reason", "category", "codes", "finish_reason", "safety"),
    Reply: ("model_version", "prompt_safety"),
}
_JSON = ("safety", "prompt_safety")

Redact = Callable[[str], str]


def redact(text: str, secret: str) -> str:
    """`text` without `secret`, also without its beginning where the text was cut within it."""
    if not secret:
        return text
    if _may_hold(text, secret):
        text = _pattern(secret).sub(SHOWN, text)
    if text.endswith(_CUT):
        for length in range(min(len(secret), len(text)) - 1, _LEAST_REVEALING - 1, -1):
            if text.endswith(secret[:length] + _CUT):
                return text[: -length - 1] + SHOWN + _CUT
    return text


def redact_reply(reply: Reply, by: Redact) -> Reply:
    """`reply` with every text in it redacted."""
    samples = tuple(_redact_words(sample, by) for sample in reply.samples)
    return cast("Reply", replace(_redact_words(reply, by), samples=samples))


def redact_error(error: AttemptError, by: Redact) -> None:
    """Redact the words of `error`, in place: its class and its facts are the decision and stay."""
    error.args = tuple(by(word) if isinstance(word, str) else word for word in error.args)


def _redact_words(value: Any, by: Redact) -> Any:
    changes: dict[str, Any] = {}
    for name in _WORDS[type(value)]:
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
    """JSON stays JSON: a short key may stand in the middle of an escape."""
    clean = by(text)
    if clean == text:
        return text
    try:
        return orjson.dumps(_redact_value(orjson.loads(text), by)).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return clean


@lru_cache(maxsize=8)
def _pattern(secret: str) -> re.Pattern[str]:
    """The secret, each of whose characters may be written as JSON, URLs or HTML write it.

    Texts that hold other texts (a gateway that quotes the service's JSON) are decoded only once.
    """
    flags = re.IGNORECASE if len(secret) >= _SURELY_A_KEY else 0
    return re.compile("".join(map(_written, secret)), flags)


def _written(letter: str) -> str:
    # Every alternative begins differently, so nothing is tried twice.
    code, before = ord(letter), "" if letter == "\\" else r"\\{0,3}"
    ways = [
        before + re.escape(letter),
        re.escape(escape(letter)),
        rf"\\{{1,3}}u(?i:{code:04x})",
        f"%(?i:{code:02x})",
        f"&#(?:0{{0,4}}{code}|(?i:x0{{0,4}}{code:x}));",
    ]
    return f"(?:{'|'.join(ways)})"


def _may_hold(text: str, secret: str) -> bool:
    if any(mark in text for mark in "\\%&"):
        return True
    return secret in text or (len(secret) >= _SURELY_A_KEY and secret.lower() in text.lower())
