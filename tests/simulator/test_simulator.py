"""The simulator behaves like the services: routes, credentials, replies and costs."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, RemoteDisconnected
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from imagen_batch.simulator import Simulator, read_stamp
from tests.support.http import GEMINI, IMAGEN, KEY, VERTEX, generate, predict, send


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """Start a simulator without faults."""
    with Simulator() as running:
        yield running


@pytest.mark.parametrize("root", ["/v1beta", "/v1", VERTEX, VERTEX.replace("/v1/", "/v1beta1/")])
def test_both_dialects_answer_on_the_paths_of_both_hosts(sim: Simulator, root: str) -> None:
    """It serves every version that a client may use."""
    assert len(predict(sim, root=root, sampleCount=2).images) == 2
    assert len(generate(sim, root=root).images) == 1


def test_predict_without_a_count_returns_the_default_of_the_service(sim: Simulator) -> None:
    """The Gemini API returned four images."""
    reply = send(sim, f"/v1beta/models/{IMAGEN}:predict", {"instances": [{"prompt": "a"}]})
    assert [read_stamp(data)["sample"] for data in reply.images] == [1, 2, 3, 4]


def test_a_reply_counts_tokens_as_the_documentation_does(sim: Simulator) -> None:
    """There are image tokens by size, thoughts, and their sum."""
    reply = generate(sim, "abcdefgh", imageSize="2K").json
    usage = reply["usageMetadata"]
    assert usage["candidatesTokensDetails"] == [{"modality": "IMAGE", "tokenCount": 1680}]
    assert usage["totalTokenCount"] == usage["promptTokenCount"] + 1680 + 96 + 210
    assert reply["modelVersion"] == GEMINI


def test_safety_attributes_add_an_item_without_an_image(sim: Simulator) -> None:
    """The "Positive Prompt" is the last item."""
    items = predict(sim, sampleCount=2, includeSafetyAttributes=True).json["predictions"]
    assert [item.get("contentType") for item in items] == [None, None, "Positive Prompt"]
    assert all(len(item["safetyAttributes"]["scores"]) == 3 for item in items)


def test_thoughts_precede_the_image_if_requested(sim: Simulator) -> None:
    """There are a plan and a draft, both marked."""
    reply = generate(sim, config={"thinkingConfig": {"includeThoughts": True}}).json
    parts = reply["candidates"][0]["content"]["parts"]
    assert [part.get("thought", False) for part in parts] == [True, True, False]


def test_a_request_without_a_credential_is_refused(sim: Simulator) -> None:
    """It is a 403 on the Gemini API and a 401 on Vertex."""
    assert send(sim, f"/v1beta/models/{IMAGEN}:predict", {}, headers={}).status == 403
    assert send(sim, f"{VERTEX}/models/{IMAGEN}:predict", {}, headers={}).json["error"]["status"] == "UNAUTHENTICATED"


def test_a_token_is_valid_for_vertex_only(sim: Simulator) -> None:
    """The Gemini API ignores a bearer token."""
    token = {"Authorization": "Bearer t"}
    body = {"instances": [{"prompt": "a"}]}
    assert send(sim, f"{VERTEX}/models/{IMAGEN}:predict", body, headers=token).status == 200
    assert send(sim, f"/v1/models/{IMAGEN}:predict", body, headers=token).status == 403


def test_the_key_named_invalid_is_refused(sim: Simulator) -> None:
    """The reason is the one of Google."""
    reply = send(sim, f"/v1beta/models/{IMAGEN}:predict", {}, headers={"x-goog-api-key": "invalid"})
    assert reply.status == 400
    assert reply.json["error"]["details"][0]["reason"] == "API_KEY_INVALID"


def test_a_key_in_the_url_works_and_is_counted(sim: Simulator) -> None:
    """A test can thus check that a client never sends one."""
    reply = send(sim, f"/v1beta/models/{IMAGEN}:predict?key=k", {"instances": [{"prompt": "a"}]}, headers={})
    assert reply.status == 200
    assert "key=k" in sim.requests[0].path


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (f"/v1beta/models/{GEMINI}:predict", "is not supported for predict"),
        ("/v1/models/imagen-9:predict", "models/imagen-9 is not found for API version v1"),
        (f"{VERTEX}/models/imagen-9:predict", "Publisher Model"),
    ],
)
def test_an_unknown_model_or_verb_is_not_found(sim: Simulator, path: str, words: str) -> None:
    """It is a 404 with the words of the host."""
    reply = send(sim, path, {"instances": [{"prompt": "a"}]})
    assert (reply.status, reply.json["error"]["status"]) == (404, "NOT_FOUND")
    assert words in reply.message


def test_models_can_be_added_and_listed() -> None:
    """They are added by name, or by the prefix `sim-`."""
    with Simulator(models=["house-model"]) as sim:
        assert generate(sim, model="house-model").status == 200
        assert predict(sim, model="sim-x").status == 200
        names = [model["name"] for model in send(sim, "/v1beta/models").json["models"]]
        assert {"models/house-model", f"models/{GEMINI}"} <= set(names)
        methods = send(sim, f"/v1/models/{GEMINI}").json["supportedGenerationMethods"]
        assert methods == ["generateContent"]
        assert send(sim, "/v1/models/other").status == 404


def test_a_wrong_path_gets_a_page(sim: Simulator) -> None:
    """It is HTML, as for a wrong location."""
    reply = send(sim, "/v1beta/nothing", {})
    assert (reply.status, reply.headers["content-type"]) == (404, "text/html; charset=UTF-8")


def test_a_connection_serves_many_requests(sim: Simulator) -> None:
    """This is HTTP/1.1 keep-alive, also after a refusal."""
    connection = HTTPConnection(urlsplit(sim.url).netloc, timeout=5)
    try:
        for body, status in ((b"{", 400), (b'{"instances": [{"prompt": "a"}]}', 200), (b"[]", 400)):
            connection.request("POST", f"/v1/models/{IMAGEN}:predict", body, KEY)
            reply = connection.getresponse()
            reply.read()
            assert reply.status == status
            assert connection.sock is not None
    finally:
        connection.close()


def test_many_requests_are_served_at_once() -> None:
    """200 requests are in flight together, and closing ends them all."""
    with ThreadPoolExecutor(200) as pool:
        with Simulator() as sim:
            waiting = [pool.submit(generate, sim, "[[sim:stall]]") for _ in range(200)]
            while sim.stats["in_flight_max"] < 200:
                time.sleep(0.005)
        assert {type(one.exception()) for one in waiting} <= {RemoteDisconnected, ConnectionResetError}


def test_the_cost_counts_images_that_were_returned(sim: Simulator) -> None:
    """Refusals cost nothing."""
    predict(sim, sampleCount=3)
    predict(sim, sampleCount=9)
    generate(sim)
    assert sim.bill.images == {IMAGEN: 3, GEMINI: 1}
    assert sim.bill.attempts == {200: 2, 400: 1}
    stats = send(sim, "/_sim/stats").json
    assert (stats["pictures_made"], len(stats["pictures"])) == (4, 4)
    assert len(sim.requests) == 3


def test_closing_ends_requests_in_flight() -> None:
    """A request that would take an hour is aborted, and no thread remains."""
    before = threading.active_count()
    with ThreadPoolExecutor(1) as pool:
        with Simulator(latency=3600) as sim:
            waiting = pool.submit(generate, sim)
            while not sim.stats["in_flight_max"]:
                time.sleep(0.005)
            began = time.monotonic()
        assert time.monotonic() - began < 1
        with pytest.raises(ConnectionError):
            waiting.result()
    assert threading.active_count() == before


def test_only_loopback_is_served() -> None:
    """Nobody else may reach a service that accepts any key."""
    with pytest.raises(ValueError, match="loopback"):
        Simulator(host="0.0.0.0")


def test_a_record_has_every_exchange_and_no_credential(tmp_path: Path) -> None:
    """A credential may be in the header or in the URL."""
    with Simulator(record=tmp_path / "log") as sim:
        send(sim, f"/v1/models/{IMAGEN}:predict?key=SECRET", {}, headers={"x-goog-api-key": "SECRET"})
        predict(sim)
    text = (tmp_path / "log" / "exchanges.jsonl").read_text("utf-8")
    assert "SECRET" not in text
    assert [json.loads(line)["status"] for line in text.splitlines()] == [400, 200]
