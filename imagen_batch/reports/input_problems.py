"""Formats all problems of an invalid input at once, so that they can be fixed in one go."""

from __future__ import annotations

from collections.abc import Sequence

from imagen_batch.records import Problem
from imagen_batch.text import json_text, plural, printable, shorten

_FOUND_SHOWN = 80


def problems_text(problems: Sequence[Problem]) -> str:
    """Return all problems, one per line, and the note that nothing was sent."""
    lines = [printable(_line(problem)) for problem in problems]
    count = plural(len(problems), "problem")
    return "\n".join([*lines, f"{count} in the input: nothing was sent, nothing was written."])


def problems_json(problems: Sequence[Problem]) -> str:
    """Return all problems as one JSON object."""
    listed = [
        {"line": problem.line, "column": problem.column, "found": problem.found, "message": problem.message}
        for problem in problems
    ]
    return json_text({"schema_version": 1, "state": "invalid", "problems": listed})


def _line(problem: Problem) -> str:
    if problem.line is None and problem.column is None and problem.found is not None:
        return f"{problem.found}: {problem.message}"
    line = "" if problem.line is None else f"line {problem.line}: "
    column = "" if problem.column is None else f"{problem.column}: "
    found = "" if problem.found is None else f" (found {shorten(problem.found, _FOUND_SHOWN)!r})"
    return f"{line}{column}{problem.message}{found}"
