"""Limits Jinja to what prompt templates need: no files, no attributes of Python, bounded time and memory.

A template comes from the user, but it may have been downloaded. Each loop, call and joined text counts against the
limits of one rendering.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final

from jinja2 import Undefined
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from imagen_batch.expansion.describe_template_error import MissingValue, describe_value, explain_no_text

MAX_TEXT: Final = 100_000
"""Characters of a rendered prompt, and of any text that its expressions produce."""
_MAX_STEPS: Final = 20_000  # of loops and calls in one rendering
_MAX_REPEATED: Final = 10_000_000  # characters of template text that loops may repeat
_MAX_RANGE: Final = 10_000
_MAX_SECONDS: Final = 2.0
_MAX_BITS: Final = 4096  # of a whole number

_TEXT_FILTERS = ("upper", "lower", "title", "capitalize", "trim", "truncate", "wordcount", "int", "float")
_LIST_FILTERS = ("first", "last", "length", "count", "list", "sort", "unique", "reverse", "min", "max", "abs")
_OTHER_FILTERS = ("default", "d", "select", "reject", "map", "items")
_STR_METHODS = frozenset(
    {
        *("upper", "lower", "title", "capitalize", "strip", "lstrip", "rstrip", "split", "startswith", "endswith"),
        *("removeprefix", "removesuffix", "splitlines", "count", "find", "isdigit", "isupper", "islower"),
    }
)
_DICT_METHODS = frozenset({"items", "keys", "values", "get"})


class LimitExceeded(Exception):
    """A template exceeds a limit; the message says which."""


class Limits(threading.local):
    """The steps and time that one rendering has used. Each thread has its own."""

    def __init__(self) -> None:
        self.steps = 0
        self.max_steps = _MAX_STEPS
        self.deadline = 0.0

    def start(self, source_length: int) -> None:
        """Begin a rendering of a template with this many characters."""
        self.steps = 0
        self.max_steps = min(_MAX_STEPS, max(100, _MAX_REPEATED // max(1, source_length)))
        self.deadline = time.monotonic() + _MAX_SECONDS

    def step(self) -> None:
        """Count one pass of a loop, or one call."""
        self.steps += 1
        if self.steps > self.max_steps:
            raise LimitExceeded(f"its loops take more than {self.max_steps:,} steps for one row")
        if time.monotonic() > self.deadline:
            raise LimitExceeded(f"it takes more than {_MAX_SECONDS:g} seconds for one row")


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """Jinja with the limits of this module."""

    intercepted_binops = frozenset({"+", "*", "%"})

    def __init__(self) -> None:
        self.limits = Limits()
        super().__init__(
            undefined=MissingValue,
            autoescape=False,
            optimized=False,
            finalize=check_text,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.globals = {"range": self._range}
        self.filters = self._filters()

    def is_safe_callable(self, obj: Any) -> bool:
        """Allow our range, a loop's functions, and a few methods of texts and tables."""
        owner, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        if owner is self or isinstance(owner, LoopContext):
            return name in ("_range", "cycle", "changed")
        return (type(owner) is str and name in _STR_METHODS) or (type(owner) is dict and name in _DICT_METHODS)

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as in Jinja
        __self.limits.step()
        if not __self.is_safe_callable(__obj) and not isinstance(__obj, Undefined):
            raise SecurityError(f"{describe_value(__obj)} can't be called in a prompt template")
        return super().call(__context, __obj, *args, **kwargs)

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        """Return the value of an attribute that a template may not use: an error."""
        hint = f"{attribute!r} can't be used in a prompt template"
        return self.undefined(hint, name=attribute, obj=obj, exc=SecurityError)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Add, multiply or take the remainder, if the result is not too large."""
        self.limits.step()
        if operator == "%" and isinstance(left, str):
            raise SecurityError("% can't be used on text: join texts with ~")
        if operator == "*":
            _check_product(left, right)
        if operator == "+" and _length(left) + _length(right) > MAX_TEXT:
            raise LimitExceeded(_too_long_message())
        return super().call_binop(context, operator, left, right)

    def _range(self, *bounds: int) -> range:
        numbers = range(*bounds)
        if len(numbers) > _MAX_RANGE:
            raise LimitExceeded(f"range() has more than {_MAX_RANGE:,} numbers")
        return numbers

    def _filters(self) -> dict[str, Callable[..., Any]]:
        own: dict[str, Callable[..., Any]] = {
            "join": self._join,
            "replace": _replace_within_limit,
            "round": _round_within_limit,
            "string": check_text,
            "_concat": partial(self._join, separator=""),
            "_each": self._each,
            "_scalar": check_text,
        }
        text = {name: _refuse_lists(FILTERS[name]) for name in _TEXT_FILTERS}
        return {name: FILTERS[name] for name in (*_LIST_FILTERS, *_OTHER_FILTERS)} | text | own

    def _each(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self.limits.step()
            yield item

    def _join(self, items: Iterable[Any], separator: str = "") -> str:
        texts, length = [], 0
        for item in items:
            text = str(check_text(item))
            length += len(text) + len(separator)
            if length > MAX_TEXT:
                raise LimitExceeded(_too_long_message())
            texts.append(text)
        return separator.join(texts)


class Expression:
    """The base class of our own objects that a template may put into its text."""

    __slots__ = ()


def check_text(value: Any) -> Any:
    """Return the value if it may become part of a prompt: neither None nor a list, whose text may have any length."""
    if isinstance(value, str | int | float | Expression | Undefined):
        if isinstance(value, str) and len(value) > MAX_TEXT:
            raise LimitExceeded(_too_long_message())
        return value
    raise SecurityError(explain_no_text(value))


def _refuse_lists(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that refuses lists. Jinja marks those filters to which it passes its environment first."""
    mark = getattr(function, "jinja_pass_arg", None)
    position = 0 if mark is None else 1

    def text_filter(*args: Any, **kwargs: Any) -> Any:
        check_text(args[position])
        return function(*args, **kwargs)

    if mark is not None:
        text_filter.jinja_pass_arg = mark  # type: ignore[attr-defined]
    return text_filter


def _replace_within_limit(text: Any, old: str, new: str, count: int = -1) -> str:
    source = str(check_text(text))
    if len(source) + (source.count(old) if old else len(source) + 1) * len(new) > MAX_TEXT:
        raise LimitExceeded(_too_long_message())
    return source.replace(old, new, count)


def _round_within_limit(value: float, precision: int = 0) -> float:
    return round(value, max(-15, min(int(precision), 15)))


def _check_product(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        if left.bit_length() + right.bit_length() > _MAX_BITS:
            raise LimitExceeded("a number is too large")
    else:
        factor = max([each for each in (left, right) if isinstance(each, int)], default=1)
        if max(_length(left), _length(right)) * factor > MAX_TEXT:
            raise LimitExceeded(_too_long_message())


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str | list | tuple | range) else 0


def _too_long_message() -> str:
    return f"it makes a text of more than {MAX_TEXT:,} characters"
