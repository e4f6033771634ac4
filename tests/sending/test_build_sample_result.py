"""The recorded result of a sample has all known facts."""

from imagen_batch.errors import Transient
from imagen_batch.images.validate import validate
from imagen_batch.records import NoImage
from imagen_batch.sending.build_sample_result import exhausted_result, missing_result, saved_result
from tests.support.factories import trace
from tests.support.images import signed
from tests.support.sending import IMAGE

EXACT = (0.05, "exact")


def test_a_saved_image_has_its_facts_and_its_cost():
    """Size, type and checksum come from the bytes."""
    info = validate(IMAGE)
    sample = saved_result(2, "images/a.png", info, cost=EXACT)
    assert (sample.number, sample.status, sample.file) == (2, "ok", "images/a.png")
    assert (sample.width, sample.height, sample.bytes) == (info.width, info.height, len(IMAGE))
    assert (sample.mime_type, sample.sha256, sample.c2pa) == ("image/png", info.sha256, False)
    assert (sample.cost_usd, sample.cost_is, sample.error) == (0.05, "exact", None)
    assert saved_result(1, "images/a.png", validate(signed()["png signed"]), cost=EXACT).c2pa is True


def test_a_filtered_sample_has_a_reason_and_no_error():
    """The filter's facts are kept field by field."""
    missing = NoImage("filtered", "filtered_output", "too much", "output", "violence", ("56",), "SAFETY", "{}")
    sample = missing_result(3, missing, cost=(0.0, "estimate"))
    assert (sample.number, sample.status, sample.reason, sample.error) == (3, "filtered", "too much", None)
    assert (sample.filter_stage, sample.filter_category, sample.filter_codes) == ("output", "violence", ("56",))
    assert (sample.finish_reason, sample.safety, sample.error_kind) == ("SAFETY", "{}", "filtered_output")
    assert (sample.cost_usd, sample.cost_is) == (0.0, "estimate")


def test_a_failed_sample_has_an_error_and_no_reason():
    """A failure is not a decision of a filter."""
    sample = missing_result(1, NoImage("failed", "bad_request", "no such size"), cost=(None, "unknown"))
    assert (sample.status, sample.reason, sample.error) == ("failed", None, "no such size")
    assert (sample.error_kind, sample.cost_usd, sample.cost_is) == ("bad_request", None, "unknown")


def test_used_up_attempts_are_a_failure_unless_the_reply_was_lost():
    """A lost reply may have been an image: then the outcome is unknown."""
    refused = Transient("overloaded", kind="overloaded", http_status=503)
    lost = Transient("timed out", kind="timeout", lost=True, maybe_charged=True)
    failed = exhausted_result(1, refused, trace(attempts=3), uncertain=False)
    assert (failed.status, failed.error) == ("failed", "overloaded (overloaded, 3 attempts)")
    assert (failed.error_kind, failed.cost_usd, failed.cost_is) == ("transient_exhausted", 0.0, "estimate")
    unknown = exhausted_result(1, lost, trace(), uncertain=True)
    assert (unknown.status, unknown.cost_usd, unknown.cost_is) == ("unknown", None, "unknown")
    assert unknown.error == "timed out (timeout, 1 attempt)"
