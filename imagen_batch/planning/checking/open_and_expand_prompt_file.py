"""Opens a prompt file as the settings say, with its template, styles, characters and variants."""

from __future__ import annotations

from pathlib import Path

from imagen_batch.expansion import Expansion, load_expansion
from imagen_batch.prompts import PromptFile, open_prompts
from imagen_batch.settings import Settings


def open_prompt_file(path: Path, settings: Settings) -> PromptFile:
    """Open a prompt file, to be read as the settings say."""
    return read_expansion(settings).apply_to(open_unexpanded(path, settings))


def read_expansion(settings: Settings) -> Expansion:
    """Read the files that change rows before they are planned."""
    return load_expansion(
        template=settings.template,
        styles=settings.styles,
        characters=settings.characters,
        matrix=settings.matrix,
    )


def open_unexpanded(path: Path, settings: Settings, *, format: str | None = None) -> PromptFile:  # noqa: A002
    """Open a prompt file without what changes its rows."""
    return open_prompts(
        path,
        encoding=settings.encoding,
        delimiter=settings.delimiter,
        prompt_column=settings.prompt_column,
        join_extra=settings.join_extra,
        format=format or settings.format,
        sheet=settings.sheet,
    )


def fingerprint(path: Path) -> tuple[int, int] | None:
    """Return size and time of a file, which change when it is written; None where there is no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
