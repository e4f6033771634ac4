"""How are counts said?"""

from __future__ import annotations


def plural(count: int, noun: str) -> str:
    """A count with its noun: "1 picture", "1,632 pictures"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
