"""Reorders the characters of a line with right-to-left text as they are drawn.

This is a part of the Unicode bidirectional algorithm: words of one direction stay together, numbers read from left
to right. Embeddings are not needed, because direction marks are removed from all captions. Arabic letters are not
joined.
"""

from __future__ import annotations

import unicodedata
from itertools import groupby

_RIGHT = frozenset({"R", "AL"})
_LEFT = frozenset({"L", "EN", "AN"})
_MIRRORED = str.maketrans("()[]{}<>«»", ")(][}{><»«")


def visual_order(line: str) -> str:
    """Return the line as it is drawn from left to right; unchanged if it has no right-to-left characters."""
    directions = [_direction(char) for char in line]
    if "R" not in directions:
        return line
    base = next(direction for direction in directions if direction)
    resolved = _resolve(directions, base)
    runs = [
        (direction, "".join(char for _, char in pairs))
        for direction, pairs in groupby(zip(resolved, line, strict=True), key=lambda pair: pair[0])
    ]
    drawn = [text if direction == "L" else _reverse(text) for direction, text in runs]
    return "".join(reversed(drawn) if base == "R" else drawn)


def _direction(char: str) -> str:
    """Return L or R, or an empty string for a character that takes the direction of its neighbors."""
    kind = unicodedata.bidirectional(char)
    return "R" if kind in _RIGHT else "L" if kind in _LEFT else ""


def _resolve(directions: list[str], base: str) -> list[str]:
    """Give neutral characters between two of the same direction that direction, and others that of the line."""
    resolved: list[str] = []
    before = base
    for direction, group in groupby(enumerate(directions), key=lambda pair: pair[1]):
        members = list(group)
        if direction:
            before = direction
            resolved += [direction] * len(members)
        else:
            after = next((each for each in directions[members[-1][0] + 1 :] if each), base)
            resolved += [before if before == after else base] * len(members)
    return resolved


def _reverse(text: str) -> str:
    """Return the clusters of a right-to-left run in reverse; marks stay after their letter, brackets are mirrored."""
    clusters: list[str] = []
    for char in text:
        if clusters and unicodedata.combining(char):
            clusters[-1] += char
        else:
            clusters.append(char)
    return "".join(reversed(clusters)).translate(_MIRRORED)
