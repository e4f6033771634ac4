"""Defines the types of settings, with the parsing of text from options, variables and the settings file."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from imagen_batch.choices import PersonGeneration, Retry
from imagen_batch.prompts import cells
from imagen_batch.prompts.reference_cells import references
from imagen_batch.schedules.out_template import check_name, parse_date
from imagen_batch.schedules.period_limits import check_period_limits
from imagen_batch.schedules.until_and_max_time import check_span, check_time, check_timezone
from imagen_batch.system.valid_address import cluster_address, web_address


def _split_words(value: object) -> object:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def _split_addresses(value: object) -> object:
    return tuple(value.split()) if isinstance(value, str) else value


def _split_references(value: object) -> object:
    return references(value.strip()) if isinstance(value, str) and value.strip() else value or ()


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


def _parse_aspect_ratio(value: object) -> object:
    return cells.aspect_ratio(value.strip()) if isinstance(value, str) else value


def _parse_person_generation(value: object) -> object:
    return cells.person_generation(value.strip()) if isinstance(value, str) else value


def _parse_image_size(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return cells.image_size(value.strip())
    except ValueError:  # a model of the user's own may have other sizes; the plan checks them
        return _upper(value)


JobName = Annotated[str, AfterValidator(check_name)]
Date = Annotated[dt.date | None, BeforeValidator(parse_date)]
TimeOfDay = Annotated[str, AfterValidator(check_time)]
Duration = Annotated[str, AfterValidator(check_span)]
TimeZone = Annotated[str, AfterValidator(check_timezone)]
PeriodLimits = Annotated[tuple[str, ...], AfterValidator(check_period_limits), BeforeValidator(_split_words)]

WebAddress = Annotated[str, AfterValidator(web_address)]
ClusterAddress = Annotated[str, AfterValidator(cluster_address)]
Addresses = Annotated[tuple[str, ...], BeforeValidator(_split_addresses)]

AspectRatio = Annotated[str | None, BeforeValidator(_parse_aspect_ratio)]
ImageSize = Annotated[str | None, BeforeValidator(_parse_image_size)]
PeopleAllowed = Annotated[PersonGeneration | None, BeforeValidator(_parse_person_generation)]
ThinkingLevel = Annotated[str | None, BeforeValidator(_upper)]
References = Annotated[tuple[str, ...], BeforeValidator(_split_references)]

RetryChoices = Annotated[tuple[Retry, ...], BeforeValidator(_split_words)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_one_or_more)]
"""One text or several, such as those of --matrix."""
