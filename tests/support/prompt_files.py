"""Prompt files made on the spot, and what comes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imagen_batch.errors import InputInvalid
from imagen_batch.prompts import PromptFile, open_prompts
from imagen_batch.records import Problem, PromptRow


def opened(folder: Path, content: str | bytes, *, name: str = "prompts.csv", **choices: Any) -> PromptFile:
    """The prompt file of this content; text is written as UTF-8 with its line ends as they are."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return open_prompts(path, **choices)


def rows(file: PromptFile) -> list[PromptRow]:
    """All rows of a file that has nothing wrong with it."""
    found = list(file.rows())
    assert [each for each in found if isinstance(each, Problem)] == []
    return [each for each in found if isinstance(each, PromptRow)]


def prompts(file: PromptFile) -> list[str]:
    """The prompts of a file that has nothing wrong with it."""
    return [row.prompt for row in rows(file)]


def problems(file: PromptFile) -> list[Problem]:
    """Everything that is wrong with a file's rows."""
    return [each for each in file.rows() if isinstance(each, Problem)]


def refusal(folder: Path, content: str | bytes, *, name: str = "prompts.csv", **choices: Any) -> list[Problem]:
    """Why a file of this content can't be read at all."""
    try:
        opened(folder, content, name=name, **choices)
    except InputInvalid as exc:
        return list(exc.problems)
    raise AssertionError("the file was opened")
