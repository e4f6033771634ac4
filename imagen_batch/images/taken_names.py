"""Tracks the file names of images and makes a taken name unique."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

_VERSION = re.compile(r"_v[0-9]+$")
_SEGMENT_TAIL = re.compile(r"[.\s]+(?=/|$)")


class TakenNames:
    """The names used so far, compared as the strictest file system does. Keeps one hash per name."""

    def __init__(self) -> None:
        self._taken: set[int] = set()

    def __contains__(self, name: str) -> bool:
        """Whether some file system would treat `name` as one of the names used so far."""
        return hash(folded_name(name)) in self._taken

    def add(self, name: str) -> None:
        """Mark `name` as used."""
        self._taken.add(hash(folded_name(name)))

    def claim(self, names: Iterable[str]) -> bool:
        """Mark all of `names` as used; if one of them is taken, return False and mark none."""
        hashes = {hash(folded_name(name)) for name in names}
        if self._taken.isdisjoint(hashes):
            self._taken |= hashes
            return True
        return False


def folded_name(name: str) -> str:
    """Return one form for all spellings that some file system treats as the same name.

    Ignores letter case in any script, composed versus decomposed letters, dots and spaces at the end of a segment,
    and characters without width.
    """
    if name.isascii():
        return _SEGMENT_TAIL.sub("", name.lower())
    # File systems that compare upper case treat the dotless i as I; those that compare lower case, the dotted I as i.
    folded = unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold().upper().casefold())
    visible = "".join(char for char in folded if unicodedata.category(char) != "Cf")
    return _SEGMENT_TAIL.sub("", visible.replace("i\u0307", "i"))


def carries_key(stem: str, key: str) -> bool:
    """Whether a name without extension ends with the start of a request's key: then no other image can have it.

    The number of a further version may follow: `000001_01_3f2a9c1d_v2`.
    """
    return _VERSION.sub("", stem).endswith(f"_{key[:8]}")


def with_key(name: str, key: str) -> str:
    """Append the start of the key to a name that is taken: `a/b.png` becomes `a/b_3f2a9c1d.png`."""
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}_{key[:8]}{path.suffix}"))
