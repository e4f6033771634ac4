"""Defines the terms of a `--where` expression: Arrow expressions with their kinds, and how one becomes another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from imagen_batch.reports.tables.columns.typed_user_columns import cell_text, type_of
from imagen_batch.text import is_unicode

Kind = Literal["text", "number", "truth", "moment", "nothing"]

_WHOLE = r"\s*[-+]?\d{1,18}\s*"
_NUMBER = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"
_FIRST_EXPONENT, _MAX_DIGITS = 10, 15  # of a decimal that Arrow writes with an exponent
_MOMENT = pa.timestamp("ms", tz="UTC")


@dataclass(frozen=True, slots=True)
class Term:
    """An Arrow expression and the kind of its values."""

    value: Any  # an Arrow expression
    kind: Kind
    literal: object = None
    text: Any = None  # an expression of the same value as text, where that is not obvious
    whole: bool = False  # a number of type integer


class InvalidExpression(Exception):
    """An error in the expression; its message is the end of a sentence."""


def column_term(name: str, of_schema: pa.Field) -> Term:
    """Return a column as a term. Raises InvalidExpression for lists and other types that have no order."""
    field, type_ = pc.field(name), of_schema.type
    text = _user_text(field, of_schema)
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return Term(text, "text")
    if pa.types.is_dictionary(type_) and pa.types.is_string(type_.value_type):
        return Term(field.cast(pa.string()), "text")
    if pa.types.is_boolean(type_):
        return Term(field, "truth", text=text)
    if pa.types.is_integer(type_) or pa.types.is_floating(type_):
        return Term(field, "number", text=text, whole=pa.types.is_integer(type_))
    if pa.types.is_timestamp(type_) or pa.types.is_date(type_):
        return Term(field.cast(_MOMENT), "moment", text=text)
    raise InvalidExpression(f"the column {name!r} ({type_}) can't be compared")


def _user_text(field: pc.Expression, of_schema: pa.Field) -> pc.Expression | None:
    """Return a column as the text of its cells; for other types than text only if it is one of the user's."""
    if type_of(of_schema) is None:
        return field if of_schema.type == pa.string() or of_schema.type == pa.large_string() else None
    text = field.cast(pa.string())
    if pa.types.is_floating(of_schema.type):
        text = _without_exponent(text)
        if cell_text(4.0, of_schema) == "4.0":
            text = pc.if_else(
                pc.match_substring(text, "."), text, pc.binary_join_element_wise(text, pc.scalar(".0"), "")
            )
    if pa.types.is_boolean(of_schema.type):
        yes, no = (pc.scalar(cell_text(value, of_schema)) for value in (True, False))
        text = pc.if_else(field, yes, no)
    return pc.coalesce(text, pc.scalar(""))


def _without_exponent(text: pc.Expression) -> pc.Expression:
    """Return the text of decimals with all of their digits: Arrow writes 1.5e+10 for 15000000000.

    The user's decimals have at most 15 digits before the point.
    """
    digits = pc.replace_substring_regex(text, r"^(-?\d)e", r"\1.e")
    digits = pc.replace_substring_regex(digits, r"e\+", "0" * _MAX_DIGITS + "e+")
    for exponent in range(_FIRST_EXPONENT, _MAX_DIGITS):
        shifted = rf"^(-?\d)\.(\d{{{exponent}}})(\d*)e\+{exponent}$"
        digits = pc.replace_substring_regex(digits, shifted, r"\1\2.\3")
    digits = pc.replace_substring_regex(digits, r"\.?0*$", "")
    return pc.if_else(pc.match_substring(text, "e+"), digits, text)


def constant_term(value: object) -> Term:
    """Return a value of the expression as a term."""
    if value is None:
        return Term(None, "nothing")
    kinds: dict[type, Kind] = {bool: "truth", int: "number", float: "number", str: "text"}
    if type(value) not in kinds or (isinstance(value, int) and abs(value) >= 2**63):
        raise InvalidExpression(f"the value {value!r} is not supported")
    if isinstance(value, str) and not is_unicode(value):
        raise InvalidExpression(f"the value {value!r} is not text")
    return Term(pc.scalar(value), kinds[type(value)], value, whole=type(value) is int)


def is_missing(first: Term, second: Term, *, absent: bool) -> Any:
    """Return the expression for `first is None`, or with `absent` false for `first is not None`."""
    if second.kind != "nothing" or first.kind == "nothing":
        raise InvalidExpression("'is' is only for None, as in: seed is None")
    is_empty = first.value.is_null()
    if first.kind == "text":  # an earlier version wrote empty cells as empty text
        is_empty = is_empty | (first.value == "")
    return is_empty if absent else ~is_empty


def as_same_kind(first: Term, second: Term) -> tuple[Term, Term]:
    """Return both terms, converted to the same kind."""
    kinds = {first.kind, second.kind}
    if kinds == {"number"}:
        return _as_same_numbers(first, second)
    if len(kinds) == 1 and "nothing" not in kinds:
        return first, second
    if "nothing" in kinds:
        raise InvalidExpression("empty cells are found with: column is None")
    if kinds == {"text", "number"}:
        if any(isinstance(term.literal, str) and not re.match(_NUMBER, term.literal) for term in (first, second)):
            return as_text(first), as_text(second)
        return _as_same_numbers(as_number(first), as_number(second))
    if kinds == {"text", "truth"}:
        return as_text(first), as_text(second)
    if kinds == {"text", "moment"}:
        return as_moment(first), as_moment(second)
    raise InvalidExpression(f"a {first.kind} can't be compared with a {second.kind}")


def as_number(term: Term) -> Term:
    """Return a term as a number; text that is no number is empty."""
    if term.kind == "number":
        return term
    if term.kind != "text":
        raise InvalidExpression(f"a {term.kind} is not a number")
    if isinstance(term.literal, str) and re.fullmatch(_WHOLE, term.literal):
        return constant_term(int(term.literal))
    digits = pc.match_substring_regex(term.value, _NUMBER)
    kept = pc.if_else(digits, pc.utf8_trim_whitespace(term.value), pc.scalar(pa.scalar(None, pa.string())))
    return Term(kept.cast(pa.float64()), "number")


def as_decimal(term: Term) -> Any:
    """Return a number or text as a decimal number. Of a whole number beyond 2**53 the nearest one, as in Python."""
    return as_number(term).value.cast(pa.float64(), safe=False)


def _as_same_numbers(first: Term, second: Term) -> tuple[Term, Term]:
    """Return both numbers with one type; Arrow's own conversion refuses large whole numbers beside decimal ones."""
    if first.whole and second.whole:
        return first, second
    return Term(as_decimal(first), "number"), Term(as_decimal(second), "number")


def as_moment(term: Term) -> Term:
    """Return a term, which must be a literal if it is text, as a moment in UTC."""
    if term.kind == "moment":
        return term
    try:
        moment = datetime.fromisoformat(str(term.literal))
    except ValueError as error:
        raise InvalidExpression(
            f"{term.literal!r} is not a date; write '2026-11-26' or '2026-11-26T06:00'"
        ) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return Term(pc.scalar(pa.scalar(moment, _MOMENT)), "moment")


def as_text(term: Term) -> Term:
    """Return a term as text; a column of the user's as the text of its cells."""
    if term.kind != "text" and term.text is None:
        raise InvalidExpression(f"a {term.kind} is not text")
    return term if term.kind == "text" else Term(term.text, "text")
