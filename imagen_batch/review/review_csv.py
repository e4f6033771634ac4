"""Reads and writes `review.csv`: one line per sample with a person's decision.

    row,id,sample,version,key,decision,prompt,seed,note

The file can be edited in a spreadsheet program. Any delimiter and encoding that such a program writes is read,
columns may have any order, and further columns are ignored. A text that a spreadsheet would run as a formula gets
an apostrophe in front, which the reader removes again.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, TypeVar

from imagen_batch.errors import InputInvalid
from imagen_batch.prompts import cells
from imagen_batch.prompts.column_names import fold
from imagen_batch.prompts.formats.delimited import Record, Table
from imagen_batch.prompts.formats.detect_table_layout import read_layout
from imagen_batch.prompts.formats.encoding import find_encoding
from imagen_batch.records import Problem
from imagen_batch.review.gallery_items import ReviewDecision, parse_decision

REVIEW_FILE = "review.csv"
ENCODING = "utf-8-sig"  # to write: without a byte order mark a spreadsheet takes UTF-8 for something else
COLUMNS = ("row", "id", "sample", "version", "key", "decision", "prompt", "seed", "note")
_REQUIRED = ("row", "sample", "decision")
_IDENTIFYING = ("row", "sample", "version", "key")

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")
_KEY = re.compile(r"[0-9a-f]{64}")
_WHOLE = re.compile(r"0*([0-9]{1,15})(?:\.0*)?")  # a spreadsheet may write 3 as 3.0
_SHOWN = 80  # characters of a cell in a message
_FEW_LETTERS = 40  # bytes beyond ASCII: too few to identify an alphabet
_OTHER_ALPHABETS = frozenset(
    codecs.lookup(name).name
    for name in (
        *(
            "cp1251",
            "koi8_r",
            "koi8_u",
            "mac_cyrillic",
            "cp866",
            "iso8859_5",
            "cp1253",
            "iso8859_7",
            "cp1255",
            "cp1256",
        ),
        *("cp932", "shift_jis", "euc_jp", "gbk", "gb2312", "gb18030", "big5", "euc_kr", "cp949", "cp874", "johab"),
    )
)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A person's decision about one version of one sample. An empty decision is None."""

    row: int
    sample: int
    decision: ReviewDecision | None
    id: str | None = None
    version: int | None = None  # None means the current one
    key: str | None = None  # 64 hex digits; None if the file has no key
    prompt: str | None = None  # the edited prompt, for a redo
    seed: int | None = None  # the new seed, for a redo
    note: str | None = None
    line: int | None = None  # of the file it was read from

    @property
    def image(self) -> tuple[str | int, int, int | None]:
        """The identity of the image: the key rather than the row, which may have moved since."""
        return (self.key or self.row, self.sample, self.version)


@dataclass(frozen=True, slots=True)
class ReviewLines:
    """The lines of a review: decisions, problems of other lines, and what is known of the samples of those."""

    decisions: tuple[Decision, ...] = ()
    problems: tuple[Problem, ...] = ()
    without_decision: tuple[Decision, ...] = ()  # lines with problems whose sample can be looked up


def read_review(path: Path, *, encoding: str | None = None) -> list[Decision]:
    """Return every line of the file in order, even those without a decision. `encoding` overrides the detection.

    Raises InputInvalid with all problems of the file, each with its line.
    """
    lines = read_review_lines(path, encoding=encoding)
    if lines.problems:
        raise InputInvalid(lines.problems)
    return list(lines.decisions)


def read_review_lines(path: Path, *, encoding: str | None = None) -> ReviewLines:
    """Return the lines of the file with their problems. Raises InputInvalid if it can't be read as a review."""
    try:
        table = read_layout(
            path, _choose_encoding(path, encoding), delimiter=None, tabs=False, prompt_column="decision"
        )
        positions = _find_columns(table)
        return _read_lines(table, positions)
    except OSError as error:
        message = f"can't be read: {error.strerror or error}"
        raise InputInvalid([Problem(None, None, str(path), message)]) from error


def write_review(decisions: Iterable[Decision], target: TextIO) -> int:
    """Write the header and a line for each decision; returns how many. Open `target` with newline="" and ENCODING."""
    writer = csv.writer(target, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    count = 0
    for count, decision in enumerate(decisions, 1):  # noqa: B007 - the count outlives the loop
        writer.writerow([_cell(getattr(decision, column)) for column in COLUMNS])
    return count


def parse_decision_fields(fields: Mapping[str, str], *, line: int | None = None) -> Decision | list[Problem]:
    """Return the decision in the texts of one line, or all of their problems."""
    decision, problems = _parse_fields(fields, line)
    return problems or decision


def _parse_fields(fields: Mapping[str, str], line: int | None) -> tuple[Decision, list[Problem]]:
    """Return the decision, in which a field with a problem has no value, and all problems."""
    problems: list[Problem] = []

    def parse(column: str, parser: Callable[[str], _T], default: _T) -> _T:
        text = fields.get(column, "").strip()
        try:
            return parser(text) if text else default
        except ValueError as error:
            problems.append(Problem(line, column, text[:_SHOWN], str(error)))
            return default

    problems += [
        Problem(line, column, "", f"{column} is empty; it says which image the decision is about")
        for column in ("row", "sample")
        if not fields.get(column, "").strip()
    ]
    decision = Decision(
        row=parse("row", _whole_number, 0),
        id=_text(fields.get("id")),
        sample=parse("sample", _whole_number, 0),
        version=parse("version", _whole_number, None),
        key=parse("key", _key, None),
        decision=parse("decision", parse_decision, None),
        prompt=_text(fields.get("prompt")),
        seed=parse("seed", cells.seed, None),
        note=_text(fields.get("note")),
        line=line,
    )
    if not problems and decision.decision != "redo":
        problems += _only_for_redo(decision)
    return decision, problems


def _choose_encoding(path: Path, forced: str | None) -> str:
    """Return the encoding of a review; cp1252 if it is not Unicode, as a guess from a few letters is often wrong.

    Raises InputInvalid for longer text that looks like another alphabet's: a wrong guess would cost money.
    """
    detected, _ = find_encoding(path, forced=forced)
    if forced or detected.startswith("utf"):
        return detected
    data = path.read_bytes()
    if codecs.lookup(detected).name in _OTHER_ALPHABETS and sum(byte > 127 for byte in data) > _FEW_LETTERS:
        message = f"is not UTF-8 and looks like {detected}: save it as CSV UTF-8"
        raise InputInvalid([Problem(None, None, path.name, message)])
    try:
        data.decode("cp1252")
    except UnicodeDecodeError:
        return detected
    return "cp1252"


def _find_columns(table: Table) -> dict[str, int]:
    names = [fold(name) for name in table.header]
    problems = [
        Problem(table.header_line, name, None, f"there is no column {name}; a review has {', '.join(COLUMNS)}")
        for name in _REQUIRED
        if name not in names
    ]
    problems += [
        Problem(table.header_line, name, None, f"{names.count(name)} columns have this name")
        for name in COLUMNS
        if names.count(name) > 1
    ]
    if problems:
        raise InputInvalid(problems)
    return {name: names.index(name) for name in COLUMNS if name in names}


def _read_lines(table: Table, positions: Mapping[str, int]) -> ReviewLines:
    decisions: list[Decision] = []
    problems: list[Problem] = []
    without_decision: list[Decision] = []
    for record in table.records():
        if isinstance(record, Problem):
            problems.append(record)
        elif any(cell.strip() for cell in record.cells):
            decision, found = _parse_line(record, positions, width=len(table.header))
            problems += found
            if decision is not None and not found:
                decisions.append(decision)
            elif decision is not None and not any(problem.column in _IDENTIFYING for problem in found):
                without_decision.append(decision)
    problems += _contradictions(decisions)
    in_order = sorted(problems, key=lambda problem: problem.line or 0)
    return ReviewLines(tuple(decisions), tuple(in_order), tuple(without_decision))


def _parse_line(record: Record, positions: Mapping[str, int], *, width: int) -> tuple[Decision | None, list[Problem]]:
    if any(cell.strip() for cell in record.cells[width:]) or len(record.cells) <= max(
        positions[name] for name in _REQUIRED
    ):
        message = f"{len(record.cells)} cells where the header has {width}"
        return None, [Problem(record.line, None, None, message)]
    texts = {name: record.cells[at] for name, at in positions.items() if at < len(record.cells)}
    return _parse_fields({name: _unguard(text) for name, text in texts.items()}, record.line)


def _contradictions(decisions: Iterable[Decision]) -> Iterator[Problem]:
    """Yield a problem for each line that contradicts an earlier one about the same version of a sample."""
    seen: dict[tuple[str | int, int, int | None], Decision] = {}
    for decision in decisions:
        first = seen.setdefault(decision.image, decision)
        if _facts(first) != _facts(decision):
            message = f"says something else about the same image than line {first.line}"
            yield Problem(decision.line, "decision", decision.decision or "", message)


def _facts(decision: Decision) -> tuple[object, ...]:
    return (decision.decision, decision.prompt, decision.seed, decision.note)


def _only_for_redo(decision: Decision) -> Iterator[Problem]:
    for column, value in (("prompt", decision.prompt), ("seed", decision.seed)):
        if value is not None:
            message = f"a new {column} needs the decision redo"
            yield Problem(decision.line, column, str(value)[:_SHOWN], message)


def _whole_number(text: str) -> int:
    number = _WHOLE.fullmatch(text)
    if number is None or not int(number[1]):
        raise ValueError("must be a whole number from 1")
    return int(number[1])


def _key(text: str) -> str:
    if not _KEY.fullmatch(text.lower()):
        raise ValueError("is not a key of 64 hex digits; copy it from the manifest or leave it empty")
    return text.lower()


def _text(text: str | None) -> str | None:
    return text if text and text.strip() else None


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    text = text.encode("utf-8", "replace").decode()  # a lone surrogate can't be written
    return f"'{text}" if _FORMULA.match(text) else text


def _unguard(text: str) -> str:
    return text[1:] if _GUARDED.match(text) else text
