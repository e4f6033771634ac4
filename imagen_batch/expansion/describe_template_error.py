"""Describes mistakes in a prompt template in the words of its author, without names of Python or Jinja."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.utils import missing

from imagen_batch.text import did_you_mean, one_line, shorten

_MAX_MESSAGE: Final = 300
_WORDS: Final[Mapping[str, str]] = {
    "str": "text",
    "int": "number",
    "float": "number",
    "bool": "truth value",
    "NoneType": "missing value",
    "dict": "table",
    **dict.fromkeys(("list", "tuple", "range", "generator", "list_reverseiterator", "reversed"), "list"),
    **dict.fromkeys(("method", "function", "builtin_function_or_method"), "function"),
    "LoopContext": "loop",
    "CharacterAccess": "char",
    "CharacterList": "list of characters",
    "Character": "character",
    "Style": "style",
}
_NAMED_BY: Final = {"style": "name", "character": "name", "function": "__name__"}
_TYPE_NAME: Final = re.compile(rf"(['\"])({'|'.join(_WORDS)})\1")
_FUNCTION: Final = re.compile(r"\b(?:do_|_)?(\w+?)(?:_within_limit)?\(\)")
_TWO_TYPES: Final = r"['\"](\w+)['\"] and ['\"](\w+)['\"]"

# Messages of Python about an operation that the types of its values do not have.
_OF_PYTHON: Final = (
    (r"'(.+)' not supported between instances of " + _TWO_TYPES, r"a {2} and a {3} can't be compared with {1}"),
    (
        r"unsupported operand type\(s\) for (\S+): " + _TWO_TYPES,
        r"{1} can't be used with a {2} and a {3}: ~ joins texts",
    ),
    (r'can only concatenate (\w+) \(not "(\w+)"\) to \w+', r"+ can't be used with a {1} and a {2}: ~ joins texts"),
    (r"can't multiply sequence by non-int of type '(\w+)'", r"* can't be used with a {1}"),
    (
        r"bad operand type for (?:unary )?(\S+): '(\w+)'",
        r"{1} can't be used with a {2}; |int and |float make numbers",
    ),
    (r"'(\w+)' object is not iterable", r"a {1} is not a list"),
    (r"'(\w+)' object cannot be interpreted as an integer", r"a {1} is not a whole number; |int makes one"),
    (r"type (\w+) doesn't define __round__ method", r"a {1} can't be rounded; |float makes a number"),
    (r"slice indices must be integers.*", r"a position in brackets must be a whole number"),
)


class MissingValue(StrictUndefined):
    """A name without a value. Whatever is done with it fails with its message."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        name: object = self._undefined_name  # of an item it is a number
        owner = self._undefined_obj
        if self._undefined_hint:
            return str(self._undefined_hint)
        if owner is missing:
            return f"{name!r} has no value"
        if isinstance(name, int):
            return f"{describe_value(owner)} has no item {name}"
        hint = did_you_mean(str(name), map(str, owner)) if isinstance(owner, dict) else ""
        return f"{describe_value(owner)} has no {shorten(str(name), 80)!r}{hint}"


def describe_value(value: object) -> str:
    """Return a value in words: "the style ink", "the text 'abc'", "the list"."""
    word = kind_of_value(value)
    if word == "char":
        return word
    if isinstance(value, str):
        return f"the text {shorten(value, 40)!r}"
    name = getattr(value, _NAMED_BY[word], None) if word in _NAMED_BY else None
    return f"the {word} {name}" if isinstance(name, str) else f"the {word}"


def kind_of_value(value: object) -> str:
    """Return the word for a value: "text", "number", "list", "function"."""
    return _WORDS.get(type(value).__name__, "value")


def describe_error(error: Exception, *, known_names: Iterable[str] = ()) -> str:
    """Return what is wrong with a template. `known_names` are those of filters, for one that does not exist."""
    message = str(error.message if isinstance(error, TemplateError) and error.message else error)
    if isinstance(error, TemplateError) and (unknown := re.match(r"No (filter|test) named '(.+)'", message)):
        hint = did_you_mean(unknown[2], known_names) if unknown[1] == "filter" else ""
        return one_line(f"there is no {unknown[1]} {unknown[2]!r}{hint}", _MAX_MESSAGE)
    if isinstance(error, TemplateSyntaxError):
        return one_line(message[:1].lower() + message[1:], _MAX_MESSAGE)
    if isinstance(error, TemplateError):
        return one_line(message, _MAX_MESSAGE)
    return one_line(_describe_python_error(error, message), _MAX_MESSAGE)


def _describe_python_error(error: Exception, message: str) -> str:
    if isinstance(error, RecursionError | MemoryError):
        return "it is nested too deeply"
    if not isinstance(error, TypeError):
        return message or "it can't be calculated"
    for pattern, text in _OF_PYTHON:
        if match := re.fullmatch(pattern, message):
            return text.format(message, *(_WORDS.get(group, group) for group in match.groups()))
    named = _TYPE_NAME.sub(lambda name: f"{name[1]}{_WORDS[name[2]]}{name[1]}", message)
    return _FUNCTION.sub(r"\1()", named.replace("str.", "").replace("NoneType", "missing value"))


def explain_no_text(value: Any) -> str:
    """Return why a value can't become part of a prompt, and what can."""
    word = kind_of_value(value)
    if value is None:
        return "there is no value to put into the text"
    remedy = {
        "list": "use |join(', ')",
        "table": "name one of its columns, as in columns['NAME']",
        "function": "call it, with ()",
        "char": "name a character, as in char.NAME",
        "loop": "use loop.index",
    }.get(word, "")
    subject = word if word in {"char", "loop"} else f"a {word}"
    return f"{subject} is not text" + (f": {remedy}" if remedy else "")
