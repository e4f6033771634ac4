"""Divides rows into requests, and requests into shards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from imagen_batch.planning.keys import request_key
from imagen_batch.planning.resolve_rows import PlannedRow
from imagen_batch.records import ImageRequest, Options

_SHARD_BYTES = 8 * 2**20  # of prompts: shards are passed between processes


def requests_for(row: PlannedRow, base: str, numbers: Iterable[int]) -> Iterator[ImageRequest]:
    """Yield requests for the samples `numbers` of a row, as few as its model allows."""
    for first, count in _ranges(numbers, row.model.samples_per_request):
        key = request_key(base, first, count)
        yield ImageRequest(
            key=key,
            base=base,
            row=row.row.row,
            first=first,
            samples=count,
            model=row.model.id,
            dialect=row.model.dialect,
            prompt=row.prompt,
            options=with_seed_of(first, row.options),
            names=tuple(row.image_name(number, key, base) for number in range(first, first + count)),
            price=None if row.price is None else row.price * count,
            references=row.references,
        )


def request_count(numbers: Iterable[int], per_request: int) -> int:
    """Return how many requests the samples `numbers` of a row take."""
    return sum(1 for _ in _ranges(numbers, per_request))


def shard_size(requests: int) -> int:
    """Return how many requests a shard holds: a run has some hundreds of shards at most."""
    return min(2000, max(50, -(-requests // 500)))


def shards(requests: Iterable[ImageRequest], size: int) -> Iterator[list[ImageRequest]]:
    """Yield contiguous slices of `requests`, limited in number and in bytes."""
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


def single_sample(request: ImageRequest, number: int) -> ImageRequest:
    """Return the same request for only one of its samples."""
    key = request_key(request.base, number, 1)
    return replace(
        request,
        key=key,
        first=number,
        samples=1,
        names=(request.name(number).replace(request.key[:8], key[:8]),),
        price=None if request.price is None else request.price / request.samples,
    )


def _ranges(numbers: Iterable[int], max_length: int) -> Iterator[tuple[int, int]]:
    """Yield start and length of runs of consecutive numbers."""
    first, count = 0, 0
    for number in numbers:
        if count and (number != first + count or count == max_length):
            yield first, count
            count = 0
        if not count:
            first = number
        count += 1
    if count:
        yield first, count


def with_seed_of(first: int, options: Options) -> Options:
    """Return the options for a request that begins with sample `first`."""
    # With the same seed, every request of a row would return the same images. (api: 9)
    if options.seed is None or first == 1:
        return options
    return replace(options, seed=(options.seed + first - 1) % 2**32)
