"""Every recorded reply is read as its file in `replies/` says; each file names its source."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from imagen_batch import errors
from imagen_batch.errors import AttemptError
from imagen_batch.providers.wire import DIALECTS
from imagen_batch.providers.wire.classify_errors import read_error
from imagen_batch.records import ReceivedImage, Reply

REPLIES = Path(__file__).parent / "replies"
CASES = sorted(REPLIES.rglob("*.json"))
NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_recorded_reply_means_what_its_file_says(path: Path) -> None:
    """Each file has a reply, its source, and the expected result."""
    case = json.loads(path.read_text(encoding="utf-8"))
    expected = case["expect"]
    if "raises" in expected:
        with pytest.raises(AttemptError) as caught:
            read(path.parent.name, case)
        check_error(caught.value, expected)
    else:
        check_reply(read(path.parent.name, case), expected, requested=case["asked"])


def test_every_recorded_reply_names_its_source() -> None:
    """A case without a source can't be checked when the service changes."""
    assert len(CASES) > 100
    assert [path.name for path in CASES if not json.loads(path.read_text(encoding="utf-8"))["source"]] == []


def read(folder: str, case: dict[str, Any]) -> Reply:
    text = case["body_text"] if "body_text" in case else json.dumps(case["body"])
    body = text.encode(case.get("encoding", "utf-8"))
    if folder == "errors":
        return read_error(case["status"], case["headers"], body, requested=case["asked"], now=lambda: NOW)
    return DIALECTS[folder].decode(body, requested=case["asked"], http_status=case["status"])


def check_reply(reply: Reply, expected: dict[str, Any], *, requested: int) -> None:
    assert len(reply.samples) == requested
    for sample, wanted in zip(reply.samples, expected["samples"], strict=True):
        assert isinstance(sample, ReceivedImage) == ("data" in wanted)
        assert fields_of(sample, wanted) == wanted
    rest = {name: value for name, value in expected.items() if name != "samples"}
    assert fields_of(reply, rest) == rest


def check_error(error: AttemptError, expected: dict[str, Any]) -> None:
    assert type(error) is getattr(errors, expected.pop("raises"))
    message = str(error)
    assert "\n" not in message
    assert all(words in message for words in expected.pop("message_has", []))
    assert not any(words in message for words in expected.pop("message_lacks", []))
    assert fields_of(error, expected) == expected


def fields_of(value: object, names: dict[str, Any]) -> dict[str, Any]:
    """Return the named fields, as JSON writes them."""
    return {name: plain(getattr(value, name)) for name in names}


def plain(value: Any) -> Any:
    match value:
        case bytes():
            return base64.b64encode(value).decode()
        case tuple():
            return list(value)
        case datetime():
            return value.isoformat()
        case _ if hasattr(value, "__slots__"):
            return {name: getattr(value, name) for name in value.__slots__}
    return value
