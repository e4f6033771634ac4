"""Joins a prompt and its style into the text that is sent."""

from __future__ import annotations

import re

_SENTENCE_ENDS = re.compile(r"[.!?;:…。！？；：][\"'”’»)\]]*$")
_COMMA = (",", "、", "，")


def with_style(prompt: str, style: str | None) -> str:
    """Return the text to send: a comma goes between the two, unless the prompt ends with punctuation of its own."""
    if not style:
        return prompt
    if prompt.endswith(_COMMA) or _SENTENCE_ENDS.search(prompt):
        return f"{prompt} {style}"
    return with_comma(prompt, style)


def with_comma(prompt: str, style: str) -> str:
    """Join the two as earlier versions did: always with a comma."""
    return f"{prompt}, {style}"
