"""Names that images already have, and how a name that is taken is told apart."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

_SEGMENT_TAIL = re.compile(r"[.\s]+(?=/|$)")


class TakenNames:
    """The names given so far, compared as the strictest disk does. A hash for each is kept."""

    def __init__(self) -> None:
        self._taken: set[int] = set()

    def __contains__(self, name: str) -> bool:
        """Whether some disk would take `name` for one that was given."""
        return hash(folded_name(name)) in self._taken

    def add(self, name: str) -> None:
        """Give `name`."""
        self._taken.add(hash(folded_name(name)))

    def claim(self, names: Iterable[str]) -> bool:
        """Give all of `names`; False, and none is given, where one of them is taken."""
        hashes = {hash(folded_name(name)) for name in names}
        if self._taken.isdisjoint(hashes):
            self._taken |= hashes
            return True
        return False


def folded_name(name: str) -> str:
    """What all spellings that some disk takes for one name have in common.

    Letter case in any script, composed and decomposed letters, dots and spaces at the end of a segment, characters
    that have no width.
    """
    if name.isascii():
        return _SEGMENT_TAIL.sub("", name.lower())
    # Disks that compare upper case take the dotless i for an I; those that compare lower case, the dotted I for an i.
    folded = unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold().upper().casefold())
    visible = "".join(char for char in folded if unicodedata.category(char) != "Cf")
    return _SEGMENT_TAIL.sub("", visible.replace("i\u0307", "i"))


def with_key(name: str, key: str) -> str:
    """The same name with the start of the key, for one that is taken: `a/b.png`, `a/b_3f2a9c1d.png`."""
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}_{key[:8]}{path.suffix}"))
