"""How a style is put behind a prompt."""

from __future__ import annotations

import re

_SENTENCE_ENDS = re.compile(r"[.!?;:…。！？；：][\"'”’»)\]]*$")
_COMMA = (",", "、", "，")


def with_style(prompt: str, style: str | None) -> str:
    """Prompt and style as they are sent: a comma in between, unless the prompt ends with a mark of its own."""
    if not style:
        return prompt
    if prompt.endswith(_COMMA) or _SENTENCE_ENDS.search(prompt):
        return f"{prompt} {style}"
    return with_comma(prompt, style)


def with_comma(prompt: str, style: str) -> str:
    """The same as earlier versions did it, whatever the prompt ends with."""
    return f"{prompt}, {style}"
