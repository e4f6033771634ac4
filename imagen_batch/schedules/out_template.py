"""Fills in `{name}` and `{date}` in the output folder of a repeated job."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

from imagen_batch.text import did_you_mean

FIELDS: Final = ("name", "date")
_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_UNSAFE_NAME = re.compile(r"[/\\\x00-\x1f\x7f{}]")


def check_name(name: str) -> str:
    """Return the name of a job. Raises ValueError for one that can't be a single folder."""
    if not name.strip() or name != name.strip():
        raise ValueError("expected a name without spaces around it, such as nightly")
    if name in {".", ".."} or _UNSAFE_NAME.search(name):
        raise ValueError("expected a name without / \\ { } and control characters, such as nightly")
    if len(name.encode()) > 200:
        raise ValueError("expected a name of at most 200 bytes")
    return name


def parse_date(value: object) -> object:
    """Parse the date of a run, which is written as YYYY-MM-DD. Values that are no text pass through."""
    if not isinstance(value, str):
        return value
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value.strip()):
        raise ValueError("expected a date such as 2026-10-01")
    try:
        return dt.date.fromisoformat(value.strip())
    except ValueError:
        raise ValueError("there is no such date") from None


def fields_in(template: str) -> set[str]:
    """Return the fields that a template uses. Raises ValueError for a template that is wrong."""
    used = set()
    for match in _PART.finditer(template):
        if match[1] in FIELDS:
            used.add(match[1])
        elif match[0] not in {"{{", "}}"}:
            hint = did_you_mean(match[1] or "", FIELDS) if match[1] else ""
            raise ValueError(
                f"{match[0]!r} is not a field{hint}. The fields are {{name}} and {{date}}; write {{{{ for a brace"
            )
    return used


def expand(template: str, *, name: str, date: dt.date | None) -> str:
    """Return the folder that a template stands for. Raises ValueError where it is wrong or needs a date."""
    if "date" in fields_in(template) and date is None:
        raise ValueError("{date} needs the date of the run: add --date, such as --date 2026-10-01")
    values = {"name": name, "date": "" if date is None else date.isoformat()}
    texts = {"{{": "{", "}}": "}"}
    return _PART.sub(lambda match: texts.get(match[0]) or values[match[1]], template)


def fixed_part(template: str) -> str:
    """Return the folder that all runs of a template are in: everything before the first part with a field."""
    first = next((match.start() for match in _PART.finditer(template) if match[1]), len(template))
    whole = template[:first] if first == len(template) else template[:first].rpartition("/")[0] or "."
    return _PART.sub(lambda match: match[0][0], whole)
