"""Writes prompt files and reads them back."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imagen_batch.errors import InputInvalid
from imagen_batch.prompts import PromptFile, open_prompts
from imagen_batch.records import Problem, PromptRow


def open_content(folder: Path, content: str | bytes, *, name: str = "prompts.csv", **choices: Any) -> PromptFile:
    """Open a prompt file with this content; text is written as UTF-8 with its line ends unchanged."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return open_prompts(path, **choices)


def rows(file: PromptFile) -> list[PromptRow]:
    """Return all rows of a file without problems."""
    read = list(file.rows())
    assert [row for row in read if isinstance(row, Problem)] == []
    return [row for row in read if isinstance(row, PromptRow)]


def prompts(file: PromptFile) -> list[str]:
    """Return the prompts of a file without problems."""
    return [row.prompt for row in rows(file)]


def problems(file: PromptFile) -> list[Problem]:
    """Return the problems of a file's rows."""
    return [row for row in file.rows() if isinstance(row, Problem)]


def refusal(folder: Path, content: str | bytes, *, name: str = "prompts.csv", **choices: Any) -> list[Problem]:
    """Return why a file with this content can't be read at all."""
    try:
        open_content(folder, content, name=name, **choices)
    except InputInvalid as exc:
        return list(exc.problems)
    raise AssertionError("the file was opened")


def edit_csv(path: Path, change: Callable[[list[dict[str, str]]], object]) -> None:
    """Change the rows of a CSV file as a user with an editor would."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    change(lines)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
