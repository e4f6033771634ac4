"""Formats the numbers of cells as a spreadsheet displays them.

The subset of number formats that prompt files have: leading zeros, decimals, thousands, percent, powers of ten,
currencies and literal text. Any other format, such as fractions or conditions, displays the plain number.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Context, Decimal
from math import isfinite

_GENERAL = {"", "general", "@", "standard"}
_SECTION = re.compile(r'((?:"[^"]*"|\\.|[^;"\\])*)(?:;|$)', re.DOTALL)
_TOKEN = re.compile(
    r'"([^"]*)"|\\(.)|_(.)|\*(.)|\[\$([^\]-]*)[^\]]*\]|\[[^\]]*\]|([0#?.,]+)|(E[+-]0+)|(.)', re.DOTALL
)
_CONDITION = re.compile(r"\[\s*[<>=]")
_MAX_DECIMALS = 30


def number_text(value: float, code: str) -> str:
    """Return `value` as the number format `code` displays it."""
    if code.strip().lower() in _GENERAL or _CONDITION.search(code):
        return plain_number(value)
    section, magnitude = _choose_section(code, value)
    if section.strip().lower() in _GENERAL:
        return plain_number(magnitude)
    before, pattern, after, exponent = _split_section(section)
    if "/" in section:  # a fraction
        return plain_number(value)
    if not pattern:
        return before + after
    if "%" in section:
        magnitude *= 100
    sign, digits = ("-", abs(magnitude)) if magnitude < 0 else ("", magnitude)
    return sign + before + _format_digits(digits, pattern, exponent) + after


def plain_number(value: float) -> str:
    """Return a number without a format: at most 15 digits, no power of ten, no ".0"."""
    if isinstance(value, int):
        return str(value)
    if not isfinite(value):
        return str(value)
    if abs(value) < 1e15 and value == int(value):
        return str(int(value))
    return f"{value:.15g}".replace("e", "E")


def _choose_section(code: str, value: float) -> tuple[str, float]:
    """Return the part of a format for this number, and the number without a sign that the part implies."""
    sections = [match[1] for match in _SECTION.finditer(code)][:3]
    if value < 0 and len(sections) > 1 and sections[1]:
        return sections[1], -value
    if value == 0 and len(sections) > 2 and sections[2]:
        return sections[2], value
    return sections[0], value


def _split_section(section: str) -> tuple[str, str, str, str]:
    """Return the text before the digits, the pattern of the digits, the text after them, and the exponent.

    A literal among the digits stays in their pattern, after a null character.
    """
    before, pattern, after, exponent = "", "", "", ""
    for quoted, escaped, blank, _fill, currency, digits, power, other in _TOKEN.findall(section):
        literal = quoted or escaped or (" " if blank else "") or currency or other
        if digits and not exponent:
            if pattern and after:  # literals between digits, as in 000-00
                pattern += "".join(f"\0{letter}" for letter in after)
                after = ""
            pattern += digits
        elif power:
            exponent = power
        elif pattern:
            after += literal
        else:
            before += literal
    return before, pattern, after, exponent


def _format_digits(value: float, pattern: str, exponent: str) -> str:
    if "\0" in pattern:
        return _interleave(value, pattern)
    whole, point, decimals = pattern.partition(".")
    places = min(sum(letter in "0#?" for letter in decimals), _MAX_DECIMALS)
    if exponent:
        return f"{value:.{places}E}"
    rounded = _round(value, places)
    text = f"{rounded:,.{places}f}" if "," in whole.rstrip(",") else f"{rounded:.{places}f}"
    integer, _, fraction = text.partition(".")
    required = whole.count("0")
    integer = integer.rjust(required, "0") if required else integer.lstrip("0")
    optional = len(decimals) - len(decimals.rstrip("#?"))
    kept = fraction.rstrip("0").ljust(places - optional, "0") if optional else fraction
    return integer + (point + kept if point else "")


def _interleave(value: float, pattern: str) -> str:
    """Fill a pattern such as 000-00, which has literals among its digits, from the right."""
    digits = list(f"{_round(value, 0):.0f}")
    filled: list[str] = []
    for part in reversed(re.findall(r"\0.|.", pattern, re.DOTALL)):
        if part.startswith("\0"):
            filled.append(part[1])
        elif part == "0" or (part in "#?" and digits):
            filled.append(digits.pop() if digits else "0")
    return "".join(digits) + "".join(reversed(filled))


def _round(value: float, places: int) -> Decimal:
    """Round half away from zero, in decimal digits, as spreadsheets do."""
    if not isfinite(value) or abs(value) >= 1e25:
        return Decimal(value)
    return Decimal(repr(value)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, Context(prec=80))
