"""Reads files that are not tables: one prompt a line, or one JSON object a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagen_batch.errors import InputInvalid
from imagen_batch.prompts.column_names import looks_secret
from imagen_batch.prompts.formats.bounded_lines import LineTooLong, bounded_lines
from imagen_batch.prompts.formats.delimited import Record
from imagen_batch.records import Problem

_MAX_DEPTH = 64
_MAX_KEYS = 16_384  # as many as the widest spreadsheet has columns
_TOO_DEEP = f"lists or objects are nested too deeply: at most {_MAX_DEPTH} levels"
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class TooDeep(ValueError):
    """The value of a key is nested too deeply."""

    def __init__(self, key: str) -> None:
        super().__init__(_TOO_DEEP)
        self.key = key


@dataclass(frozen=True, slots=True)
class PlainLines:
    """One prompt a line; blank lines are skipped but counted."""

    path: Path
    encoding: str
    header: tuple[str, ...] = ("prompt",)

    def records(self) -> Iterator[Record | Problem]:
        """Yield every line that is not blank."""
        try:
            for number, line in numbered_lines(self.path, self.encoding):
                yield Record(number, [line.rstrip("\r\n")])
        except LineTooLong as exc:
            yield Problem(exc.number, None, None, str(exc))


@dataclass(frozen=True, slots=True)
class JsonLines:
    """One object a line; `header` has the keys of all of them in order of first appearance."""

    path: Path
    encoding: str
    header: tuple[str, ...] = ()

    def records(self) -> Iterator[Record | Problem]:
        """Yield every object as cells in the header's order, "" for a missing key; a Problem for a bad line."""
        for number, line in numbered_lines(self.path, self.encoding):
            try:
                texts = _texts(line)
            except TooDeep as exc:
                yield Problem(number, exc.key, None, _TOO_DEEP)
                continue
            except ValueError as exc:
                yield Problem(number, None, None, f"not a JSON object: {exc}")
                continue
            yield Record(number, [texts.get(key, "") for key in self.header])


def read_json_lines(path: Path, encoding: str) -> JsonLines:
    """Read all keys once. Lines that are not objects are reported by `records`."""
    keys: dict[str, None] = {}
    for number, line in numbered_lines(path, encoding):
        try:
            keys.update(dict.fromkeys(_object(line)))
        except ValueError:
            continue
        if len(keys) > _MAX_KEYS:
            message = f"more than {_MAX_KEYS:,} different keys up to this line; each would be a column of the tables"
            raise InputInvalid([Problem(number, None, None, message)])
    return JsonLines(path, encoding, tuple(keys))


def numbered_lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Yield the number and text of each line that is not blank."""
    with path.open(encoding=encoding, newline="") as file:
        yield from ((number, line) for number, line in enumerate(bounded_lines(file), 1) if not line.isspace())


def _texts(line: str) -> dict[str, str]:
    """Return the object's values as text, without those that are null."""
    texts = {}
    for key, value in _object(line).items():
        if value is not None:
            if _depth(value) > _MAX_DEPTH:
                raise TooDeep(key)
            texts[key] = value if isinstance(value, str) else _json(value)
    if "\\u" in line and any(_SURROGATE.search(text) for text in (*texts, *texts.values())):
        raise ValueError("half of a surrogate pair, which is not a character")
    return texts


def _depth(value: Any) -> int:
    """Return how deeply lists and objects are nested; without recursion, and only up to the limit."""
    depth, level = 0, [value]
    while level and depth <= _MAX_DEPTH:
        level = [child for each in level for child in _children(each)]
        depth += bool(level)
    return depth


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, list):
        return value
    return value.values() if isinstance(value, dict) else ()


def without_secrets(line: str) -> str:
    """Return the object of a line as JSON text, without members that look like secrets, at any depth."""
    return _json(_object(line))


def _object(line: str) -> dict[str, Any]:
    try:
        value = _DECODER.decode(line)
    except json.JSONDecodeError as exc:
        raise ValueError(f"{exc.msg} at character {exc.colno}") from None
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if not isinstance(value, dict):
        raise ValueError('each line must be an object like {"prompt": "a fox"}')  # noqa: TRY004 - input, not a bug
    return value


def _json(value: Any) -> str:
    """Return a value as JSON text, without members that look like secrets."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(_json(inner) for inner in value)}]"
    if isinstance(value, dict):
        members = (f"{_json(key)}: {_json(inner)}" for key, inner in value.items() if not looks_secret(key))
        return f"{{{', '.join(members)}}}"
    return json.dumps(value, ensure_ascii=False)


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(members)
    if len(unique) < len(members):
        raise ValueError("it has the same key twice")
    return unique


class _Number(str):
    """A number as the file spells it: 1e5 stays 1e5."""

    __slots__ = ()


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_Number, parse_float=_Number, parse_constant=_Number)
