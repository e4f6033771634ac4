"""Refuses a plan whose models are shut down, or whose limits need prices that are unknown."""

from __future__ import annotations

from datetime import date

from imagen_batch.errors import SettingsInvalid
from imagen_batch.planning.checking.plan_builder import PlanBuilder
from imagen_batch.planning.checking.row_totals import RowTotals
from imagen_batch.providers.catalogue import Model
from imagen_batch.providers.trusted_hosts import is_google_host
from imagen_batch.settings import Settings
from imagen_batch.text import plural, usd


def refuse_retired_models(builder: PlanBuilder, settings: Settings, today: date) -> None:
    """Raise SettingsInvalid if the run would ask Google for a model that Google shut down."""
    if settings.provider == "simulator" or not is_google_host(settings.base_url):
        return  # another host may still serve it
    models = (builder.planner.find_model(name) for name in builder.totals.images_by_model)
    refusals = [
        _retirement_message(model, ended, builder.totals)
        for model in models
        if model is not None and (ended := model.retirement_date(settings.provider, today))
    ]
    if refusals:
        raise SettingsInvalid("\n".join(refusals))


def refuse_unpriced_limits(totals: RowTotals, settings: Settings) -> None:
    """Raise SettingsInvalid if a limit in USD is set and some images have no known price."""
    limits = {
        "--max-cost": settings.max_cost is not None,
        "--max-cost-per-run": settings.max_cost_per_run is not None,
        "--max-cost-per": bool(settings.max_cost_per),
    }
    option = next((option for option, is_set in limits.items() if is_set), None)
    if option and totals.unpriced:
        raise SettingsInvalid(
            f"{option} needs prices, and none is known for {plural(totals.unpriced, 'image')}: give --price USD"
        )


def _retirement_message(model: Model, ended: date, totals: RowTotals) -> str:
    images = plural(totals.images_by_model[model.id], "image")
    message = f"{model.id} was shut down by Google on {ended} (this run asks for {images} of it):"
    if model.successor:
        most = usd(totals.successor_usd[model.id])
        message += f" change to its successor {model.successor} (at most {most} for these images), or"
    return f"{message} send to a host that still serves it with --base-url. Nothing was sent."
