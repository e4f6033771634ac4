"""Checks and converts the fields of a model's table, in models.toml and in a user's imagen-batch.toml."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from imagen_batch.choices import DIALECTS, THINKING_LEVELS
from imagen_batch.errors import SettingsInvalid


def read_field(model_id: str, name: str, value: object) -> object:
    """Return the value of one field: lists as tuples, dates as dates, also from a table that came as JSON.

    Raises SettingsInvalid for an unknown field or a wrong value; it names model, field and the allowed values.
    """
    spec = _FIELDS.get(name)
    if spec is None:
        raise SettingsInvalid(f'models."{model_id}".{name}: no such field; the fields are {", ".join(_FIELDS)}')
    if not spec.fits(value):
        raise SettingsInvalid(f'models."{model_id}".{name}: expected {spec.expected}, found {value!r}')
    return spec.read(value)


def _identity(value: object) -> object:
    return value


class _FieldSpec(NamedTuple):
    """The allowed content of a field, as text and as a check, and how to convert it."""

    expected: str
    fits: Callable[[Any], bool]
    read: Callable[[Any], object] = _identity


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_date(value: object) -> bool:
    try:
        return not isinstance(value, datetime) and bool(_as_date(value))
    except ValueError:
        return False


def _as_date(value: object) -> date:
    return value if isinstance(value, date) else date.fromisoformat(str(value))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_usd(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _is_one_of(allowed: Collection[str]) -> _FieldSpec:
    return _FieldSpec(" or ".join(allowed), lambda value: isinstance(value, str) and value in allowed)


def _is_list_of(item_fits: Callable[[object], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(item_fits, value))


def _is_table_of(item_fits: Callable[[object], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, Mapping) and all(map(item_fits, value.values()))


_TEXT = _FieldSpec("text", _is_text)
_TEXTS = _FieldSpec("a list of texts", _is_list_of(_is_text), tuple)
_SWITCH = _FieldSpec("true or false", lambda value: isinstance(value, bool))
_COUNT = _FieldSpec("a whole number, 0 or more", _is_count)
_DATE = _FieldSpec("a date like 2026-10-06", _is_date, _as_date)

_FIELDS: Final[Mapping[str, _FieldSpec]] = {
    "dialect": _is_one_of(DIALECTS),
    "samples_per_request": _FieldSpec("a whole number, 1 or more", lambda value: _is_count(value) and value > 0),
    "sizes": _TEXTS,
    "sends_size": _SWITCH,
    "default_size": _TEXT,
    "ratios": _TEXTS,
    "default_ratio": _TEXT,
    "thinking_levels": _FieldSpec(
        f"a list of {', '.join(THINKING_LEVELS)}",
        _is_list_of(lambda value: value in THINKING_LEVELS),
        tuple,
    ),
    "takes_negative_prompt": _SWITCH,
    "prompt_words": _COUNT,
    "prompt_chars": _COUNT,
    "max_references": _COUNT,
    "reference_tokens": _COUNT,
    "limits_source": _TEXT,
    "limits_read": _DATE,
    "prices": _FieldSpec("USD by size, like { 1K = 0.04 }", _is_table_of(_is_usd)),
    "tokens": _FieldSpec(
        "USD per million tokens, like { input = 1.5, image = 30.0, text = 7.5 }",
        lambda value: _is_table_of(_is_usd)(value) and value.keys() == {"input", "image", "text"},
    ),
    "thinking_allowance": _COUNT,
    "price_source": _TEXT,
    "price_read": _DATE,
    "released": _DATE,
    "shutdowns": _FieldSpec(
        "dates by provider, like { gemini = 2026-08-17, vertex = 2026-06-30 }",
        lambda value: _is_table_of(_is_date)(value) and value.keys() <= {"gemini", "vertex"},
        lambda value: {provider: _as_date(day) for provider, day in value.items()},
    ),
    "deprecated": _SWITCH,
    "successor": _TEXT,
    "successor_thinking": _is_one_of(THINKING_LEVELS),
    "lifecycle_source": _TEXT,
    "lifecycle_read": _DATE,
    "notes": _TEXT,
}
