"""What is a fault, and what may it look at?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from imagen_batch.simulator.api.catalogue import Verb
from imagen_batch.simulator.api.replies import Reply
from imagen_batch.simulator.api.requests import Call, Order
from imagen_batch.simulator.faults.altered_replies import Alter
from imagen_batch.simulator.faults.broken_transfers import Carry

Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a fault may look at."""

    order: Order
    call: Call
    options: Options
    credential: str


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave: a reply `instead`, a picture `alter`ed, a reply that is `carry`-ed badly.

    `options` holds every option with its default; a marker's word sets the first of them.
    """

    name: str
    section: str  # of api.md
    description: str
    instead: Callable[[Attempt], Reply] | None = None
    alter: Alter | None = None
    carry: Carry | None = None
    options: Options = field(default_factory=dict)
    verb: Verb | None = None  # None: in both dialects
    breaks: bool = False  # the pictures that it carries do not arrive
    readable: bool = False  # what it alters is still a whole picture, in another form
