"""Is this record a sound prompt row, and if not, what is wrong with it?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from imagen_batch.prompts import cells
from imagen_batch.prompts.columns import Columns
from imagen_batch.prompts.delimited import Record
from imagen_batch.prompts.record_width import Fitting
from imagen_batch.records import Options, Problem, PromptRow

Meaning = Callable[[str], Any]

_OF_ROW: dict[str, Meaning] = {
    "id": str,
    "filename": str,
    "model": str,
    "style": str,
    "samples": cells.samples,
}
_OF_OPTIONS: dict[str, Meaning] = {
    "aspect_ratio": cells.aspect_ratio,
    "image_size": cells.image_size,
    "person_generation": cells.person_generation,
    "negative_prompt": str,
    "seed": cells.seed,
}
_options = lru_cache(maxsize=1024)(Options)  # most rows of a file ask for the same
_SHOWN = 80  # characters of a cell


@dataclass(frozen=True, slots=True)
class Check:
    """One column whose cells mean something to us."""

    role: str
    position: int
    column: str
    meaning: Meaning


@dataclass(frozen=True, slots=True)
class RowReader:
    """All that is settled before the first row, so that a row costs little."""

    columns: Columns
    fitting: Fitting | None  # None where records always fit
    prompt: int  # position
    kept: tuple[tuple[str, int], ...]
    own: tuple[tuple[str, int], ...]
    of_row: tuple[Check, ...]
    of_options: tuple[Check, ...]

    def read(self, number: int, record: Record) -> PromptRow | list[Problem]:
        """What `record`, the file's `number`th, asks for, or everything that is wrong with it."""
        texts = record.cells
        if self.fitting and len(texts) != len(self.columns.names):
            fitted = self.fitting.fit(record)
            if isinstance(fitted, Problem):
                return [fitted]
            texts = fitted
        problems: list[Problem] = []
        if "\0" in "".join(texts):
            problems += self._nulls(record.line, texts)
        prompt = texts[self.prompt].strip()
        if not prompt:
            problems.append(Problem(record.line, self.columns.names[self.prompt], "", "empty prompt"))
        values = _values(self.of_row, texts, line=record.line, problems=problems)
        options = _values(self.of_options, texts, line=record.line, problems=problems)
        if problems:
            return problems
        return PromptRow(
            row=number,
            line=record.line,
            prompt=prompt,
            options=_options(**options),
            cells={name: texts[position] for name, position in self.kept},
            user={name: texts[position] for name, position in self.own},
            mark=None if self.columns.mark is None else texts[self.columns.mark].strip(),
            **values,
        )

    def _nulls(self, line: int, texts: Sequence[str]) -> Iterable[Problem]:
        for name, position in self.kept:
            if "\0" in texts[position]:
                yield Problem(line, name, None, "holds a NUL byte, which is no text: is the file damaged?")


def row_reader(columns: Columns, *, fitting: Fitting | None) -> RowReader:
    """A reader for the rows below a header."""
    return RowReader(
        columns=columns,
        fitting=fitting,
        prompt=columns.roles["prompt"],
        kept=tuple((columns.names[position], position) for position in columns.kept),
        own=tuple((columns.names[position], position) for position in columns.own),
        of_row=tuple(_checks(columns, _OF_ROW)),
        of_options=tuple(_checks(columns, _OF_OPTIONS)),
    )


def _checks(columns: Columns, meanings: dict[str, Meaning]) -> Iterable[Check]:
    for role, meaning in meanings.items():
        if role in columns.roles:
            position = columns.roles[role]
            yield Check(role, position, columns.names[position], meaning)


def _values(checks: Iterable[Check], texts: Sequence[str], *, line: int, problems: list[Problem]) -> dict[str, Any]:
    """What the cells mean, by role, empty ones left out. What makes no sense goes to `problems`."""
    values = {}
    for check in checks:
        text = texts[check.position].strip()
        if text:
            try:
                values[check.role] = check.meaning(text)
            except ValueError as exc:
                problems.append(Problem(line, check.column, text[:_SHOWN], str(exc)))
    return values
