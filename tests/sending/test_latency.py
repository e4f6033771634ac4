"""The latency in the trace is that of the last attempt."""

from imagen_batch.sending.retry import RetryingRequest
from tests.support.sending import IMAGE, error, images, predict_request, sending


def test_the_latency_is_that_of_the_attempt_with_the_answer(tmp_path):
    """Not the time since the first attempt, which includes the pauses."""
    sent = sending(tmp_path, error(503), images(IMAGE))
    retrying = RetryingRequest(predict_request(1), sent.context)
    retrying.run()
    alone = RetryingRequest(predict_request(1), sending(tmp_path / "alone", images(IMAGE)).context)
    alone.run()
    assert retrying.trace.sent_at is not None
    assert retrying.trace.finished_at is not None
    assert retrying.trace.latency_s == alone.trace.latency_s
    assert retrying.trace.latency_s < retrying.trace.finished_at - retrying.trace.sent_at
