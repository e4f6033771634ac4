"""Is a JSON value exactly what the service's documentation allows?

A check takes a value and the place where it stands, and returns it parsed, or refuses the request with a 400
that names the place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from imagen_batch.simulator.api.replies import Refused, invalid

Check = Callable[[Any, str], Any]


def table(fields: Mapping[str, Check], *, snake: bool = False) -> Check:
    """An object with these fields and no others. With `snake`, `image_config` is `imageConfig`, too."""

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
    """A list whose entries all pass."""

    def check_all(value: Any, where: str) -> list[Any]:
        if not isinstance(value, list):
            raise mismatch(where, value, "a list")
        return [check(item, f"{where}[{i}]") for i, item in enumerate(value)]

    return check_all


def text(value: Any, where: str) -> str:
    """A string."""
    if not isinstance(value, str):
        raise mismatch(where, value, "a string")
    return value


def flag(value: Any, where: str) -> bool:
    """True or false, and no 1, 0 or "true"."""
    if not isinstance(value, bool):
        raise mismatch(where, value, "true or false")
    return value


def number(value: Any, where: str) -> float:
    """A number, whole or not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise mismatch(where, value, "a number")
    return float(value)


def whole(low: int, high: int) -> Check:
    """A whole number from `low` to `high`."""

    def check(value: Any, where: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise mismatch(where, value, f"a whole number from {low} to {high}")
        return value

    return check


def one_of(*allowed: str, fold: bool = False) -> Check:
    """One of these strings, spelled so; with `fold` in either case, returned as spelled here."""
    spellings = {name.lower() if fold else name: name for name in allowed}

    def check(value: Any, where: str) -> str:
        written = text(value, where)
        try:
            return spellings[written.lower() if fold else written]
        except KeyError:
            raise mismatch(where, value, f"one of {', '.join(allowed)}") from None

    return check


def anything(value: Any, where: str) -> Any:  # noqa: ARG001 - no place to name
    """Any value: a part of the API that the simulator takes and does nothing about."""
    return value


def labels(value: Any, where: str) -> dict[str, str]:
    """An object of strings."""
    if not isinstance(value, dict):
        raise mismatch(where, value, "an object")
    return {name: text(item, f"{where}.{name}") for name, item in value.items()}


def refused_field(reason: str) -> Check:
    """A field that exists elsewhere but not here."""

    def check(value: Any, where: str) -> Any:  # noqa: ARG001 - whatever it holds
        raise Refused(invalid(f"Invalid value at '{where}': {reason}", field=where))

    return check


def mismatch(where: str, value: Any, wanted: str) -> Refused:
    """The refusal of a value of the wrong kind."""
    return Refused(invalid(f"Invalid value at '{where}': {value!r:.120}, expected {wanted}.", field=where))


def _unknown(name: str, where: str) -> Refused:
    place = f" at '{where}'" if where else ""
    message = f'Invalid JSON payload received. Unknown name "{name}"{place}: Cannot find field.'
    return Refused(invalid(message, field=where or name))


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)
