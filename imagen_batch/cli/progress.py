"""How far is the run? On a terminal a bar, elsewhere plain lines; never on standard output."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import IO

from imagen_batch.records import SampleResult
from imagen_batch.runs.console import Progress
from imagen_batch.text import one_line

_LINE_EVERY_S = 30.0
_LINE_EVERY_SHARE = 0.05
_LONGEST = 500  # characters of what is said about a sample


def make_progress(asked: int, *, mode: str, verbose: bool = False, stream: IO[str] | None = None) -> Progress:
    """Progress of `asked` pictures; `auto` is a bar on a terminal and plain lines elsewhere."""
    stream = stream or sys.stderr
    if mode == "auto":
        mode = "bar" if stream.isatty() else "plain"
    kinds: dict[str, Callable[[], Progress]] = {
        "none": NoProgress,
        "bar": lambda: BarProgress(asked, stream),
        "plain": lambda: LineProgress(asked, stream),
    }
    return VerboseProgress(kinds[mode](), stream) if verbose else kinds[mode]()


class NoProgress:
    """Says nothing."""

    def seen(self, samples: tuple[SampleResult, ...]) -> None:
        """Forget them."""

    def stopping(self) -> None:
        """Nothing to show."""

    def close(self) -> None:
        """Nothing to do."""


class VerboseProgress:
    """Also says what became of each sample."""

    def __init__(self, inner: Progress, stream: IO[str]) -> None:
        self._inner = inner
        self._stream = stream

    def seen(self, samples: tuple[SampleResult, ...]) -> None:
        """Say it, and pass it on."""
        for sample in samples:
            outcome = sample.file or sample.error or sample.reason or "no reason given"
            print(f"{sample.status}: {one_line(outcome, _LONGEST)}", file=self._stream)
        self._inner.seen(samples)

    def stopping(self) -> None:
        """Pass it on."""
        self._inner.stopping()

    def close(self) -> None:
        """Nothing follows."""
        self._inner.close()


class ProgressCounter:
    """What was seen so far, and how fast."""

    def __init__(self, asked: int, clock: Callable[[], float]) -> None:
        self.asked = asked
        self.of: Counter[str] = Counter()
        self.usd = 0.0
        self.stopping = False
        self._clock = clock
        self._began = clock()

    def add(self, samples: tuple[SampleResult, ...]) -> None:
        """Count these samples."""
        self.of.update(sample.status for sample in samples)
        self.usd += sum(sample.cost_usd or 0.0 for sample in samples)

    @property
    def settled(self) -> int:
        """Samples that have an outcome."""
        return self.of.total()

    def line(self) -> str:
        """One line: counts, rate, time left, money."""
        elapsed = max(self._clock() - self._began, 1e-6)
        rate = self.settled / elapsed
        left = max(0, self.asked - self.settled) / rate if rate else 0.0
        lacking = "".join(f", {number} {what}" for what, number in sorted(self.of.items()) if what != "ok")
        pace = "stopping" if self.stopping else f"{rate:.1f}/s  {_span(left)} left"
        return f"{self.settled}/{self.asked}  {self.of['ok']} ok{lacking}  {pace}  ${self.usd:.2f}"


class LineProgress:
    """A plain line every 5 % or 30 seconds."""

    def __init__(self, asked: int, stream: IO[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._count = ProgressCounter(asked, clock)
        self._stream = stream
        self._clock = clock
        self._lock = threading.Lock()
        self._last_time = clock()
        self._last_settled = 0

    def seen(self, samples: tuple[SampleResult, ...]) -> None:
        """Count these samples, and tell when it is time."""
        with self._lock:
            self._count.add(samples)
            news = self._count.settled - self._last_settled
            if news >= self._count.asked * _LINE_EVERY_SHARE or self._overdue():
                self._tell()

    def stopping(self) -> None:
        """Say so in what follows."""
        with self._lock:
            self._count.stopping = True

    def close(self) -> None:
        """Tell the last state, unless it was told."""
        with self._lock:
            if self._count.settled != self._last_settled:
                self._tell()

    def _overdue(self) -> bool:
        return self._clock() - self._last_time >= _LINE_EVERY_S

    def _tell(self) -> None:
        self._last_time, self._last_settled = self._clock(), self._count.settled
        print(self._count.line(), file=self._stream, flush=True)


class BarProgress:
    """A bar that redraws itself."""

    def __init__(self, asked: int, stream: IO[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        from rich.console import Console  # noqa: PLC0415 - only where a terminal is
        from rich.progress import BarColumn, TextColumn  # noqa: PLC0415
        from rich.progress import Progress as RichProgress  # noqa: PLC0415

        self._count = ProgressCounter(asked, clock)
        self._lock = threading.Lock()
        self._rich = RichProgress(
            BarColumn(bar_width=24),
            TextColumn("{task.description}", markup=False),
            console=Console(file=stream),
            refresh_per_second=4,
        )
        self._task = self._rich.add_task("sending the first requests", total=max(1, asked))
        self._rich.start()

    def seen(self, samples: tuple[SampleResult, ...]) -> None:
        """Count these samples and move on."""
        with self._lock:
            self._count.add(samples)
            self._rich.update(self._task, completed=self._count.settled, description=self._count.line())

    def stopping(self) -> None:
        """Say so in place of the time that is left."""
        with self._lock:
            self._count.stopping = True
            self._rich.update(self._task, description=self._count.line())

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._rich.stop()


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s" if minutes else f"{rest}s"
