"""Generates and records the images of one request, or of one shard of requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, wait
from dataclasses import replace

from imagen_batch.errors import Interrupted, ReferenceUnusable, Transient, bug, storage_failure
from imagen_batch.images.compare_aspect_ratio import has_other_ratio
from imagen_batch.images.validate import ImageInfo, contradicts, is_rare
from imagen_batch.planning.requests_and_shards import single_sample
from imagen_batch.records import CostIs, ImageRequest, ReceivedImage, RequestTrace, SampleResult
from imagen_batch.sending.attempts.attempt_resources import OverBudget
from imagen_batch.sending.attempts.check_reply import Answer, Damaged, ValidImage
from imagen_batch.sending.attempts.send_with_retries import RetryingRequest
from imagen_batch.sending.build_sample_result import (
    exhausted_result,
    missing_result,
    saved_result,
    unusable_reference_result,
)
from imagen_batch.sending.context import SendingContext

_Pending = tuple[ImageRequest, Mapping[str, int]]
"""A request, and how often its images were paid for and could not be used, by kind of damage."""


def generate_shard(requests: Sequence[ImageRequest], context: SendingContext, *, threads: Executor) -> None:
    """Generate all images of a shard in `threads`, which all shards of the process share.

    Raises the first exception of a request; any exception is a bug.
    """
    futures = [threads.submit(generate, request, context) for request in requests]
    wait(futures)  # wakes this thread once, not for every request
    errors = [error for future in futures if (error := future.exception()) is not None]
    if errors:
        raise errors[0]


def generate(request: ImageRequest, context: SendingContext) -> None:
    """Generate the images of one request and record the result of each sample.

    Returns without a record where the run stops or the budget is exhausted first. Any exception is a bug, and stops
    the run.
    """
    pending: list[_Pending] = [(request, Counter())]
    try:
        while pending and not context.stop.is_set:
            pending += _run_once(*pending.pop(), context)
    except Exception as error:
        context.stop.fail(bug(error))
        raise


def _run_once(request: ImageRequest, damage_counts: Mapping[str, int], context: SendingContext) -> list[_Pending]:
    """Send one request until it has a result. Returns requests for the samples that are worth another request."""
    with context.tracing.request(request, context.provider) as span:
        retrying = RetryingRequest(request, context, damage_counts=damage_counts, span=span)
        try:
            return _attempt_and_record(request, retrying, context)
        except (Interrupted, OverBudget):
            pass
        except ReferenceUnusable as error:
            if not retrying.trace.attempts:  # a result would end earlier attempts, which may have been charged
                samples = tuple(unusable_reference_result(number, error) for number in request.numbers)
                _record(request, samples, retrying.trace, context)
        except OSError as error:
            context.stop.fail(storage_failure(error))
        finally:
            context.store.disk_space.release(request.key)
        return []


def _attempt_and_record(request: ImageRequest, retrying: RetryingRequest, context: SendingContext) -> list[_Pending]:
    damaged: tuple[Damaged, ...] = ()
    try:
        answer = retrying.run()
    except Transient as error:
        uncertain = retrying.uncertain
        samples = tuple(
            exhausted_result(number, error, retrying.trace, uncertain=uncertain) for number in request.numbers
        )
    else:
        samples, damaged = _samples(request, answer, context), answer.damaged
    _record(request, samples, retrying.trace, context)
    retrying.span.record_samples(samples, retrying.trace)
    return [(single_sample(request, image.number), retrying.damage_counts) for image in damaged]


def _record(
    request: ImageRequest, samples: tuple[SampleResult, ...], trace: RequestTrace, context: SendingContext
) -> None:
    try:
        context.ledger.record_result(request, samples, trace)
    except OSError as error:
        context.store.disk_space.release_ballast()
        context.stop.fail(storage_failure(error))
        context.ledger.flush()
    context.store.clear_staging(request.key, [sample.number for sample in samples if sample.file])
    context.on_results(samples)


def _samples(request: ImageRequest, answer: Answer, context: SendingContext) -> tuple[SampleResult, ...]:
    share = None if answer.usd is None else answer.usd / max(1, len(answer.images))
    with_image = [_save(request, image, context, cost=(share, answer.cost_is)) for image in answer.images]
    # Where no image came, the first sample carries what the request cost (its input).
    costs = [0.0 if with_image or index else answer.usd for index in range(len(answer.missing))]
    without = [
        missing_result(number, missing, cost=(usd, answer.cost_is))
        for (number, missing), usd in zip(answer.missing, costs, strict=True)
    ]
    return tuple(sorted((*with_image, *without), key=lambda sample: sample.number))


def _save(
    request: ImageRequest, image: ValidImage, context: SendingContext, *, cost: tuple[float | None, CostIs]
) -> SampleResult:
    info, received = image.info, image.received
    name = request.name(image.number) + info.extension
    file, trouble = context.store.save(received.data, key=request.key, number=image.number, name=name)
    if trouble is not None:
        context.stop.fail(storage_failure(trouble))
    error, error_kind = _type_issue(received, info)
    sample = saved_result(image.number, file, info, cost=cost)
    return replace(
        sample,
        finish_reason=received.finish_reason,
        safety=received.safety,
        note=received.note,
        error=error,
        error_kind=error_kind,
        warnings=(*_shape_warnings(request, info), *sample.warnings, *(("extra_image",) if image.has_extra else ())),
    )


def _shape_warnings(request: ImageRequest, info: ImageInfo) -> tuple[str, ...]:
    requested = request.options.aspect_ratio
    is_other = has_other_ratio(info.width, info.height, requested, dialect=request.dialect)
    return ("aspect_ratio",) if is_other else ()


def _type_issue(received: ReceivedImage, info: ImageInfo) -> tuple[str | None, str | None]:
    """Return what is unusual about the type of a saved image: a text for the user and an error kind."""
    if contradicts(received.mime_type, info):
        return f"the service said {received.mime_type}", "mime_mismatch"
    if is_rare(info):
        return f"the service sent {info.mime_type}, which some tools do not read", "rare_format"
    return None, None
