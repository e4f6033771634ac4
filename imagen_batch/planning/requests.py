"""Cuts rows into requests, and requests into shards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from imagen_batch.planning.keys import request_key
from imagen_batch.planning.rows import PlannedRow, _name
from imagen_batch.records import (
    ImageRequest,
    Options,
)

_SHARD_BYTES = 8 * 2**20  # of prompts: a shard stays small enough to be handed around


def requests_for(order: PlannedRow, base: str, numbers: Iterable[int]) -> Iterator[ImageRequest]:
    """Requests for the samples `numbers` of a row, as few as its model allows."""
    for first, count in _ranges(numbers, order.model.samples_per_request):
        key = request_key(base, first, count)
        yield ImageRequest(
            key=key,
            base=base,
            row=order.row.row,
            first=first,
            samples=count,
            model=order.model.id,
            dialect=order.model.dialect,
            prompt=order.prompt,
            options=_seeded(order, first),
            names=tuple(_name(order, number, key, base) for number in range(first, first + count)),
            price=None if order.price is None else order.price * count,
        )


def request_count(numbers: Iterable[int], per_request: int) -> int:
    """How many requests it takes to ask for the samples `numbers` of a row."""
    return sum(1 for _ in _ranges(numbers, per_request))


def shard_size(requests: int) -> int:
    """Requests in a shard: hundreds of shards at most, whatever the size of the run."""
    return min(2000, max(50, -(-requests // 500)))


def shards(requests: Iterable[ImageRequest], size: int) -> Iterator[list[ImageRequest]]:
    """Contiguous slices of `requests`, bounded in number and in bytes."""
    shard: list[ImageRequest] = []
    weight = 0
    for request in requests:
        shard.append(request)
        weight += len(request.prompt)
        if len(shard) >= size or weight >= _SHARD_BYTES:
            yield shard
            shard, weight = [], 0
    if shard:
        yield shard


def _ranges(numbers: Iterable[int], most: int) -> Iterator[tuple[int, int]]:
    first, count = 0, 0
    for number in numbers:
        if count and (number != first + count or count == most):
            yield first, count
            count = 0
        if not count:
            first = number
        count += 1
    if count:
        yield first, count


def _seeded(order: PlannedRow, first: int) -> Options:
    # Every call of a row with the same seed would make the same pictures. (api: 9)
    seed = order.options.seed
    if seed is None or first == 1:
        return order.options
    return replace(order.options, seed=(seed + first - 1) % 2**32)


def single_sample(request: ImageRequest, number: int) -> ImageRequest:
    """The same request for a single one of its samples."""
    key = request_key(request.base, number, 1)
    return replace(
        request,
        key=key,
        first=number,
        samples=1,
        names=(request.name(number).replace(request.key[:8], key[:8]),),
        price=None if request.price is None else request.price / request.samples,
    )
