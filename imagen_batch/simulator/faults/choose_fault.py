"""Chooses the fault for an attempt, by rules from a file and markers in prompts.

A file has a list of rules; the first that applies is used:

    [{"match": "*", "fault": "overloaded_503", "times": 1},
     {"match": {"regex": "cat|dog"}, "fault": "partial", "options": {"count": 2}},
     {"match": "sea", "fault": "internal_500", "probability": 0.2, "seed": 7, "after": 50}]

`times` is counted per prompt, `after` over all prompts. A marker `[[sim:quota_minute 30*2]]` is a rule for
its own prompt, before those of the file: the fault's name, a value for its first option, how many times.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from imagen_batch.simulator.api.http_reply_and_error_json import Refused, invalid
from imagen_batch.simulator.api.models.served_models import Verb
from imagen_batch.simulator.faults.all_faults import FAULTS
from imagen_batch.simulator.faults.fault import Fault

_MARKER = re.compile(r"\[\[sim:(?P<name>\w+)(?:\s+(?P<word>[^\]*]+?))?\s*(?:\*(?P<times>\d+))?\]\]")


class RuleInvalid(ValueError):
    """A rule is invalid; the message names it and the reason."""


@dataclass(frozen=True, slots=True)
class ChosenFault:
    """The fault for one attempt, with all its options."""

    fault: Fault
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a faults file. `times` None means always."""

    pattern: re.Pattern[str]
    chosen: ChosenFault
    times: int | None = None
    after: int = 0
    probability: float = 1.0
    seed: int = 0


@dataclass(slots=True)
class FaultRules:
    """Chooses faults and counts them. Thread-safe."""

    rules: Sequence[Rule] = ()
    _attempts: Counter[tuple[int, str]] = field(default_factory=Counter)
    _skipped: Counter[int] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def choose(self, prompt: str, verb: Verb) -> ChosenFault | None:
        """Return the fault for this attempt. Raises Refused for an unknown marker or a fault of the other dialect."""
        marked = [_from_marker(match) for match in _MARKER.finditer(prompt)]
        with self._lock:
            applying = (rule for at, rule in self._numbered(marked) if self._applies(at, rule, prompt))
            rule = next(applying, None)
        if rule is None:
            return None
        if rule.chosen.fault.verb not in (None, verb):
            raise Refused(invalid(f"The simulator has no fault {rule.chosen.fault.name} for {verb}."))
        return rule.chosen

    def _numbered(self, marked: Iterable[Rule]) -> Iterable[tuple[int, Rule]]:
        """Number the rules: markers count below zero, so that the file's rules keep their own numbers."""
        return [*((-1 - at, rule) for at, rule in enumerate(marked)), *enumerate(self.rules)]

    def _applies(self, at: int, rule: Rule, prompt: str) -> bool:
        if not rule.pattern.search(prompt):
            return False
        if self._skipped[at] < rule.after:
            self._skipped[at] += 1
            return False
        key = at, hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()
        turn = self._attempts[key]
        self._attempts[key] += 1
        return (rule.times is None or turn < rule.times) and _random(rule.seed, key, turn) < rule.probability


def read_rules(value: Any) -> list[Rule]:
    """Parse the JSON of a faults file. Raises RuleInvalid."""
    if not isinstance(value, list):
        raise RuleInvalid("a faults file must have a list of rules")
    return [_rule(entry, at) for at, entry in enumerate(value, start=1)]


def _rule(entry: Any, at: int) -> Rule:
    allowed = {"match", "fault", "times", "after", "probability", "seed", "options"}
    if not isinstance(entry, dict) or not {"fault"} <= entry.keys() <= allowed:
        raise RuleInvalid(f'rule {at}: needs "fault", and knows {", ".join(sorted(allowed))}')
    try:
        _check_counts(entry)
        return Rule(
            pattern=_pattern(entry.get("match", "*")),
            chosen=_chosen(entry["fault"], entry.get("options", {})),
            times=entry.get("times"),
            after=entry.get("after", 0),
            probability=entry.get("probability", 1.0),
            seed=entry.get("seed", 0),
        )
    except (RuleInvalid, re.error) as exc:
        raise RuleInvalid(f"rule {at}: {exc}") from exc


def _check_counts(entry: Mapping[str, Any]) -> None:
    for name in ("times", "after", "probability", "seed"):
        value = entry.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int if name != "probability" else int | float):
            raise RuleInvalid(f'"{name}" is a number, not {value!r}')


def _pattern(match: Any) -> re.Pattern[str]:
    if isinstance(match, dict) and match.keys() == {"regex"}:
        return re.compile(match["regex"])
    if not isinstance(match, str):
        raise RuleInvalid('"match" is "*", a part of the prompt, or {"regex": ...}')
    return re.compile("" if match == "*" else re.escape(match))


def _chosen(name: str, options: Mapping[str, Any]) -> ChosenFault:
    if name not in FAULTS:
        raise RuleInvalid(f"no fault {name!r}; there are {', '.join(FAULTS)}")
    fault = FAULTS[name]
    unknown = options.keys() - fault.options.keys()
    if unknown:
        raise RuleInvalid(
            f"{name} has no option {', '.join(sorted(unknown))}; it has {', '.join(fault.options) or 'none'}"
        )
    return ChosenFault(fault, {**fault.options, **options})


def _from_marker(match: re.Match[str]) -> Rule:
    try:
        chosen = _chosen(match["name"], {})
        if match["word"]:
            chosen = _chosen(match["name"], _first_option(chosen.fault, match["word"]))
    except (RuleInvalid, ValueError) as exc:
        raise Refused(invalid(f"{match[0]}: {exc}")) from exc
    return Rule(re.compile(""), chosen, times=int(match["times"]) if match["times"] else None)


def _first_option(fault: Fault, value: str) -> dict[str, Any]:
    if not fault.options:
        raise RuleInvalid(f"{fault.name} takes no value")
    name, default = next(iter(fault.options.items()))
    return {name: type(default)(value)}


def _random(seed: int, key: tuple[int, str], turn: int) -> float:
    """Return a number from 0 to 1, the same for the same attempt whatever the order in which attempts arrive."""
    return int.from_bytes(hashlib.sha256(f"{seed} {key} {turn}".encode()).digest()[:8], "big") / 2**64
