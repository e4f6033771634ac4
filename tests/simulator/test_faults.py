"""Every fault occurs as its row in the table says, for the requested prompts and as often as requested."""

from __future__ import annotations

import base64
import binascii
import gzip
import http.client
import io
import json
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

from imagen_batch.simulator import FAULTS, Simulator
from imagen_batch.simulator.faults.choose_fault import RuleInvalid
from tests.support.http import KEY, Reply, generate, predict, send

INSTEAD = [name for name, fault in FAULTS.items() if fault.instead and not fault.carry]
FINISHES = [name for name in FAULTS if name.startswith("finish_")]


def filters(reply: Reply) -> list[str]:
    """Return the reasons that replace images."""
    return [item["raiFilteredReason"] for item in reply.json["predictions"] if "raiFilteredReason" in item]


@pytest.mark.parametrize("name", INSTEAD)
def test_an_error_is_sent_in_both_dialects(sim: Simulator, name: str) -> None:
    """Its status is the one in its name or its table row."""
    statuses = {send(sim, f"p [[sim:{name}]]").status for send in (predict, generate)}
    assert len(statuses) == 1
    digits = [part for part in name.split("_") if part.isdecimal()]
    assert not digits or statuses == {int(digits[0])}


@pytest.mark.parametrize(
    ("name", "code", "status", "words"),
    [
        ("bad_key", 400, "INVALID_ARGUMENT", "API key not valid"),
        ("key_expired", 400, "INVALID_ARGUMENT", "API key expired"),
        ("not_billed", 400, "INVALID_ARGUMENT", "only accessible to billed users"),
        ("location", 400, "FAILED_PRECONDITION", "User location is not supported"),
        ("prompt_refused_400", 400, "INVALID_ARGUMENT", "prompt could not be submitted"),
        ("unauthenticated", 401, "UNAUTHENTICATED", "authentication credential"),
        ("permission", 403, "PERMISSION_DENIED", "aiplatform.endpoints.predict"),
        ("model_gone", 404, "NOT_FOUND", "is not found for API version v1beta"),
        ("quota_bare", 429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
        ("quota_shared", 429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later."),
        ("prepay_empty", 429, "RESOURCE_EXHAUSTED", "prepayment credits are depleted"),
        ("free_tier_zero", 429, "RESOURCE_EXHAUSTED", "limit: 0"),
        ("internal_500", 500, "INTERNAL", "An internal error has occurred"),
        ("overloaded_503", 503, "UNAVAILABLE", "experiencing high demand"),
        ("deadline_504", 504, "DEADLINE_EXCEEDED", "Deadline expired"),
    ],
)
def test_an_error_has_the_words_of_the_service(sim: Simulator, name: str, code: int, status: str, words: str) -> None:
    """Clients read its code, its status and these words."""
    error = generate(sim, f"p [[sim:{name}]]").json["error"]
    assert (error["code"], error["status"]) == (code, status)
    assert words in error["message"]


def test_a_daily_quota_may_state_a_short_wait(sim: Simulator) -> None:
    """Only the id of the quota then shows that it is daily."""
    details = generate(sim, "[[sim:quota_day_short_delay]]").json["error"]["details"]
    assert details[0]["violations"][0]["quotaId"].startswith("GenerateRequestsPerDay")
    assert details[-1]["retryDelay"] == "57s"


def test_some_images_of_a_request_are_filtered() -> None:
    """There is a reason for each, one for all, or none; filtered images cost nothing."""
    with Simulator() as sim:
        four = {"sampleCount": 4, "includeRaiReason": True}
        each, summed, silent = (
            predict(sim, f"[[sim:{name} 3]]", **four) for name in ("partial", "partial_summary", "partial_silent")
        )
        assert [len(reply.images) for reply in (each, summed, silent)] == [1, 1, 1]
        assert [len(filters(reply)) for reply in (each, summed, silent)] == [3, 1, 0]
        assert sim.bill.total == 3


def test_all_images_of_a_request_are_filtered(sim: Simulator) -> None:
    """The reply has one text, codes only, or an empty object."""
    assert "Support codes: " in filters(predict(sim, "[[sim:all_filtered]]", includeRaiReason=True))[0]
    assert predict(sim, "[[sim:all_filtered]]").json == {}
    assert predict(sim, "[[sim:empty_object]]").json == {}
    assert filters(predict(sim, "[[sim:bare_code]]", sampleCount=2)) == ["63429089", "63429089"]


def test_filtered_means_the_first_samples_of_a_row_in_either_dialect(sim: Simulator) -> None:
    """One prompt file can then rehearse both."""
    prompt = "[[sim:filtered 2]]"
    assert len(predict(sim, prompt, sampleCount=4).images) == 2
    assert [len(generate(sim, prompt, sample=n).images) for n in (1, 2, 3)] == [0, 0, 1]


@pytest.mark.parametrize("name", FINISHES)
def test_a_candidate_has_a_finish_reason(sim: Simulator, name: str) -> None:
    """It has no content and no image."""
    candidate = generate(sim, f"[[sim:{name}]]").json["candidates"][0]
    assert (f"finish_{candidate['finishReason']}", candidate["content"]) == (name, {})


def test_a_prompt_is_blocked_for_the_requested_reason(sim: Simulator) -> None:
    """There are no candidates at all."""
    reply = generate(sim, "[[sim:blocked_prompt JAILBREAK]]").json
    assert reply["promptFeedback"] == {"blockReason": "JAILBREAK"}
    assert "candidates" not in reply


def test_text_replaces_or_precedes_the_image(sim: Simulator) -> None:
    """It is text only, or thoughts first."""
    assert generate(sim, "[[sim:text_only]]").images == []
    assert len(generate(sim, "[[sim:thought_image]]").images) == 2


def test_an_image_arrives_damaged() -> None:
    """It is not base64, half a file, or of another type than stated; it costs money and is lost."""
    with Simulator() as sim:
        with pytest.raises(binascii.Error):
            base64.b64decode(
                predict(sim, "[[sim:bad_base64]]").json["predictions"][0]["bytesBase64Encoded"], validate=True
            )
        with pytest.raises(OSError, match="truncated"):
            Image.open(io.BytesIO(generate(sim, "[[sim:half_picture]]").images[0])).load()
        other_type = predict(sim, "[[sim:lying_mime]]").json["predictions"][0]
        assert (other_type["mimeType"], sim.bill.total, sum(sim.bill.lost.values())) == ("image/jpeg", 3, 2)


def test_a_connection_breaks() -> None:
    """Before the reply nothing is charged; within it the image is charged and lost."""
    with Simulator() as sim:
        with pytest.raises(ConnectionResetError):
            generate(sim, "[[sim:reset]]")
        with pytest.raises(ConnectionError):
            generate(sim, "[[sim:stall 0.01]]")
        assert (sim.bill.total, sim.bill.attempts) == (0, {0: 2})
        with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
            generate(sim, "[[sim:reset_midway]]")
        with pytest.raises(http.client.IncompleteRead):
            generate(sim, "[[sim:wrong_length]]")
        with pytest.raises(json.JSONDecodeError):
            assert generate(sim, "[[sim:cut_json]]").json
        assert (sim.bill.total, sum(sim.bill.lost.values())) == (3, 3)


def test_a_reply_trickles() -> None:
    """It is slow, but complete in the end."""
    rule = {"fault": "trickle", "options": {"seconds": 0.0, "bytes": 4096, "headers": True}}
    with Simulator(faults=[rule]) as sim:
        assert len(generate(sim).images) == 1
        assert sim.bill.lost == {}


def test_a_compressed_reply_is_much_larger_when_unpacked(sim: Simulator) -> None:
    """A few kilobytes contain 32 MB."""
    reply = generate(sim, "[[sim:gzip_bomb 32]]")
    assert reply.headers["content-encoding"] == "gzip"
    assert len(reply.body) < 2**20 < len(gzip.decompress(reply.body)) == 32 * 2**20


def test_a_body_without_end_ends_when_the_client_hangs_up(sim: Simulator) -> None:
    """It also ends with the simulator."""
    connection = http.client.HTTPConnection(urlsplit(sim.url).netloc, timeout=5)
    body = json.dumps({"contents": [{"parts": [{"text": "[[sim:endless]]"}]}]})
    connection.request("POST", "/v1/models/sim-x:generateContent", body, KEY)
    reply = connection.getresponse()
    assert len(reply.read(10**6)) == 10**6
    if reply.fp:
        reply.close()
    connection.close()


def test_a_redirect_leads_elsewhere_and_a_key_is_echoed(sim: Simulator) -> None:
    """A careful client must not follow the one, nor repeat the other."""
    assert generate(sim, "[[sim:redirect http://127.0.0.1:9/]]").headers["location"] == "http://127.0.0.1:9/"
    assert KEY["x-goog-api-key"] in generate(sim, "[[sim:echo_key]]").message
    assert generate(sim, "[[sim:html_200]]").headers["content-type"].startswith("text/html")


def test_a_marker_counts_for_its_own_prompt(sim: Simulator) -> None:
    """It affects the first two attempts of each."""
    for prompt in ("a [[sim:internal_500*2]]", "b [[sim:internal_500 *2]]"):
        assert [generate(sim, prompt).status for _ in range(3)] == [500, 500, 200]


def test_two_markers_follow_each_other(sim: Simulator) -> None:
    """When the first is used up, the next one applies."""
    prompt = "[[sim:internal_500*1]] [[sim:quota_minute 30*1]]"
    reply = [generate(sim, prompt) for _ in range(3)]
    assert [one.status for one in reply] == [500, 429, 200]
    assert reply[1].json["error"]["details"][-1]["retryDelay"] == "30s"


@pytest.mark.parametrize("marker", ["no_such", "reset_midway 3", "quota_minute soon", "partial"])
def test_an_unknown_marker_is_refused(sim: Simulator, marker: str) -> None:
    """A rehearsal that tests nothing would be worse than an error."""
    reply = generate(sim, f"[[sim:{marker}]]")
    assert reply.status == 400
    assert marker.partition(" ")[0] in reply.message


def test_rules_match_prompts(tmp_path: Path) -> None:
    """They match a part, a pattern, or all; the first one that applies is used."""
    rules = [
        {"match": {"regex": "^c.t$"}, "fault": "internal_500"},
        {"match": "dog", "fault": "overloaded_503", "options": {"retry_after": 3}},
        {"match": "*", "fault": "quota_day", "after": 2},
    ]
    file = tmp_path / "faults.json"
    file.write_text(json.dumps(rules), "utf-8")
    with Simulator(faults=file) as sim:
        assert generate(sim, "cat").status == 500
        assert generate(sim, "a dog").headers["retry-after"] == "3"
        assert [generate(sim, prompt).status for prompt in "abcd"] == [200, 200, 429, 429]


def test_random_faults_are_reproducible() -> None:
    """The seed decides, not the order of the threads."""
    rule = {"fault": "internal_500", "probability": 0.5, "seed": 3}
    prompts = [f"p{n}" for n in range(40)]
    runs: list[dict[str, int]] = []
    for order in (prompts, prompts[::-1]):
        with Simulator(faults=[rule]) as sim:
            runs.append({prompt: generate(sim, prompt, model="sim-x", imageSize="512").status for prompt in order})
    assert runs[0] == runs[1]
    assert 8 < list(runs[0].values()).count(500) < 32


@pytest.mark.parametrize(
    "rule",
    [
        {"fault": "no_such"},
        {"match": "*"},
        {"fault": "reset", "often": 3},
        {"fault": "partial", "options": {"number": 3}},
        {"fault": "reset", "times": "2"},
        {"fault": "reset", "match": {"regex": "("}},
        {"fault": "reset", "match": 3},
    ],
)
def test_an_invalid_rule_is_refused_with_a_reason(rule: dict[str, Any]) -> None:
    """The message has its number."""
    with pytest.raises(RuleInvalid, match="rule 1"):
        Simulator(faults=[rule])


def test_a_client_that_hangs_up_disturbs_no_other(sim: Simulator) -> None:
    """The next one gets its reply."""
    where = urlsplit(sim.url)
    with socket.create_connection((where.hostname, where.port or 0), timeout=5) as client:
        client.sendall(b"POST /v1/models/sim-x:predict HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
    assert send(sim, "/v1/models").status == 200


def test_every_fault_has_a_section_and_a_line() -> None:
    """Users read the table."""
    assert all(fault.section and fault.description for fault in FAULTS.values())
    assert len(FAULTS) > 60
