"""Lists the versions of a sample: the first one, and those that were ordered later."""

from __future__ import annotations

from collections.abc import Iterator

from imagen_batch.ledger.history import History


def version_keys(base: str, number: int, history: History) -> list[tuple[int, str]]:
    """Return the number and the row key of each version of a sample, oldest first."""
    return [(1, base), *((each.version, each.key) for each in history.reviews.versions(base, number))]


def last_version(base: str, number: int, history: History) -> int:
    """Return the highest version of a sample, whether it has a result or not."""
    return max(version for version, _ in version_keys(base, number, history))


def recorded_versions(base: str, number: int, history: History) -> Iterator[tuple[int, str]]:
    """Yield the version and the request key of each recorded result of a sample."""
    for version, key in version_keys(base, number, history):
        if (details := history.recorded_details(key, number)) is not None:
            yield version, details[1].key
