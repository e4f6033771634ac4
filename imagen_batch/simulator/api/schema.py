"""Checks that a JSON value is exactly what the service's documentation allows.

A check takes a value and its path in the body. It returns the parsed value, or rejects the request with a 400 that
names the path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from imagen_batch.simulator.api.http_reply_and_error_json import Refused, invalid

Check = Callable[[Any, str], Any]


def table(fields: Mapping[str, Check], *, snake: bool = False) -> Check:
    """Check an object with these fields and no others. With `snake`, `image_config` also means `imageConfig`."""

    def check(value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise mismatch(where, value, "an object")
        parsed: dict[str, Any] = {}
        for written, item in value.items():
            name = _camel(written) if snake else written
            if name not in fields:
                raise _unknown(written, where)
            parsed[name] = fields[name](item, f"{where}.{name}".lstrip("."))
        return parsed

    return check


def items(check: Check) -> Check:
    """Check each entry of a list."""

    def check_all(value: Any, where: str) -> list[Any]:
        if not isinstance(value, list):
            raise mismatch(where, value, "a list")
        return [check(item, f"{where}[{i}]") for i, item in enumerate(value)]

    return check_all


def text(value: Any, where: str) -> str:
    """Check a string."""
    if not isinstance(value, str):
        raise mismatch(where, value, "a string")
    return value


def flag(value: Any, where: str) -> bool:
    """Check for true or false; 1, 0 and "true" are rejected."""
    if not isinstance(value, bool):
        raise mismatch(where, value, "true or false")
    return value


def number(value: Any, where: str) -> float:
    """Check a number, whole or not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise mismatch(where, value, "a number")
    return float(value)


def whole(low: int, high: int) -> Check:
    """Check a whole number from `low` to `high`."""

    def check(value: Any, where: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise mismatch(where, value, f"a whole number from {low} to {high}")
        return value

    return check


def one_of(*allowed: str, fold: bool = False) -> Check:
    """Check for one of these strings; with `fold`, ignore case and return the spelling given here."""
    spellings = {name.lower() if fold else name: name for name in allowed}

    def check(value: Any, where: str) -> str:
        written = text(value, where)
        try:
            return spellings[written.lower() if fold else written]
        except KeyError:
            raise mismatch(where, value, f"one of {', '.join(allowed)}") from None

    return check


def anything(value: Any, where: str) -> Any:  # noqa: ARG001 - a check's signature
    """Accept any value: a part of the API that the simulator ignores."""
    return value


def labels(value: Any, where: str) -> dict[str, str]:
    """Check an object of strings."""
    if not isinstance(value, dict):
        raise mismatch(where, value, "an object")
    return {name: text(item, f"{where}.{name}") for name, item in value.items()}


def refused_field(reason: str) -> Check:
    """Reject a field that exists for other models or hosts."""

    def check(value: Any, where: str) -> Any:  # noqa: ARG001 - for any value
        raise Refused(invalid(f"Invalid value at '{where}': {reason}", field=where))

    return check


def mismatch(where: str, value: Any, expected: str) -> Refused:
    """Return the error for a value of the wrong type."""
    return Refused(invalid(f"Invalid value at '{where}': {value!r:.120}, expected {expected}.", field=where))


def _unknown(name: str, where: str) -> Refused:
    location = f" at '{where}'" if where else ""
    message = f'Invalid JSON payload received. Unknown name "{name}"{location}: Cannot find field.'
    return Refused(invalid(message, field=where or name))


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)
