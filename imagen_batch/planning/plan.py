"""What would a run do, what may it cost, and is anything wrong with it?

Looks at every row once, before anything is sent or written.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import IO

from imagen_batch.errors import InputInvalid, SettingsInvalid
from imagen_batch.planning.filenames import check_template, split_words
from imagen_batch.planning.keys import RowKeys, deciding
from imagen_batch.planning.origin import Origin
from imagen_batch.planning.row_index import PendingRow, RowIndex, SampleHistory
from imagen_batch.planning.rows import TEMPLATE_FIELDS, PlannedRow, RowPlanner
from imagen_batch.prompts import PromptFile, open_prompts
from imagen_batch.prompts.sources import Spool, Unreadable, is_stream, stream_blocks
from imagen_batch.providers.capabilities import OptionIssue
from imagen_batch.providers.catalogue import Catalogue, Model, load_catalogue
from imagen_batch.providers.hosts import is_googles
from imagen_batch.records import Move, Problem, PromptRow
from imagen_batch.settings import Settings
from imagen_batch.text import plural

_MOST_PROBLEMS = 10_000

# A PNG of a photograph, the larger of what services send; a guess to plan with.
_BYTES_OF_SIZE = {"512": 500_000, "1K": 1_500_000, "2K": 6_000_000, "4K": 24_000_000}


@dataclass
class Warned:
    """A warning that may concern many rows."""

    message: str
    line: int  # where it is met first
    count: int = 0


@dataclass
class RunPlan:
    """A run as it was asked for, sound and counted."""

    settings: Settings
    catalogue: Catalogue
    file: PromptFile
    today: date
    asked: RowIndex = field(default_factory=RowIndex)
    rows: int = 0  # of the whole input
    samples: int = 0  # of the whole input
    # What follows is about the rows that --limit admits.
    wanted_rows: int = 0
    wanted_samples: int = 0
    requests: int = 0
    worst_usd: float = 0.0
    unpriced: int = 0  # pictures without a known price
    disk_bytes: int = 0  # a guess from sizes
    pictures_of: Counter[str] = field(default_factory=Counter)  # model -> pictures
    successor_usd: defaultdict[str, float] = field(
        default_factory=lambda: defaultdict(float)
    )  # model -> worst case with its successor
    warned: dict[tuple[str, str], Warned] = field(default_factory=dict)
    stamp: tuple[int, int] | None = None  # size and time of the file before it was read
    names: list[str] = field(default_factory=list)  # the first few
    has_names: bool = False  # whether the user chose names for images
    lost: tuple[PendingRow, ...] | None = None  # a repair makes these samples again, and no others
    of_file: list[str] | None = None  # warnings about the original file; its copy may deserve other ones
    spool: Spool | None = None  # a file of this run's making: standard input, or an input that was put together
    source: Path | None = None  # the user's own file; None for standard input
    only: frozenset[int] | None = None  # rows that a failures.csv names: no others are sent
    origin: Origin | None = None  # of an input that the folder holds, or that was made from one
    moves: tuple[Move, ...] = ()  # images that stand for samples of rows whose text was edited
    basis: bytes | None = None  # of the folder's run.json when this was made from its input
    notices: tuple[str, ...] = ()  # about a file that this was made from
    taken: str | None = None  # SHA-256 of the failures.csv that this was made from
    _kept_for: SampleHistory | None = None

    @property
    def warnings(self) -> list[str]:
        """What the user should know, one sentence each."""
        of_file = self.file.warnings if self.of_file is None else self.of_file
        return [*self.notices, *of_file, *(_told(option, warned) for (option, _), warned in self.warned.items())]

    def models(self) -> dict[str, Model]:
        """The models that rows ask for, with the user's corrections."""
        planner = RowPlanner(self.settings, self.catalogue)
        return {name: model for name in self.pictures_of if (model := planner.model(name))}

    def read_from(self, copy: Path, settings: Settings) -> None:
        """Read rows from a copy of the file from now on, as `settings` say.

        Raises SettingsInvalid where the copy may hold other rows than were looked at.
        """
        original = self.file.path
        if _stamp(original) != self.stamp and not copy.samefile(original):
            raise SettingsInvalid(f"{original} was changed while it was read: nothing was sent; start again")
        self.of_file = list(self.file.warnings)
        self.file = opened_prompts(copy, settings, format=self.file.format)

    def asks_for(self, row: int) -> bool:
        """Whether this run sends anything for a row of its input."""
        if self.only is not None:
            return row in self.only
        return self.settings.limit is None or row <= self.settings.limit

    def without_selection(self) -> RunPlan:
        """The same input for a run that asks for all of it."""
        return self if self.only is None and self.lost is None else replace(self, only=None, lost=None)

    def delete_spool(self) -> None:
        """Remove what standard input was put into."""
        if self.spool is not None:
            self.spool.remove()
            self.spool = None

    def orders(self) -> Iterator[PlannedRow]:
        """What each row asks for, in input order; read from the file anew."""
        planner = RowPlanner(self.settings, self.catalogue)
        for row in self.file.rows():
            assert isinstance(row, PromptRow)
            order, _, _ = planner.order(row)
            assert order is not None
            if self.asked.is_earlier(row.row):
                order.prompt = order.earlier_prompt or order.prompt
            yield order

    def keep_earlier_texts(self, past: SampleHistory, *, again: bool = False) -> None:
        """Rows of which the ledger knows under the key of an earlier version stay what they were.

        The text that they were sent with is kept, so that nothing is made again for a better one. `again`: the same
        past knows more than it did.
        """
        if self._kept_for is past and not again:
            return
        self._kept_for, adopted = past, set()
        for row, base, earlier, samples in self.asked.earlier():
            numbers = range(1, samples + 1)
            if all(past.status(earlier, number) is None for number in numbers):
                continue
            # A key that now is this row's may have been another one's before: that one has its pictures.
            if base in adopted or all(past.status(base, number) is None for number in numbers):
                self.asked.adopt_earlier(row)
                adopted.add(earlier)


def make_plan(
    settings: Settings, *, today: date, stdin: IO[bytes] | None = None, only: frozenset[int] | None = None
) -> RunPlan:
    """Read and check everything the run is asked to do. With `only` these rows are asked for and no others.

    Raises InputInvalid with every problem of the file, SettingsInvalid for a choice that can't be followed.
    """
    spool = _spooled(settings.prompts, stdin) if is_stream(settings.prompts) else None
    try:
        plan = _examined(spool.path if spool else Path(settings.prompts), settings, today=today, only=only)
    except BaseException:
        if spool:
            spool.remove()
        raise
    plan.spool = spool
    return plan


def _examined(source: Path, settings: Settings, *, today: date, only: frozenset[int] | None) -> RunPlan:
    stamp = _stamp(source)
    file = opened_prompts(source, settings)
    plan = RunPlan(settings, load_catalogue(settings.models), file, today, stamp=stamp, only=only)
    _check_template(settings, file)
    problems = _look_at_rows(plan)
    if not problems and not plan.rows:
        problems = [Problem(None, None, None, "there are no prompts in the file")]
    if problems and all(problem.line is None and problem.column for problem in problems):
        raise SettingsInvalid("\n".join(f"{one.column} {one.found!r}: {one.message}" for one in problems))
    if problems:
        raise InputInvalid(problems)
    _refuse_retired(plan)
    _refuse_unpriced(plan)
    if not is_stream(settings.prompts):
        plan.source = Path(os.path.abspath(source))  # noqa: PTH100 - links are kept as the user made them
    return plan


def _spooled(name: str, stdin: IO[bytes] | None) -> Spool:
    try:
        spool = Spool()
        spool.fill(stream_blocks(name, stdin=stdin))
    except OSError as error:
        told = str(error) if isinstance(error, Unreadable) else f"can't be read: {error.strerror or error}"
        raise InputInvalid([Problem(None, None, name, told)]) from error
    return spool


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns


def opened_prompts(path: Path, settings: Settings, *, format: str | None = None) -> PromptFile:  # noqa: A002
    """A prompt file, read as the settings say."""
    return open_prompts(
        path,
        encoding=settings.encoding,
        delimiter=settings.delimiter,
        prompt_column=settings.prompt_column,
        join_extra=settings.join_extra,
        format=format or settings.format,
    )


def _check_template(settings: Settings, file: PromptFile) -> None:
    if settings.name_template is None:
        return
    try:
        check_template(settings.name_template, (*TEMPLATE_FIELDS, *file.user_columns))
    except ValueError as error:
        raise SettingsInvalid(f"--name-template: {error}") from error


def _look_at_rows(plan: RunPlan) -> list[Problem]:
    planner = RowPlanner(plan.settings, plan.catalogue)
    identities = RowKeys(plan.settings.provider)
    problems: list[Problem] = []
    of_the_run: set[Problem] = set()
    for row in plan.file.rows():
        if isinstance(row, Problem):
            problems.append(row)
        else:
            order, found, remarks = planner.order(row)
            if found:
                problems += (one for one in found if one.line is not None or one not in of_the_run)
                of_the_run.update(one for one in found if one.line is None)
            _note(plan, row, remarks)
            plan.rows += 1
            if order is not None:
                _count(plan, order, identities)
                _look_at_name(plan, row, order)
        if len(problems) >= _MOST_PROBLEMS:
            break
    return problems


def _look_at_name(plan: RunPlan, row: PromptRow, order: PlannedRow) -> None:
    if not order.named:
        return
    plan.has_names = True
    if words := split_words(order.stem):
        message = (
            f'holds {words[0]!r}: load_dataset("imagefolder", data_dir=...) would leave out all files without that '
            "word; rename it, or load the folder itself, load_dataset(DIR), which has all of them"
        )
        _warn(plan, row, "file name", message)
    if order.twin:
        message = "an earlier row has the same one, at least on some disks; a short code is added to the second"
        _warn(plan, row, "file name", message)


def _count(plan: RunPlan, order: PlannedRow, identities: RowKeys) -> None:
    base, earlier = identities.base_keys(
        model=order.model.id,
        prompt=order.prompt,
        options=deciding(order.options, dialect=order.model.dialect),
        earlier_prompt=order.earlier_prompt if order.row.style else None,
    )
    per_request, price = order.model.samples_per_request, order.price
    plan.asked.add(base, order.samples, per_request=per_request, price=price, earlier=earlier)
    plan.samples += order.samples
    if not plan.asks_for(plan.rows):
        return
    plan.wanted_rows += 1
    plan.wanted_samples += order.samples
    plan.requests += -(-order.samples // per_request)
    plan.pictures_of[order.model.id] += order.samples
    plan.disk_bytes += order.samples * _BYTES_OF_SIZE.get(order.options.image_size or "1K", _BYTES_OF_SIZE["1K"])
    if order.model.successor:
        successor = plan.catalogue.get(order.model.successor)
        usd = successor.worst_price(order.options.image_size, order.prompt) if successor else None
        plan.successor_usd[order.model.id] += (usd or 0.0) * order.samples
    if price is None:
        plan.unpriced += order.samples
    else:
        plan.worst_usd += price * order.samples
    if len(plan.names) < 3:
        plan.names.append(order.stem)


def _note(plan: RunPlan, row: PromptRow, remarks: list[OptionIssue]) -> None:
    for remark in remarks:
        _warn(plan, row, remark.option, remark.message)
    if row.style:
        _warn(plan, row, "style", "is added to the end of the prompt")


def _warn(plan: RunPlan, row: PromptRow, option: str, message: str) -> None:
    plan.warned.setdefault((option, message), Warned(message, row.line)).count += 1


def _told(option: str, warned: Warned) -> str:
    rows = f"line {warned.line}" if warned.count == 1 else f"{warned.count:,} rows, first in line {warned.line}"
    return f"{option}: {warned.message} ({rows})"


def _refuse_retired(plan: RunPlan) -> None:
    settings = plan.settings
    if settings.provider == "simulator" or not is_googles(settings.base_url):
        return  # another host may well still serve it
    gone = [
        _gone(model, ended, plan)
        for model in plan.models().values()
        if (ended := model.retired(settings.provider, plan.today))
    ]
    if gone:
        raise SettingsInvalid("\n".join(gone))


def _gone(model: Model, ended: date, plan: RunPlan) -> str:
    pictures = plan.pictures_of[model.id]
    said = f"{model.id} was shut down by Google on {ended} (this run asks for {plural(pictures, 'picture')} of it):"
    if model.successor:
        usd = plan.successor_usd[model.id]
        said += f" change to its successor {model.successor} (at most ${usd:.2f} for these pictures), or"
    return f"{said} send to a host that still serves it with --base-url. Nothing was sent."


def _refuse_unpriced(plan: RunPlan) -> None:
    settings = plan.settings
    walls = {"--max-cost": settings.max_cost, "--max-cost-per-run": settings.max_cost_per_run}
    given = [option for option, usd in walls.items() if usd is not None]
    if given and plan.unpriced:
        raise SettingsInvalid(
            f"{given[0]} needs prices, and none is known for {plural(plan.unpriced, 'picture')}: give --price USD"
        )
