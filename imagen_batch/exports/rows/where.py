"""Compiles a `--where` expression to an Arrow expression over the manifest's columns.

The text is parsed as Python's expression syntax and translated node by node; nothing of it is ever executed.
A text column that is compared with a number is read as a number; cells that are not numbers count as empty. A number,
truth or date that is compared with text, or passed to a function for text, is compared as the text that it was, so
that an expression means the same for a column that an earlier version wrote as text.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from imagen_batch.errors import SettingsInvalid
from imagen_batch.exports.rows.manifest import describe_missing_column
from imagen_batch.exports.rows.where_terms import (
    InvalidExpression,
    Term,
    as_decimal,
    as_number,
    as_same_kind,
    as_text,
    column_term,
    constant_term,
    is_missing,
)
from imagen_batch.text import shorten

_MAX_LENGTH = 4_000
_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_EMPTY = pc.scalar(pa.scalar(None, pa.float64()))
_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda left, right: pc.divide(left, pc.if_else(right == 0.0, _EMPTY, right)),
}


def compile_where(text: str, schema: pa.Schema) -> pc.Expression:
    """Return the expression that is true for the rows to keep. Raises SettingsInvalid."""
    try:
        term = _Compiler(schema).truth(_parse(text))
        schema.empty_table().filter(term.value)
    except InvalidExpression as wrong:
        raise SettingsInvalid(f"--where {shorten(text, 200)!r}: {wrong}") from None
    except RecursionError:
        raise SettingsInvalid(f"--where {shorten(text, 200)!r}: it is nested too deeply") from None
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise SettingsInvalid(f"--where {shorten(text, 200)!r}: {reason}") from error
    return term.value


def _parse(text: str) -> ast.expr:
    if len(text) > _MAX_LENGTH:
        raise InvalidExpression(f"it has {len(text):,} characters, and at most {_MAX_LENGTH:,} are read")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError) as error:
        hint = "; equality is written ==" if "=" in text and "==" not in text else ""
        detail = error.msg if isinstance(error, SyntaxError) else "it is nested too deeply"
        raise InvalidExpression(f"it can't be read ({detail}{hint})") from error


class _Compiler:
    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema

    def compile(self, node: ast.expr) -> Term:
        """Translate a node and all nodes below it."""
        match node:
            case ast.Name(id=name):
                return self._column(name)
            case ast.Constant(value=value):
                return constant_term(value)
            case ast.BoolOp() | ast.UnaryOp():
                return self._combine(node)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                sides = (as_decimal(self.compile(left)), as_decimal(self.compile(right)))
                return Term(_ARITHMETIC[type(op)](*sides), "number")
            case ast.Compare():
                return self._compare(node)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(name, arguments)
        raise _unsupported(node)

    def _combine(self, node: ast.BoolOp | ast.UnaryOp) -> Term:
        match node:
            case ast.BoolOp(op=op, values=values):
                terms = [self.truth(value).value for value in values]
                return Term(reduce(operator.and_ if isinstance(op, ast.And) else operator.or_, terms), "truth")
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Term(~self.truth(operand).value, "truth")
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                number = as_number(self.compile(operand))
                return Term(pc.negate(number.value), "number", whole=number.whole)
        raise _unsupported(node)

    def truth(self, node: ast.expr) -> Term:
        """Translate a node that has to be true or false."""
        term = self.compile(node)
        if term.kind != "truth":
            raise InvalidExpression(f"{ast.unparse(node)!r} is neither true nor false; compare a column with a value")
        return term

    def _column(self, name: str) -> Term:
        if name not in self._schema.names:
            raise InvalidExpression(describe_missing_column(name, self._schema.names))
        return column_term(name, self._schema.field(name))

    def _compare(self, node: ast.Compare) -> Term:
        comparisons, left = [], node.left
        for op, right in zip(node.ops, node.comparators, strict=True):
            comparisons.append(self._pair(left, op, right))
            left = right
        return Term(reduce(operator.and_, comparisons), "truth")

    def _pair(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Any:
        if isinstance(op, ast.In | ast.NotIn):
            inside = self._inside(left, right)
            return ~inside if isinstance(op, ast.NotIn) else inside
        first, second = self.compile(left), self.compile(right)
        if isinstance(op, ast.Is | ast.IsNot):
            return is_missing(first, second, absent=isinstance(op, ast.Is))
        first, second = as_same_kind(first, second)
        return _COMPARE[type(op)](first.value, second.value)

    def _inside(self, left: ast.expr, right: ast.expr) -> Any:
        if isinstance(right, ast.Tuple | ast.List | ast.Set):
            if not right.elts:
                raise InvalidExpression("the list after 'in' is empty")
            return reduce(operator.or_, (self._pair(left, ast.Eq(), value) for value in right.elts))
        return self._call("contains", [right, left]).value

    def _call(self, name: str, arguments: list[ast.expr]) -> Term:
        terms = [] if name == "column" else [self.compile(argument) for argument in arguments]
        match name, terms, arguments:
            case "column", _, [ast.Constant(value=str(column))]:
                return self._column(column)
            case "lower", [text], _:
                return Term(pc.utf8_lower(as_text(text).value), "text")
            case "length", [text], _:
                return Term(pc.utf8_length(as_text(text).value).cast(pa.int64()), "number", whole=True)
            case (("contains" | "startswith" | "endswith"), [text, Term(literal=str(part))], _):
                search = {"contains": pc.match_substring, "startswith": pc.starts_with, "endswith": pc.ends_with}
                return Term(search[name](as_text(text).value, part), "truth")
        raise InvalidExpression(
            f"{name}() is not supported here; there are column('name'), lower(text), length(text), "
            "contains(text, 'part'), startswith(text, 'part') and endswith(text, 'part')"
        )


def _unsupported(node: ast.expr) -> InvalidExpression:
    return InvalidExpression(
        f"{shorten(ast.unparse(node), 200)!r} is not supported; use columns, values, == != < > in, and, or, not"
    )
