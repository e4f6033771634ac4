"""One request from start to finish; one shard from start to finish."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace

from imagen_batch.errors import Fatal, Interrupted, Transient, storage_failure
from imagen_batch.images.validate import ImageInfo, contradicts, is_rare
from imagen_batch.planning.requests import single_sample
from imagen_batch.records import CostIs, ImageRequest, Picture, RequestTrace, SampleResult
from imagen_batch.sending.attempt import OverBudget
from imagen_batch.sending.context import SendingContext
from imagen_batch.sending.retry import Answer, RetryingRequest, ValidImage
from imagen_batch.sending.samples import attempts_exhausted, not_generated, saved

_Todo = tuple[ImageRequest, Mapping[str, int]]
"""A request, and how often its samples were bought and could not be used, by kind of damage."""


def generate_shard(requests: Sequence[ImageRequest], context: SendingContext, *, threads: Executor) -> None:
    """Make all pictures of a shard in `threads`, which every shard of the process shares. Raises what is a bug."""
    futures = [threads.submit(generate, request, context) for request in requests]
    errors = [error for future in futures if (error := future.exception()) is not None]
    if errors:
        raise errors[0]


def generate(request: ImageRequest, context: SendingContext) -> None:
    """Make the pictures of one request and record what became of each.

    Returns without a record where the run stops or the budget ends first. What it raises is a bug, and ends the run.
    """
    todo: list[_Todo] = [(request, Counter())]
    try:
        while todo and not context.stop.is_set:
            todo += _run_once(*todo.pop(), context)
    except Exception as error:
        context.stop.fail(Fatal(f"a bug: {error!r}", kind="bug", outcome="bug", exit_code=1))
        raise


def _run_once(request: ImageRequest, damages: Mapping[str, int], context: SendingContext) -> list[_Todo]:
    """Settle one request; returns what has to be asked for once more."""
    attempts = RetryingRequest(request, context, damages=damages)
    try:
        return _attempt_and_record(request, attempts, context)
    except (Interrupted, OverBudget):
        return []
    except OSError as error:
        context.stop.fail(storage_failure(error))
        return []
    finally:
        context.store.room.release(request.key)


def _attempt_and_record(request: ImageRequest, attempts: RetryingRequest, context: SendingContext) -> list[_Todo]:
    try:
        answer = attempts.answer()
    except Transient as error:
        uncertain = attempts.uncertain
        samples = tuple(
            attempts_exhausted(number, error, attempts.trace, uncertain=uncertain) for number in request.numbers
        )
        _record(request, samples, attempts.trace, context)
        return []
    _record(request, _samples(request, answer, context), attempts.trace, context)
    return [(single_sample(request, damaged.number), attempts.damages) for damaged in answer.damaged]


def _record(
    request: ImageRequest, samples: tuple[SampleResult, ...], trace: RequestTrace, context: SendingContext
) -> None:
    try:
        context.ledger.done(request, samples, trace)
    except OSError as error:
        context.store.room.release_ballast()
        context.stop.fail(storage_failure(error))
        context.ledger.flush()
    context.store.clear(request.key, [sample.number for sample in samples if sample.file])
    context.seen(samples)


def _samples(request: ImageRequest, answer: Answer, context: SendingContext) -> tuple[SampleResult, ...]:
    share = None if answer.usd is None else answer.usd / max(1, len(answer.pictures))
    made = [_made(request, checked, context, cost=(share, answer.cost_is)) for checked in answer.pictures]
    # Without a picture what the request cost (its input) stands at the first sample.
    rest = [0.0 if made or index else answer.usd for index in range(len(answer.missing))]
    lacking = [not_generated(*one, cost=(usd, answer.cost_is)) for one, usd in zip(answer.missing, rest, strict=True)]
    return tuple(sorted((*made, *lacking), key=lambda sample: sample.number))


def _made(
    request: ImageRequest, checked: ValidImage, context: SendingContext, *, cost: tuple[float | None, CostIs]
) -> SampleResult:
    facts, picture = checked.facts, checked.picture
    name = request.name(checked.number) + facts.extension
    file, trouble = context.store.put(picture.data, key=request.key, number=checked.number, name=name)
    if trouble is not None:
        context.stop.fail(storage_failure(trouble))
    error, error_kind = _about_type(picture, facts)
    return replace(
        saved(checked.number, file, facts, cost=cost),
        finish_reason=picture.finish_reason,
        safety=picture.safety,
        note=picture.note,
        error=error,
        error_kind=error_kind,
    )


def _about_type(picture: Picture, facts: ImageInfo) -> tuple[str | None, str | None]:
    """What a user should know about the type of a picture that is there: an error text and its kind."""
    if contradicts(picture.mime_type, facts):
        return f"the service said {picture.mime_type}", "mime_mismatch"
    if is_rare(facts):
        return f"the service sent {facts.mime_type}, which some tools do not read", "rare_format"
    return None, None
