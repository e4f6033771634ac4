"""What may stand in a model's table, in our models.toml and in a user's imagen-batch.toml?"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime
from typing import Any, Final, Literal, NamedTuple, get_args

from imagen_batch.errors import SettingsInvalid

DialectName = Literal["predict", "generate_content"]
DIALECT_NAMES: Final[tuple[DialectName, ...]] = get_args(DialectName)
THINKING_LEVELS: Final = ("MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH")


def read_field(model_id: str, name: str, found: object) -> object:
    """The value of one field: lists as tuples, dates as dates, also from a table that came as JSON.

    Raises SettingsInvalid for an unknown field or a wrong value, naming model, field and what is allowed.
    """
    form = _FORMS.get(name)
    if form is None:
        raise SettingsInvalid(f'models."{model_id}".{name}: no such field; there are {", ".join(_FORMS)}')
    if not form.fits(found):
        raise SettingsInvalid(f'models."{model_id}".{name}: expected {form.expected}, found {found!r}')
    return form.read(found)


def _as_is(found: object) -> object:
    return found


class _FieldSpec(NamedTuple):
    """What a field has to look like, in words and as a test, and what becomes of it."""

    expected: str
    fits: Callable[[Any], bool]
    read: Callable[[Any], object] = _as_is


def _is_text(found: object) -> bool:
    return isinstance(found, str)


def _is_date(found: object) -> bool:
    try:
        return not isinstance(found, datetime) and bool(_as_date(found))
    except ValueError:
        return False


def _as_date(found: object) -> date:
    return found if isinstance(found, date) else date.fromisoformat(str(found))


def _is_count(found: object) -> bool:
    return isinstance(found, int) and not isinstance(found, bool) and found >= 0


def _is_usd(found: object) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found) and found >= 0


def _is_one_of(allowed: Collection[str]) -> _FieldSpec:
    return _FieldSpec(" or ".join(allowed), lambda found: isinstance(found, str) and found in allowed)


def _is_list_of(item_fits: Callable[[object], bool]) -> Callable[[Any], bool]:
    return lambda found: isinstance(found, list) and all(map(item_fits, found))


def _is_table_of(item_fits: Callable[[object], bool]) -> Callable[[Any], bool]:
    return lambda found: isinstance(found, Mapping) and all(map(item_fits, found.values()))


_TEXT = _FieldSpec("text", _is_text)
_TEXTS = _FieldSpec("a list of texts", _is_list_of(_is_text), tuple)
_SWITCH = _FieldSpec("true or false", lambda found: isinstance(found, bool))
_COUNT = _FieldSpec("a whole number, 0 or more", _is_count)
_DATE = _FieldSpec("a date like 2026-10-06", _is_date, _as_date)

_FORMS: Final[Mapping[str, _FieldSpec]] = {
    "dialect": _is_one_of(DIALECT_NAMES),
    "samples_per_request": _FieldSpec("a whole number, 1 or more", lambda found: _is_count(found) and found > 0),
    "sizes": _TEXTS,
    "sends_size": _SWITCH,
    "default_size": _TEXT,
    "ratios": _TEXTS,
    "default_ratio": _TEXT,
    "thinking_levels": _FieldSpec(
        f"a list of {', '.join(THINKING_LEVELS)}",
        _is_list_of(lambda found: found in THINKING_LEVELS),
        tuple,
    ),
    "takes_negative_prompt": _SWITCH,
    "prompt_words": _COUNT,
    "prompt_chars": _COUNT,
    "limits_source": _TEXT,
    "limits_read": _DATE,
    "prices": _FieldSpec("USD by size, like { 1K = 0.04 }", _is_table_of(_is_usd)),
    "tokens": _FieldSpec(
        "USD per million tokens, like { input = 1.5, image = 30.0, text = 7.5 }",
        lambda found: _is_table_of(_is_usd)(found) and found.keys() == {"input", "image", "text"},
    ),
    "thinking_allowance": _COUNT,
    "price_source": _TEXT,
    "price_read": _DATE,
    "released": _DATE,
    "shutdowns": _FieldSpec(
        "dates by provider, like { gemini = 2026-08-17, vertex = 2026-06-30 }",
        lambda found: _is_table_of(_is_date)(found) and found.keys() <= {"gemini", "vertex"},
        lambda found: {provider: _as_date(day) for provider, day in found.items()},
    ),
    "deprecated": _SWITCH,
    "successor": _TEXT,
    "successor_thinking": _is_one_of(THINKING_LEVELS),
    "lifecycle_source": _TEXT,
    "lifecycle_read": _DATE,
    "notes": _TEXT,
}
