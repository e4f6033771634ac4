"""Which of our options does a dialect have words for?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from imagen_batch.records import Options


def set_fields(options: Options, names: Mapping[str, str]) -> dict[str, object]:
    """The options of `names` (ours -> the wire's) that are set, as the wire calls them."""
    values = {wire: getattr(options, ours) for ours, wire in names.items()}
    return {wire: value for wire, value in values.items() if value is not None}


def require_unset(options: Options, names: Sequence[str], *, speaker: str) -> None:
    """ValueError if one of `names` is set: a bug, for the plan has checked what a model takes."""
    if unspoken := [ours for ours in names if getattr(options, ours) is not None]:
        raise ValueError(f"{speaker} has no words for {', '.join(unspoken)}")
