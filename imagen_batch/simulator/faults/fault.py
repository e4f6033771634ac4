"""Defines a fault and the facts it may use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from imagen_batch.simulator.api.http_reply_and_error_json import Reply
from imagen_batch.simulator.api.models.served_models import Verb
from imagen_batch.simulator.api.parsed_request import Call, ValidRequest
from imagen_batch.simulator.faults.altered_replies import Alter
from imagen_batch.simulator.faults.broken_transfers import Carry

Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Attempt:
    """The facts that a fault may use."""

    request: ValidRequest
    call: Call
    options: Options
    credential: str


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: it sends a reply `instead`, `alter`s the reply, or `carry` breaks its transfer.

    `options` has every option with its default; the word in a marker sets the first one.
    """

    name: str
    section: str  # of docs/service-api.md
    description: str
    instead: Callable[[Attempt], Reply] | None = None
    alter: Alter | None = None
    carry: Carry | None = None
    options: Options = field(default_factory=dict)
    verb: Verb | None = None  # None: in both dialects
    breaks: bool = False  # the images do not arrive
    readable: bool = False  # the images stay whole, in another form


def reply_instead(
    name: str, section: str, description: str, reply: Callable[[Attempt], Reply], **options: Any
) -> Fault:
    """Return a fault that sends this reply instead of images."""
    return Fault(name, section, description, instead=reply, options=options)
