"""Compiles a `--where` expression to an Arrow expression over the manifest's columns.

The text is parsed as Python's expression syntax and translated node by node; nothing of it is ever executed.
A text column that is compared with a number is read as a number; cells that are not numbers count as empty. A number,
truth or date that is compared with text, or passed to a function for text, is compared as the text that it was, so
that an expression means the same for a column that an earlier version wrote as text.
"""

from __future__ import annotations

import ast
import difflib
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from imagen_batch.errors import SettingsInvalid
from imagen_batch.reports.tables.typed_user_columns import cell_text, type_of
from imagen_batch.text import shorten

Kind = Literal["text", "number", "truth", "moment", "nothing"]

_MAX_LENGTH = 4_000
_NUMBER = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"
_MOMENT = pa.timestamp("ms", tz="UTC")
_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True, slots=True)
class _Term:
    value: Any  # an Arrow expression
    kind: Kind
    literal: object = None
    text: Any = None  # an expression of the same value as text, where that is not obvious


class _InvalidExpression(Exception):
    """An error in the expression; its message is the end of a sentence."""


def compile_where(text: str, schema: pa.Schema) -> pc.Expression:
    """Return the expression that is true for the rows to keep. Raises SettingsInvalid with the known columns."""
    try:
        term = _Compiler(schema).truth(_parse(text))
        schema.empty_table().filter(term.value)
    except _InvalidExpression as wrong:
        raise SettingsInvalid(f"--where {shorten(text, 200)!r}: {wrong}. {_known(schema)}") from None
    except RecursionError:
        raise SettingsInvalid(f"--where {shorten(text, 200)!r}: it is nested too deeply. {_known(schema)}") from None
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise SettingsInvalid(f"--where {shorten(text, 200)!r}: {reason}. {_known(schema)}") from error
    return term.value


def _parse(text: str) -> ast.expr:
    if len(text) > _MAX_LENGTH:
        raise _InvalidExpression(f"it has {len(text):,} characters, and at most {_MAX_LENGTH:,} are read")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError) as error:
        hint = "; equality is written ==" if "=" in text and "==" not in text else ""
        detail = error.msg if isinstance(error, SyntaxError) else "it is nested too deeply"
        raise _InvalidExpression(f"it cannot be read ({detail}{hint})") from error


class _Compiler:
    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema

    def compile(self, node: ast.expr) -> _Term:
        """Translate a node and all nodes below it."""
        match node:
            case ast.Name(id=name):
                return self._column(name)
            case ast.Constant(value=value):
                return _constant(value)
            case ast.BoolOp() | ast.UnaryOp():
                return self._combine(node)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                sides = (_number(self.compile(left)).value, _number(self.compile(right)).value)
                return _Term(_ARITHMETIC[type(op)](*sides), "number")
            case ast.Compare():
                return self._compare(node)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(name, arguments)
        raise _unsupported(node)

    def _combine(self, node: ast.BoolOp | ast.UnaryOp) -> _Term:
        match node:
            case ast.BoolOp(op=op, values=values):
                terms = [self.truth(value).value for value in values]
                return _Term(reduce(operator.and_ if isinstance(op, ast.And) else operator.or_, terms), "truth")
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return _Term(~self.truth(operand).value, "truth")
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return _Term(pc.negate(_number(self.compile(operand)).value), "number")
        raise _unsupported(node)

    def truth(self, node: ast.expr) -> _Term:
        """Translate a node that has to be true or false."""
        term = self.compile(node)
        if term.kind != "truth":
            raise _InvalidExpression(
                f"{ast.unparse(node)!r} is neither true nor false; compare a column with a value"
            )
        return term

    def _column(self, name: str) -> _Term:
        if name not in self._schema.names:
            near = difflib.get_close_matches(name, self._schema.names, n=1)
            raise _InvalidExpression(
                f"there is no column {name!r}" + (f"; the nearest is {near[0]!r}" if near else "")
            )
        return _field(name, self._schema.field(name))

    def _compare(self, node: ast.Compare) -> _Term:
        comparisons, left = [], node.left
        for op, right in zip(node.ops, node.comparators, strict=True):
            comparisons.append(self._pair(left, op, right))
            left = right
        return _Term(reduce(operator.and_, comparisons), "truth")

    def _pair(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Any:
        if isinstance(op, ast.In | ast.NotIn):
            inside = self._inside(left, right)
            return ~inside if isinstance(op, ast.NotIn) else inside
        first, second = self.compile(left), self.compile(right)
        if isinstance(op, ast.Is | ast.IsNot):
            return _missing(first, second, absent=isinstance(op, ast.Is))
        first, second = _alike(first, second)
        return _COMPARE[type(op)](first.value, second.value)

    def _inside(self, left: ast.expr, right: ast.expr) -> Any:
        if isinstance(right, ast.Tuple | ast.List | ast.Set):
            if not right.elts:
                raise _InvalidExpression("the list after 'in' is empty")
            return reduce(operator.or_, (self._pair(left, ast.Eq(), value) for value in right.elts))
        return self._call("contains", [right, left]).value

    def _call(self, name: str, arguments: list[ast.expr]) -> _Term:
        terms = [] if name == "column" else [self.compile(argument) for argument in arguments]
        match name, terms, arguments:
            case "column", _, [ast.Constant(value=str(column))]:
                return self._column(column)
            case "lower", [text], _:
                return _Term(pc.utf8_lower(_text(text).value), "text")
            case "length", [text], _:
                return _Term(pc.utf8_length(_text(text).value), "number")
            case (("contains" | "startswith" | "endswith"), [text, _Term(literal=str(part))], _):
                search = {"contains": pc.match_substring, "startswith": pc.starts_with, "endswith": pc.ends_with}
                return _Term(search[name](_text(text).value, part), "truth")
        raise _InvalidExpression(
            f"{name}() is not supported here; there are column('name'), lower(text), length(text), "
            "contains(text, 'part'), startswith(text, 'part') and endswith(text, 'part')"
        )


def _unsupported(node: ast.expr) -> _InvalidExpression:
    return _InvalidExpression(
        f"{shorten(ast.unparse(node), 200)!r} is not supported; use columns, values, == != < > in, and, or, not"
    )


def _field(name: str, of_schema: pa.Field) -> _Term:
    field, type_ = pc.field(name), of_schema.type
    as_text = _user_text(field, of_schema)
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return _Term(as_text, "text")
    if pa.types.is_dictionary(type_) and pa.types.is_string(type_.value_type):
        return _Term(field.cast(pa.string()), "text")
    if pa.types.is_boolean(type_):
        return _Term(field, "truth", text=as_text)
    if pa.types.is_integer(type_) or pa.types.is_floating(type_):
        return _Term(field, "number", text=as_text)
    if pa.types.is_timestamp(type_) or pa.types.is_date(type_):
        return _Term(field.cast(_MOMENT), "moment", text=as_text)
    raise _InvalidExpression(f"the column {name!r} ({type_}) cannot be compared")


def _user_text(field: pc.Expression, of_schema: pa.Field) -> pc.Expression | None:
    """Return a column as the text of its cells; for other types than text only if it is one of the user's."""
    if type_of(of_schema) is None:
        return field if of_schema.type == pa.string() or of_schema.type == pa.large_string() else None
    text = field.cast(pa.string())
    if pa.types.is_boolean(of_schema.type):
        yes, no = (pc.scalar(cell_text(value, of_schema)) for value in (True, False))
        text = pc.if_else(field, yes, no)
    return pc.coalesce(text, pc.scalar(""))


def _constant(value: object) -> _Term:
    if value is None:
        return _Term(None, "nothing")
    kinds: dict[type, Kind] = {bool: "truth", int: "number", float: "number", str: "text"}
    if type(value) not in kinds or (isinstance(value, int) and abs(value) >= 2**63):
        raise _InvalidExpression(f"the value {value!r} is not supported")
    return _Term(pc.scalar(value), kinds[type(value)], value)


def _missing(first: _Term, second: _Term, *, absent: bool) -> Any:
    if second.kind != "nothing" or first.kind == "nothing":
        raise _InvalidExpression("'is' is only for None, as in: seed is None")
    is_empty = first.value.is_null()
    if first.kind == "text":  # an earlier version wrote empty cells as empty text
        is_empty = is_empty | (first.value == "")
    return is_empty if absent else ~is_empty


def _alike(first: _Term, second: _Term) -> tuple[_Term, _Term]:
    """Return both terms, converted to the same kind."""
    kinds = {first.kind, second.kind}
    if len(kinds) == 1 and "nothing" not in kinds:
        return first, second
    if "nothing" in kinds:
        raise _InvalidExpression("empty cells are found with: column is None")
    if kinds == {"text", "number"}:
        if any(isinstance(term.literal, str) and not re.match(_NUMBER, term.literal) for term in (first, second)):
            return _text(first), _text(second)
        return _number(first), _number(second)
    if kinds == {"text", "truth"}:
        return _text(first), _text(second)
    if kinds == {"text", "moment"}:
        return _moment(first), _moment(second)
    raise _InvalidExpression(f"a {first.kind} cannot be compared with a {second.kind}")


def _number(term: _Term) -> _Term:
    if term.kind == "number":
        return term
    if term.kind != "text":
        raise _InvalidExpression(f"a {term.kind} is not a number")
    digits = pc.match_substring_regex(term.value, _NUMBER)
    kept = pc.if_else(digits, pc.utf8_trim_whitespace(term.value), pc.scalar(pa.scalar(None, pa.string())))
    return _Term(kept.cast(pa.float64()), "number")


def _moment(term: _Term) -> _Term:
    if term.kind == "moment":
        return term
    try:
        moment = datetime.fromisoformat(str(term.literal))
    except ValueError as error:
        raise _InvalidExpression(
            f"{term.literal!r} is not a date; write '2026-11-26' or '2026-11-26T06:00'"
        ) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return _Term(pc.scalar(pa.scalar(moment, _MOMENT)), "moment")


def _text(term: _Term) -> _Term:
    if term.kind != "text" and term.text is None:
        raise _InvalidExpression(f"a {term.kind} is not text")
    return term if term.kind == "text" else _Term(term.text, "text")


def _known(schema: pa.Schema) -> str:
    return f"Columns: {', '.join(schema.names)}"
