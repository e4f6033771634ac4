"""Decides to which split an image belongs; added rows do not change the split of others.

A ratio depends only on the hash of one column of the row (the prompt): rows keep their split when others are added or
removed, and samples of one prompt are never in two splits.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from imagen_batch.errors import SettingsInvalid
from imagen_batch.exports.options import Options
from imagen_batch.exports.rows.manifest import describe_missing_column
from imagen_batch.text import shorten

Assign = Callable[[Mapping[str, Any]], str]
CellText = Callable[[Mapping[str, Any], str], str]

DEFAULT = "train"
_NAME = re.compile(r"[A-Za-z0-9_]{1,60}")
_MAX_SPLITS = 64  # each has open files


def _plain_text(row: Mapping[str, Any], column: str) -> str:
    return "" if row[column] is None else str(row[column])


def make_assign(options: Options, names: list[str], text: CellText = _plain_text, *, divided: bool = True) -> Assign:
    """Return the function from manifest row to split.

    Without an option a column `split` decides, also one that is called `Split`, if there is one and the output is
    `divided` by it.

    `text` returns a cell of a row as it stands in the prompt file.
    """
    if options.split:
        return _by_ratio(
            parse_ratios(options.split), _require_column(options.split_by, names, option="--split-by"), text
        )
    if options.split_column:
        return _by_column(_require_column(options.split_column, names, option="--split-column"), text)
    own = next((name for name in ("split", *names) if name in names and name.lower() == "split"), None)
    return _by_column(own, text) if divided and own is not None else lambda _row: DEFAULT


def parse_ratios(text: str) -> dict[str, float]:
    """Parse `train=0.9,test=0.1` into shares that add up to one. Raises SettingsInvalid."""
    ratios: dict[str, float] = {}
    for part in text.split(","):
        name, _, share = (piece.strip() for piece in part.partition("="))
        if name.lower() in map(str.lower, ratios):
            raise SettingsInvalid(f"--split {text!r}: {name} stands in it twice")
        ratios[_check_name(name, where=f"--split {text!r}")] = _share(share, text)
    if not math.isclose(sum(ratios.values()), 1.0, abs_tol=1e-6):
        raise SettingsInvalid(f"--split {text!r}: the shares add up to {sum(ratios.values()):g} instead of 1")
    return ratios


def _share(text: str, whole: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        raise SettingsInvalid(f"--split {whole!r}: expected NAME=SHARE,... with shares between 0 and 1")
    return share


def _by_ratio(ratios: dict[str, float], column: str, text: CellText) -> Assign:
    def assign(row: Mapping[str, Any]) -> str:
        digest = hashlib.sha256(text(row, column).encode(errors="surrogatepass")).digest()
        left = int.from_bytes(digest[:7], "big") / 2**56
        for name, share in ratios.items():
            left -= share
            if left < 0:
                return name
        return next(reversed(ratios))

    return assign


def _by_column(column: str, text: CellText) -> Assign:
    seen: dict[str, str] = {}  # in lower case -> as written

    def assign(row: Mapping[str, Any]) -> str:
        name = text(row, column).strip() or DEFAULT
        if seen.get(name.lower()) != name:
            _add_name(seen, name, row, column)
        return name

    return assign


def _add_name(seen: dict[str, str], name: str, row: Mapping[str, Any], column: str) -> None:
    where = f"row {row['row']}{' (' + shorten(str(row['id']), 60) + ')' if row.get('id') else ''}, column {column}"
    _check_name(name, where=where, remedy=_REMEDY)
    earlier = seen.setdefault(name.lower(), name)
    if earlier != name:
        raise SettingsInvalid(
            f"{where}: {name!r} and {earlier!r} of an earlier row differ only in case: write both alike{_REMEDY}"
        )
    if len(seen) > _MAX_SPLITS:
        raise SettingsInvalid(
            f"column {column} has more than {_MAX_SPLITS} different values: it names no splits{_REMEDY}"
        )


_REMEDY = ". Correct the prompt file and run it again (no image is made again), or use --split train=0.9,test=0.1"


def _check_name(name: str, *, where: str, remedy: str = "") -> str:
    if not _NAME.fullmatch(name) or name.lower() == "all":
        raise SettingsInvalid(
            f"{where}: {name[:80]!r} is no split's name; use letters, digits and _, such as train, validation or "
            f"test (all means every split together){remedy}"
        )
    return name


def _require_column(column: str, names: list[str], *, option: str) -> str:
    if column not in names:
        raise SettingsInvalid(f"{option}: {describe_missing_column(column, names)}")
    return column
