"""Writes the reference images of a request into a record of the ledger, and reads them back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from imagen_batch.records import Reference


def stored_references(references: Iterable[Reference]) -> tuple[dict[str, Any], ...]:
    """The references as a record has them: only the fields that are set."""
    return tuple({name: value for name, value in asdict(each).items() if value} for each in references)


def references_from(facts: Mapping[str, Any]) -> tuple[Reference, ...]:
    """The references of a version or of an edited row's image."""
    return tuple(Reference(**stored) for stored in facts.get("references") or ())
