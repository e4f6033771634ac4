"""Makes variants of each row: `--matrix style=ink,watercolor --matrix seed=1..4` makes eight rows of one.

A variant is a row of its own, whose id joins the id of its row and its values. The values replace those that the row
has in these columns.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, Final

from imagen_batch.errors import SettingsInvalid
from imagen_batch.expansion.style_and_character_files import read_text
from imagen_batch.prompts import PromptFile
from imagen_batch.prompts.column_names import ALIASES, SHAPE_COLUMN, fold, looks_secret
from imagen_batch.prompts.record_to_row import parse_role
from imagen_batch.records import Options, Problem, PromptRow
from imagen_batch.text import plural

_MAX_VARIANTS: Final = 100_000  # of a row
_MAX_ROWS: Final = 5_000_000
_RANGE = re.compile(r"(\d{1,10})\s*\.\.\s*(\d{1,10})")
_REFUSED_ROLES = {
    "prompt": "use --template with a column of your own: --matrix animal=fox,hare and {{ animal }}",
    "id": "each variant gets its own id",
    "filename": "use --name-template for file names",
}
_NOT_IN_ID = re.compile(r"[^\w.]+")
_MAX_IN_ID = 30
_OPTIONS = frozenset(option.name for option in fields(Options))


@dataclass(frozen=True, slots=True)
class Axis:
    """A column and the values that variants have in it."""

    name: str  # as the user wrote it
    values: tuple[str, ...]

    @property
    def role(self) -> str | None:
        """The role of the column; None for the user's own."""
        return next((role for role, names in ALIASES.items() if fold(self.name) in names), None)

    def as_option(self) -> str:
        """Return the axis as an option that needs no file, as a run stores it."""
        line = io.StringIO(newline="")
        csv.writer(line, lineterminator="", quoting=csv.QUOTE_ALL).writerow(self.values)  # "@home" is not a file
        return f"{self.name}={line.getvalue()}"

    def id_parts(self) -> list[str]:
        """Return each value as it appears in the ids of variants."""
        ids: list[str] = []
        for number, value in enumerate(self.values, 1):
            short = _NOT_IN_ID.sub("-", value.lower().replace(":", "x")).strip("-")[:_MAX_IN_ID].strip("-")
            ids.append(short if short and short not in ids else f"{short}-{number}".strip("-"))
        return ids


@dataclass(frozen=True, slots=True)
class _Change:
    """The changes that make one variant of a row."""

    id: str
    cells: Mapping[str, str]
    user: Mapping[str, str]
    row_fields: Mapping[str, Any]
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Matrix:
    """The product of axes, the first one slowest."""

    axes: tuple[Axis, ...]

    @property
    def variants(self) -> int:
        """How many variants each row has."""
        return prod(len(axis.values) for axis in self.axes)

    def describe(self, rows: int) -> str:
        """Return a line for the plan: rows, times the values of each axis."""
        axes = " x ".join(f"{axis.name} {len(axis.values)}" for axis in self.axes)
        return f"{plural(rows // self.variants, 'row')} x {self.variants} ({axes})"

    def apply_to(self, file: PromptFile) -> PromptFile:
        """Return the file with variants as rows. The rows of a failures.csv are variants already."""
        if file.failures:
            return file
        headers = [self._header(axis, file) for axis in self.axes]
        id_header = file.roles.get("id", "id")
        added = [name for name in dict.fromkeys([*headers, id_header]) if name not in file.columns]
        own = [header for axis, header in zip(self.axes, headers, strict=True) if axis.role is None]
        roles = {axis.role: header for axis, header in zip(self.axes, headers, strict=True) if axis.role}
        replaced = [header for header in headers if header in file.columns]
        warnings = [f"--matrix replaces the values of rows in the column {header!r}" for header in replaced]
        changes = self._changes(headers)
        return replace(
            file,
            columns=(*file.columns, *added),
            user_columns=tuple(dict.fromkeys([*file.user_columns, *own])),
            roles={**file.roles, **roles, "id": id_header},
            warnings=(*file.warnings, *warnings),
            expand=lambda rows: _variants(rows, changes, id_header),
        )

    def _header(self, axis: Axis, file: PromptFile) -> str:
        if axis.role is not None:
            return file.roles.get(axis.role, axis.role)
        return next((header for header in file.user_columns if fold(header) == fold(axis.name)), axis.name)

    def _changes(self, headers: Sequence[str]) -> list[_Change]:
        columns = [
            [(axis.role, header, value, part) for value, part in zip(axis.values, axis.id_parts(), strict=True)]
            for axis, header in zip(self.axes, headers, strict=True)
        ]
        return [_change(combination) for combination in product(*columns)]


def read_matrix(options: Sequence[str]) -> Matrix | None:
    """Return the matrix of options such as `style=ink,watercolor`; None without any. Raises SettingsInvalid."""
    axes = [_read_axis(option) for option in options]
    names = [axis.role or fold(axis.name) for axis in axes]
    if duplicate := next((name for name in names if names.count(name) > 1), None):
        raise SettingsInvalid(f"--matrix gives {duplicate} twice: list all of its values in one option")
    count = prod(len(axis.values) for axis in axes)
    if count > _MAX_VARIANTS:
        sizes = " x ".join(str(len(axis.values)) for axis in axes)
        raise SettingsInvalid(
            f"--matrix makes {count:,} variants of each row ({sizes}), and at most {_MAX_VARIANTS:,} are possible"
        )
    return Matrix(tuple(axes)) if axes else None


def _read_axis(option: str) -> Axis:
    name, equals, text = option.partition("=")
    name, role = name.strip(), Axis(name.strip(), ()).role
    if not equals or not fold(name):
        raise SettingsInvalid(f"--matrix {option!r}: expected NAME=VALUE,VALUE,... or NAME=@FILE")
    if role in _REFUSED_ROLES or looks_secret(name):
        raise SettingsInvalid(f"--matrix {name}: {_REFUSED_ROLES.get(role or '', 'the name looks like a secret')}")
    values = _read_values(text.strip(), name, role)
    if not values:
        raise SettingsInvalid(f"--matrix {name}: there are no values")
    if duplicate := next((value for value in set(values) if values.count(value) > 1), None):
        raise SettingsInvalid(f"--matrix {name}: {duplicate!r} is listed twice")
    for value in values if role else ():
        _check_value(name, str(role), value)
    return Axis(name, tuple(values))


def _read_values(text: str, name: str, role: str | None) -> list[str]:
    if text.startswith("@") and role != "references":  # where @id means the image of a row
        lines = read_text(Path(text[1:]), option=f"--matrix {name}:").splitlines()
        values = [line.strip() for line in lines]
    else:
        values = _split_values(text, name)
    ranges = [_expand_range(value, name) for value in values if value]
    if sum(map(len, ranges)) > _MAX_VARIANTS:
        raise SettingsInvalid(f"--matrix {name}: more than {_MAX_VARIANTS:,} values")
    return [value for each in ranges for value in each]


def _split_values(text: str, name: str) -> list[str]:
    try:
        return [value.strip() for value in next(csv.reader([text], skipinitialspace=True, strict=True), [])]
    except csv.Error:
        raise SettingsInvalid(
            f"--matrix {name}: a quote is not closed, or text follows one that is: {text!r}"
        ) from None


def _expand_range(value: str, name: str) -> list[str]:
    match = _RANGE.fullmatch(value)
    if not match:
        return [value]
    first, last = int(match[1]), int(match[2])
    if not 0 <= last - first < _MAX_VARIANTS:
        raise SettingsInvalid(f"--matrix {name}: {value!r} must go up, with at most {_MAX_VARIANTS:,} numbers")
    return [str(number) for number in range(first, last + 1)]


def _check_value(name: str, role: str, value: str) -> None:
    try:
        parse_role(role, value)
    except ValueError as error:
        raise SettingsInvalid(f"--matrix {name}: {value!r}: {error}") from error


def _change(combination: Sequence[tuple[str | None, str, str, str]]) -> _Change:
    parsed = {role: parse_role(role, value) for role, _, value, _ in combination if role}
    shapes = [value for _, header, value, _ in combination if fold(header) == SHAPE_COLUMN]
    shape = {SHAPE_COLUMN: shapes[0]} if shapes else {}
    return _Change(
        id="-".join(part for *_, part in combination),
        cells={header: value for _, header, value, _ in combination},
        user={header: value for role, header, value, _ in combination if not role},
        row_fields={role: value for role, value in parsed.items() if role not in _OPTIONS} | shape,
        options={role: value for role, value in parsed.items() if role in _OPTIONS},
    )


def _variants(
    rows: Iterator[PromptRow | Problem], changes: Sequence[_Change], id_header: str
) -> Iterator[PromptRow | Problem]:
    number = 0
    for row in rows:
        if isinstance(row, Problem):
            yield row
            continue
        for change in changes:
            number += 1
            if number > _MAX_ROWS:
                raise SettingsInvalid(f"--matrix makes more than {_MAX_ROWS:,} rows of this file: give fewer values")
            yield _variant(row, change, number, id_header)


def _variant(row: PromptRow, change: _Change, number: int, id_header: str) -> PromptRow:
    name = f"{row.id or row.row}-{change.id}"
    return replace(
        row,
        row=number,
        id=name,
        options=replace(row.options, **change.options) if change.options else row.options,
        cells={**row.cells, **change.cells, id_header: name},
        user={**row.user, **change.user} if change.user else row.user,
        **change.row_fields,
    )
