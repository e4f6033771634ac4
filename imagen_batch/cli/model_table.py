"""Prints the model catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime

import orjson

from imagen_batch.providers.catalogue import Catalogue, Model, load_catalogue


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


def rows(catalogue: Catalogue, today: date) -> list[dict[str, str]]:
    """The catalogue as a table, one row per model, every cell text."""
    return [
        {
            "id": model.id,
            "dialect": model.dialect,
            "sizes": " ".join(model.sizes) or "any",
            "ratios": " ".join(model.ratios) or "any",
            "samples/request": str(model.samples_per_request),
            "price": ", ".join(f"{size} ${price:g}" for size, price in model.prices.items()) or "unknown",
            "lifecycle": _lifecycle(model, today),
            "successor": model.successor or "",
        }
        for model in catalogue
    ]


def _lifecycle(model: Model, today: date) -> str:
    if shutdown := model.retired("gemini", today):
        return f"shut down {shutdown}"
    if shutdown := model.retired("vertex", today):
        return f"shut down {shutdown} on Vertex"
    return "deprecated" if model.deprecated else "current"
