"""The records of an answer: its latency, its status, and remarks about its image."""

import io

from PIL import Image

from imagen_batch.providers.transport import RawReply
from imagen_batch.sending.attempts.send_with_retries import RetryingRequest
from imagen_batch.sending.generate import generate
from tests.support.sending import HALF_IMAGE, IMAGE, error, images, predict_request, sending


def test_the_latency_is_that_of_the_attempt_with_the_answer(tmp_path):
    """It is not the time since the first attempt, which includes the pauses."""
    sent = sending(tmp_path, error(503), images(IMAGE))
    retrying = RetryingRequest(predict_request(1), sent.context)
    retrying.run()
    single = RetryingRequest(predict_request(1), sending(tmp_path / "alone", images(IMAGE)).context)
    single.run()
    assert retrying.trace.sent_at is not None
    assert retrying.trace.finished_at is not None
    assert retrying.trace.latency_s == single.trace.latency_s
    assert retrying.trace.latency_s < retrying.trace.finished_at - retrying.trace.sent_at


def test_a_reply_with_a_damaged_image_keeps_its_status_in_the_ledger(tmp_path):
    """The service answered with 200; the image can't be used."""
    sent = sending(tmp_path, images(HALF_IMAGE), images(IMAGE))
    RetryingRequest(predict_request(1), sent.context).run()
    (ended,) = [record for record in sent.records if record["t"] == "back"]
    assert (ended["status"], ended["charged"]) == (200, "yes")


def test_an_image_of_a_rare_type_is_ok_with_a_note(tmp_path):
    """Some tools can't read it."""
    gif = io.BytesIO()
    Image.new("P", (64, 64)).save(gif, "GIF")
    body = images(gif.getvalue()).body.replace(b"image/png", b"image/gif")
    sent = sending(tmp_path, RawReply(200, {}, body))
    generate(predict_request(1), sent.context)
    (done,) = [record for record in sent.records if record["t"] == "done"]
    (sample,) = done["samples"]
    assert (sample["status"], sample["error_kind"]) == ("ok", "rare_format")
    assert sample["error"] == "the service sent image/gif, which some tools do not read"


def test_with_hold_a_damaged_image_is_not_bought_again(tmp_path):
    """It was charged, and the user wants to decide about a second request."""
    sent = sending(tmp_path, images(HALF_IMAGE), images(IMAGE), on_unknown="hold")
    answer = RetryingRequest(predict_request(1), sent.context).run()
    assert len(answer.missing) == len(sent.transport.payloads) == 1
