"""Writes the messages of a command as JSON, one object a line.

The text of prompts is left out unless the user asks for it: no event has the names of images, which may be made of
prompts, or the words of the service, which may quote them.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from imagen_batch.system.streams import format_messages, write_line
from imagen_batch.text import iso_utc, json_text, plural

if TYPE_CHECKING:
    from imagen_batch.records import Problem, SampleResult
    from imagen_batch.reports.summary import Summary

ENVIRONMENT: Final = "IMAGEN_BATCH_LOG_FORMAT"
_LEVELS = ("warning", "error")
_MAX_CHARS = 10_000  # of a text
_MAX_PROBLEMS = 100
_SERVICE_WORDS = ("file", "error", "reason")


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


@dataclass
class JsonLog:
    """The log of one command. It takes over the messages with `activate`; `flow_run_id` is Prefect's, once known."""

    active: bool = False
    with_prompts: bool = False
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    flow_run_id: str | None = None
    clock: Callable[[], datetime] = now
    write: Callable[[str], None] = write_line

    def activate(self) -> None:
        """Write every message of this process as a line of this log."""
        self.active = True
        format_messages(self.format)

    def note_flow_run(self, flow_run_id: str) -> None:
        """Add the id of Prefect's flow run to the following lines."""
        self.flow_run_id = flow_run_id

    def format(self, text: str) -> str:
        """Return the line for a message. Its level is the word that it begins with: "warning: ..."."""
        level, colon, rest = text.partition(": ")
        if colon and level in _LEVELS:
            return self._line("message", level, rest)
        return self._line("message", "info", text)

    def problems(self, problems: Sequence[Problem]) -> None:
        """Write a line for each problem of the input, without the cell that has it."""
        for problem in problems[:_MAX_PROBLEMS]:
            facts: dict[str, Any] = {"line": problem.line, "column": problem.column}
            if self.with_prompts:
                facts["found"] = problem.found
            self.write(self._line("problem", "error", problem.message, facts))
        count = plural(len(problems), "problem")
        self.write(self._line("message", "error", f"{count} in the prompt file: nothing was sent"))

    def progress(self, text: str, facts: Mapping[str, Any]) -> None:
        """Write how far the run is."""
        self.write(self._line("progress", "info", text, facts))

    def sample(self, sample: SampleResult) -> None:
        """Write the outcome of a sample."""
        facts: dict[str, Any] = {
            "status": sample.status,
            "error_kind": sample.error_kind,
            "filter_category": sample.filter_category,
            "sha256": sample.sha256,
            "cost_usd": sample.cost_usd,
        }
        if self.with_prompts:
            facts |= {name: getattr(sample, name) for name in _SERVICE_WORDS}
        known = {name: value for name, value in facts.items() if value is not None}
        level = "info" if sample.status == "ok" else "warning"
        self.write(self._line("sample", level, f"a sample is {sample.status.replace('_', ' ')}", known))

    def end(self, summary: Summary) -> None:
        """Write how the run ended."""
        facts: dict[str, Any] = {
            "state": summary.state,
            "exit_code": summary.exit_code,
            "samples": {"asked": summary.asked, **summary.counts},
            "attempts": summary.attempts,
            "refused_429": summary.facts.refused_429,
            "cost_usd": summary.cost_usd,
            "out": summary.facts.out,
        }
        level = "info" if summary.exit_code == 0 else "warning"
        self.write(self._line("end", level, f"the run is {summary.state}", facts))

    def _line(self, event: str, level: str, message: str, facts: Mapping[str, Any] | None = None) -> str:
        line = {
            "time": iso_utc(self.clock()),
            "level": level,
            "event": event,
            "message": message[:_MAX_CHARS],
            "run_id": self.run_id,
        }
        if self.flow_run_id is not None:
            line["flow_run_id"] = self.flow_run_id
        return json_text({**line, **(facts or {})})


_current = JsonLog()


def start_log() -> JsonLog:
    """Begin the log of a command, which is not active yet: messages are plain lines again."""
    global _current  # noqa: PLW0603 - like standard error itself, there is one for the process
    _current = JsonLog()
    format_messages(None)
    return _current


def current_log() -> JsonLog:
    """Return the log of the command that this process runs."""
    return _current


def is_wanted(argv: Sequence[str], env: Mapping[str, str] = os.environ) -> bool:
    """Whether the command line or the environment asks for JSON: also errors before the settings are read need it."""
    typed = [word.partition("=")[2] or following for word, following in pairwise([*argv, ""]) if _is_option(word)]
    return (typed[-1] if typed else env.get(ENVIRONMENT, "")) == "json"


def _is_option(word: str) -> bool:
    return word.partition("=")[0] == "--log-format"
