"""What would a run do, what may it cost, and is anything wrong with it?

Looks at every row once, before anything is sent or written.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from pathlib import Path
from typing import IO

from imagen_batch.asked import Asked
from imagen_batch.errors import InputInvalid, SettingsInvalid
from imagen_batch.identity import Identities
from imagen_batch.models import Catalogue, Model, load_catalogue
from imagen_batch.names import check_template, split_words
from imagen_batch.offers import Remark
from imagen_batch.plan import TEMPLATE_FIELDS, Lack, Order, Planner
from imagen_batch.prompts import PromptFile, open_prompts
from imagen_batch.providers import is_googles
from imagen_batch.records import Problem, PromptRow
from imagen_batch.settings import Settings
from imagen_batch.wording import plural

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
class Examined:
    """A run as it was asked for, sound and counted."""

    settings: Settings
    catalogue: Catalogue
    file: PromptFile
    today: date
    asked: Asked = field(default_factory=Asked)
    rows: int = 0
    samples: int = 0
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
    named: set[int] = field(default_factory=set)  # hashes of names that the user chose
    spool: Path | None = None  # where standard input was put
    lost: tuple[Lack, ...] | None = None  # a repair makes these samples again, and no others

    @property
    def warnings(self) -> list[str]:
        """What the user should know, one sentence each."""
        return [*self.file.warnings, *(_told(option, warned) for (option, _), warned in self.warned.items())]

    def models(self) -> dict[str, Model]:
        """The models that rows ask for, with the user's corrections."""
        planner = Planner(self.settings, self.catalogue)
        return {name: model for name in self.pictures_of if (model := planner.model(name))}

    def read_from(self, copy: Path, settings: Settings) -> None:
        """Read rows from a copy of the file from now on, as `settings` say.

        Raises SettingsInvalid where the copy may hold other rows than were looked at.
        """
        original = self.file.path
        if _stamp(original) != self.stamp and not copy.samefile(original):
            raise SettingsInvalid(f"{original} was changed while it was read: nothing was sent; start again")
        self.file = _opened(copy, settings, format=self.file.format)

    def forget_spool(self) -> None:
        """Remove what standard input was put into."""
        if self.spool is not None:
            self.spool.unlink(missing_ok=True)
            self.spool = None

    def orders(self) -> Iterator[Order]:
        """What each row asks for, in input order; read from the file anew."""
        planner = Planner(self.settings, self.catalogue)
        for row in islice(self.file.rows(), self.settings.limit):
            assert isinstance(row, PromptRow)
            order, _, _ = planner.order(row)
            assert order is not None
            yield order


def examine(settings: Settings, *, today: date, stdin: IO[bytes] | None = None) -> Examined:
    """Read and check everything the run is asked to do.

    Raises InputInvalid with every problem of the file, SettingsInvalid for a choice that can't be followed.
    """
    source = _source(settings, stdin)
    try:
        return _examined(source, settings, today=today)
    except BaseException:
        _forget(source, settings)
        raise


def _examined(source: Path, settings: Settings, *, today: date) -> Examined:
    stamp = _stamp(source)
    file = _opened(source, settings)
    examined = Examined(settings, load_catalogue(settings.models), file, today, stamp=stamp)
    _check_template(settings, file)
    problems = _look_at_rows(examined)
    if not problems and not examined.rows:
        problems = [Problem(None, None, None, "there are no prompts in the file")]
    if problems and all(problem.line is None and problem.column for problem in problems):
        raise SettingsInvalid("\n".join(f"{one.column} {one.found!r}: {one.message}" for one in problems))
    if problems:
        raise InputInvalid(problems)
    _refuse_retired(examined)
    _refuse_unpriced(examined)
    examined.spool = source if settings.prompts == "-" else None
    return examined


def _forget(source: Path, settings: Settings) -> None:
    if settings.prompts == "-":
        source.unlink(missing_ok=True)


def _source(settings: Settings, stdin: IO[bytes] | None) -> Path:
    if settings.prompts != "-":
        return Path(settings.prompts)
    with tempfile.NamedTemporaryFile(prefix="imagen-batch-stdin-", delete=False) as spool:
        shutil.copyfileobj(stdin or sys.stdin.buffer, spool)
    return Path(spool.name)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns


def _opened(path: Path, settings: Settings, *, format: str | None = None) -> PromptFile:  # noqa: A002
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


def _look_at_rows(examined: Examined) -> list[Problem]:
    planner = Planner(examined.settings, examined.catalogue)
    identities = Identities(examined.settings.provider)
    problems: list[Problem] = []
    of_the_run: set[Problem] = set()
    limit = examined.settings.limit
    for row in examined.file.rows():
        if isinstance(row, Problem):
            problems.append(row)
        elif limit is None or examined.rows < limit:
            order, found, remarks = planner.order(row)
            if found:
                problems += (one for one in found if one.line is not None or one not in of_the_run)
                of_the_run.update(one for one in found if one.line is None)
            _note(examined, row, remarks)
            examined.rows += 1
            if order is not None:
                _count(examined, order, identities)
                _look_at_name(examined, row, order)
        if len(problems) >= _MOST_PROBLEMS:
            break
    return problems


def _look_at_name(examined: Examined, row: PromptRow, order: Order) -> None:
    if not order.named:
        return
    if words := split_words(order.stem):
        message = f"holds {words[0]!r}, a word that makes dataset loaders drop the other pictures"
        _warn(examined, row, "file name", message)
    name = hash(order.stem.casefold())  # some disks take x and X for one
    if name in examined.named:
        _warn(
            examined, row, "file name", "is an earlier row's too: whichever comes second gets part of its key added"
        )
    examined.named.add(name)


def _count(examined: Examined, order: Order, identities: Identities) -> None:
    base = identities.base_key(model=order.model.id, prompt=order.prompt, options=order.options)
    per_request, price = order.model.samples_per_request, order.price
    examined.asked.add(base, order.samples, per_request=per_request, price=price)
    examined.samples += order.samples
    examined.requests += -(-order.samples // per_request)
    examined.pictures_of[order.model.id] += order.samples
    examined.disk_bytes += order.samples * _BYTES_OF_SIZE.get(order.options.image_size or "1K", _BYTES_OF_SIZE["1K"])
    if order.model.successor:
        successor = examined.catalogue.get(order.model.successor)
        usd = successor.worst_price(order.options.image_size, order.prompt) if successor else None
        examined.successor_usd[order.model.id] += (usd or 0.0) * order.samples
    if price is None:
        examined.unpriced += order.samples
    else:
        examined.worst_usd += price * order.samples
    if len(examined.names) < 3:
        examined.names.append(order.stem)


def _note(examined: Examined, row: PromptRow, remarks: list[Remark]) -> None:
    for remark in remarks:
        _warn(examined, row, remark.option, remark.message)
    if row.style:
        _warn(examined, row, "style", "is added to the end of the prompt")


def _warn(examined: Examined, row: PromptRow, option: str, message: str) -> None:
    examined.warned.setdefault((option, message), Warned(message, row.line)).count += 1


def _told(option: str, warned: Warned) -> str:
    rows = f"line {warned.line}" if warned.count == 1 else f"{warned.count} rows, first in line {warned.line}"
    return f"{option}: {warned.message} ({rows})"


def _refuse_retired(examined: Examined) -> None:
    settings = examined.settings
    if settings.provider == "simulator" or not is_googles(settings.base_url):
        return  # another host may well still serve it
    gone = [
        _gone(model, ended, examined)
        for model in examined.models().values()
        if (ended := model.retired(settings.provider, examined.today))
    ]
    if gone:
        raise SettingsInvalid("\n".join(gone))


def _gone(model: Model, ended: date, examined: Examined) -> str:
    pictures = examined.pictures_of[model.id]
    said = f"{model.id} was shut down by Google on {ended} (this run asks for {plural(pictures, 'picture')} of it):"
    if model.successor:
        usd = examined.successor_usd[model.id]
        said += f" change to its successor {model.successor} (at most ${usd:.2f} for these pictures), or"
    return f"{said} send to a host that still serves it with --base-url. Nothing was sent."


def _refuse_unpriced(examined: Examined) -> None:
    if examined.settings.max_cost is not None and examined.unpriced:
        raise SettingsInvalid(
            f"--max-cost needs prices, and none is known for {plural(examined.unpriced, 'picture')}: give --price USD"
        )
