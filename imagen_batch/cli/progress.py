"""Shows the progress of a run: a bar on a terminal, otherwise plain lines, and never on standard output."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import IO

from imagen_batch.monitoring.json_log import JsonLog
from imagen_batch.records import SampleResult
from imagen_batch.runs.run_observer import Progress
from imagen_batch.text import one_line, usd

_LINE_EVERY_S = 30.0
_LINE_EVERY_SHARE = 0.05
_MAX_CHARS = 500  # of the text about a sample


def make_progress(
    total: int, *, mode: str, verbose: bool = False, stream: IO[str] | None = None, log: JsonLog | None = None
) -> Progress:
    """Return the display for `total` images; `auto` is a bar on a terminal and plain lines in a file or a pipe.

    With a `log` all of it is written there.
    """
    if log is not None and mode != "none":
        return JsonProgress(total, log, verbose=verbose)
    stream = stream or sys.stderr
    if mode == "auto":
        mode = "bar" if stream.isatty() else "plain"
    kinds: dict[str, Callable[[], Progress]] = {
        "none": NoProgress,
        "bar": lambda: BarProgress(total, stream),
        "plain": lambda: LineProgress(total, stream),
    }
    return VerboseProgress(kinds[mode](), stream) if verbose else kinds[mode]()


class NoProgress:
    """Shows nothing."""

    def update(self, samples: tuple[SampleResult, ...]) -> None:
        """Do nothing."""

    def stopping(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class VerboseProgress:
    """A progress printer that shows the outcome of each sample as well."""

    def __init__(self, inner: Progress, stream: IO[str]) -> None:
        self._inner = inner
        self._stream = stream

    def update(self, samples: tuple[SampleResult, ...]) -> None:
        """Print the outcomes and pass them on."""
        for sample in samples:
            outcome = sample.file or sample.error or sample.reason or "no reason given"
            print(f"{sample.status}: {one_line(outcome, _MAX_CHARS)}", file=self._stream)
        self._inner.update(samples)

    def stopping(self) -> None:
        """Show in the inner display that the run is stopping."""
        self._inner.stopping()

    def close(self) -> None:
        """Close the inner display."""
        self._inner.close()


class ProgressCounter:
    """Counts outcomes and money, and computes the rate."""

    def __init__(self, total: int, clock: Callable[[], float]) -> None:
        self.total = total
        self.outcomes: Counter[str] = Counter()
        self.usd = 0.0
        self.stopping = False
        self._clock = clock
        self._began = clock()

    def add(self, samples: tuple[SampleResult, ...]) -> None:
        """Count these samples."""
        self.outcomes.update(sample.status for sample in samples)
        self.usd += sum(sample.cost_usd or 0.0 for sample in samples)

    @property
    def finished(self) -> int:
        """Samples that have an outcome."""
        return self.outcomes.total()

    def line(self) -> str:
        """Format counts, rate, remaining time and money in one line."""
        elapsed = max(self._clock() - self._began, 1e-6)
        rate = self.finished / elapsed
        seconds_left = max(0, self.total - self.finished) / rate if rate else 0.0
        others = "".join(
            f", {count} {outcome}" for outcome, count in sorted(self.outcomes.items()) if outcome != "ok"
        )
        pace = "stopping" if self.stopping else f"{rate:.1f}/s  {_format_seconds(seconds_left)} left"
        return f"{self.finished}/{self.total}  {self.outcomes['ok']} ok{others}  {pace}  {usd(self.usd)}"


class _PeriodicProgress:
    """Writes a state every 5 % or 30 seconds, and the last one at the end."""

    def __init__(self, total: int, clock: Callable[[], float]) -> None:
        self._counter = ProgressCounter(total, clock)
        self._clock = clock
        self._lock = threading.Lock()
        self._last_time, self._last_finished = clock(), 0

    def update(self, samples: tuple[SampleResult, ...]) -> None:
        """Count these samples and write what is due."""
        with self._lock:
            self._note(samples)
            self._counter.add(samples)
            new = self._counter.finished - self._last_finished
            if new >= self._counter.total * _LINE_EVERY_SHARE or self._clock() - self._last_time >= _LINE_EVERY_S:
                self._write()

    def stopping(self) -> None:
        """Write "stopping" in the following lines."""
        with self._lock:
            self._counter.stopping = True

    def close(self) -> None:
        """Write the last state unless it was written already."""
        with self._lock:
            if self._counter.finished != self._last_finished:
                self._write()

    def _write(self) -> None:
        self._last_time, self._last_finished = self._clock(), self._counter.finished
        self._write_state(self._counter)

    def _note(self, samples: tuple[SampleResult, ...]) -> None:
        """Write what is to be said about single samples; nothing by default."""

    def _write_state(self, counter: ProgressCounter) -> None:
        raise NotImplementedError


class LineProgress(_PeriodicProgress):
    """Prints a plain line for each state."""

    def __init__(self, total: int, stream: IO[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(total, clock)
        self._stream = stream

    def _write_state(self, counter: ProgressCounter) -> None:
        print(counter.line(), file=self._stream, flush=True)


class JsonProgress(_PeriodicProgress):
    """Writes each state to a JSON log, and samples without an image; `verbose`: all samples."""

    def __init__(
        self, total: int, log: JsonLog, *, verbose: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(total, clock)
        self._log = log
        self._verbose = verbose

    def _note(self, samples: tuple[SampleResult, ...]) -> None:
        for sample in samples:
            if self._verbose or sample.status != "ok":
                self._log.sample(sample)

    def _write_state(self, counter: ProgressCounter) -> None:
        facts = {"finished": counter.finished, "total": counter.total, "outcomes": dict(counter.outcomes)}
        self._log.progress(counter.line(), {**facts, "cost_usd": round(counter.usd, 6)})


class BarProgress:
    """Draws a progress bar."""

    def __init__(self, total: int, stream: IO[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        from rich.console import Console  # noqa: PLC0415 - only needed on a terminal
        from rich.progress import BarColumn, TextColumn  # noqa: PLC0415
        from rich.progress import Progress as RichProgress  # noqa: PLC0415

        self._counter = ProgressCounter(total, clock)
        self._lock = threading.Lock()
        self._rich = RichProgress(
            BarColumn(bar_width=24),
            TextColumn("{task.description}", markup=False),
            console=Console(file=stream),
            refresh_per_second=4,
        )
        self._task = self._rich.add_task("sending the first requests", total=max(1, total))
        self._rich.start()

    def update(self, samples: tuple[SampleResult, ...]) -> None:
        """Count these samples and advance the bar."""
        with self._lock:
            self._counter.add(samples)
            self._rich.update(self._task, completed=self._counter.finished, description=self._counter.line())

    def stopping(self) -> None:
        """Show "stopping" instead of the remaining time."""
        with self._lock:
            self._counter.stopping = True
            self._rich.update(self._task, description=self._counter.line())

    def close(self) -> None:
        """Stop drawing; the bar stays on the screen."""
        self._rich.stop()


def _format_seconds(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s" if minutes else f"{rest}s"
