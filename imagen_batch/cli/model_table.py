"""Prints the model catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from textwrap import wrap

import orjson

from imagen_batch.providers.catalogue import Model, load_catalogue

_WIDTH = 80


def models_text(own_models: Mapping[str, Mapping[str, object]]) -> str:
    """Format the catalogue and the user's own entries for a terminal of 80 columns, current models first."""
    catalogue, today = load_catalogue(own_models), datetime.now(UTC).date()
    ordered = sorted(catalogue, key=lambda model: (_lifecycle_rank(model, today), model.id != catalogue.default))
    return "\n\n".join(_model_lines(row) for row in model_rows(ordered, today))


def models_json(own_models: Mapping[str, Mapping[str, object]]) -> str:
    """Format the catalogue as a JSON array."""
    rows = model_rows(load_catalogue(own_models), datetime.now(UTC).date())
    return orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode()


def model_rows(models: Iterable[Model], today: date) -> list[dict[str, str]]:
    """Return one row for each model; every cell is text."""
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
        for model in models
    ]


def _model_lines(row: Mapping[str, str]) -> str:
    """Format a model in a few lines: the id with its lifecycle, then everything else."""
    count = row["samples/request"]
    per_request = "1 image" if count == "1" else f"up to {count} images"
    details = {
        "price": row["price"],
        "sizes": row["sizes"],
        "ratios": row["ratios"],
        "dialect": f"{row['dialect']}, {per_request} a request",
        "successor": row["successor"],
    }
    lines = [f"{row['id']}: {row['lifecycle']}"]
    for label, text in details.items():
        if text:
            lines += wrap(text, _WIDTH, initial_indent=f"  {label:<9} ", subsequent_indent=" " * 12)
    return "\n".join(lines)


def _lifecycle_rank(model: Model, today: date) -> int:
    """Rank current models first, then deprecated ones, then those that were shut down."""
    if model.retirement_date("gemini", today):
        return 3
    return 2 if model.retirement_date("vertex", today) else 1 if model.deprecated else 0


def _lifecycle(model: Model, today: date) -> str:
    if shutdown := model.retirement_date("gemini", today):
        return f"shut down {shutdown}"
    if shutdown := model.retirement_date("vertex", today):
        return f"shut down {shutdown} on Vertex"
    return "deprecated" if model.deprecated else "current"
