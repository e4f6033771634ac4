"""Answers GET .../models and .../models/{id}."""

from __future__ import annotations

from collections.abc import Collection

from imagen_batch.simulator.api.error_bodies import model_gone
from imagen_batch.simulator.api.http_reply_and_error_json import Json, Reply, reply_json
from imagen_batch.simulator.api.models.served_models import MODELS, Model, find
from imagen_batch.simulator.api.parsed_request import Call


def answer_listing(call: Call, *, extra: Collection[str]) -> Reply:
    """Return one model, or all models where the name is empty."""
    if not call.model:
        everything = [*MODELS.values(), *filter(None, (find(name, extra=extra) for name in extra))]
        return reply_json({"models": [_entry(model) for model in everything]})
    model = find(call.model, extra=extra)
    return reply_json(_entry(model)) if model else model_gone(call)


def _entry(model: Model) -> Json:
    return {
        "name": f"models/{model.id}",
        "version": model.id.rpartition("-")[2],
        "displayName": model.id,
        "description": "Pictures drawn by the simulator.",
        "inputTokenLimit": 480 if "predict" in model.verbs else 131_072,
        "outputTokenLimit": 8192 if "predict" in model.verbs else 32_768,
        "supportedGenerationMethods": list(model.verbs),
    }
