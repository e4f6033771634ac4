"""What does the catalogue of models look like to a reader?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import orjson

from imagen_batch.models import load_catalogue, rows


def models_text(own: Mapping[str, Mapping[str, object]]) -> str:
    """The catalogue as an aligned table, with the user's own entries."""
    table = _rows(own)
    heads = [head for head in table[0] if head != "ratios"] + ["ratios"]  # the longest last: it may wrap
    widths = {head: max(len(head), *(len(row[head]) for row in table)) for head in heads}
    lines = [{head: head for head in heads}, *table]
    return "\n".join("  ".join(f"{row[head]:<{widths[head]}}" for head in heads).rstrip() for row in lines)


def models_json(own: Mapping[str, Mapping[str, object]]) -> str:
    """The same as a JSON array."""
    return orjson.dumps(_rows(own), option=orjson.OPT_INDENT_2).decode()


def _rows(own: Mapping[str, Mapping[str, object]]) -> list[dict[str, str]]:
    return rows(load_catalogue(own), datetime.now(UTC).date())
