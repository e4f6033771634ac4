"""Records whose types are right and whose values are impossible are damage; their limits are exact."""

import orjson
import pytest

from imagen_batch.ledger.parsing import parse
from imagen_batch.ledger.records import BackRecord, DoneRecord, KeptRecord, OtherRecord, SentRecord

BASE = "cd" * 32
SENT = {"t": "sent", "key": "k", "base": BASE, "first": 1, "names": ["a", "b"], "attempt": 1, "at": 1.0, "usd": 0.1}
SAMPLE = {"number": 1, "status": "ok", "file": "images/a.png", "sha256": "00" * 32}
DONE = {
    "t": "done", "key": "k", "base": BASE, "attempt": 1, "status": 200, "latency": 1.0, "sent_at": 1.0, "at": 2.0,
    "samples": [SAMPLE],
}  # fmt: skip
BACK = {"t": "back", "key": "k", "attempt": 1, "charged": "no"}
MOVE = {"base": BASE, "from": "ab" * 32, "numbers": [1]}
KEPT = {"t": "kept", "moves": [MOVE]}
LAST = 2**32 - 1  # the highest sample number that fits into a slot


def _read(record):
    return parse(orjson.dumps(record) + b"\n")


def _sample(**changes):
    return DONE | {"samples": [SAMPLE | changes]}


def _move(**changes):
    return {"t": "kept", "moves": [MOVE, MOVE | changes]}


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        (SENT, SentRecord),
        (BACK, BackRecord),
        (DONE, DoneRecord),
        (KEPT, KeptRecord),
        ({"t": "claim", "run": "r", "shard": 1}, OtherRecord),
        (SENT | {"usd": None}, SentRecord),
        (SENT | {"usd": 0}, SentRecord),
        (SENT | {"first": LAST - 1}, SentRecord),
        (SENT | {"names": ["a"], "first": LAST}, SentRecord),
        (_sample(number=LAST), DoneRecord),
        (_sample(cost_usd=0), DoneRecord),
        (_sample(status="failed", file=None, sha256=None), DoneRecord),
        (_sample(file="images/a..b.png"), DoneRecord),
        (_move(numbers=[1, LAST]), KeptRecord),
        (_move(prompt="p", model="m", dialect="predict"), KeptRecord),
        ({"t": "kept", "moves": []}, KeptRecord),
    ],
)
def test_possible_values_are_read(record, kind):
    """They are valid up to the limits."""
    assert isinstance(_read(record), kind)


@pytest.mark.parametrize(
    "record",
    [
        SENT | {"usd": -0.01},
        SENT | {"first": 0},
        SENT | {"first": LAST},
        SENT | {"names": []},
        SENT | {"names": ["a", "/b"]},
        SENT | {"base": "cd" * 31},
        SENT | {"base": "x" * 64},
        _sample(number=0),
        _sample(number=LAST + 1),
        _sample(cost_usd=-0.01),
        _sample(file=None),
        _sample(sha256=None),
        _sample(sha256="no hex"),
        _sample(file="images/../../a.png"),
        DONE | {"base": "cd" * 33},
        _move(numbers=[0]),
        _move(numbers=[1, LAST + 1]),
        _move(base="cd" * 31),
        _move(**{"from": "cd" * 31}),
        _move(base="cd" * 31, **{"from": "ab" * 31}),
        _move(prompt="p", model="m"),
        _move(prompt="p", dialect="predict"),
        _move(prompt="p"),
    ],
)
def test_impossible_values_are_damage(record):
    """They begin just beyond the limits."""
    assert _read(record) == "it holds a value that no record can have"


def test_a_known_type_with_a_field_missing_is_not_taken_for_one_of_a_later_version():
    """It would be ignored, and an image would be paid for again."""
    for record in (SENT, BACK, DONE, KEPT):
        assert str(_read({"t": record["t"]})).startswith("it is not a record of a known form")


def test_an_open_attempt_knows_its_samples_and_the_price_of_each():
    """The attempt is for two samples at ten cents."""
    sent = _read(SENT | {"first": 3})
    assert isinstance(sent, SentRecord)
    assert list(sent.numbers) == [3, 4]
    assert sent.share == pytest.approx(0.05)
    unpriced = _read(SENT | {"usd": None})
    assert isinstance(unpriced, SentRecord)
    assert unpriced.share is None


def test_a_move_has_facts_where_a_row_was_edited():
    """Without a prompt, the row names what the image was generated from."""
    plain, edited = _read({"t": "kept", "moves": [MOVE, MOVE | {"prompt": "p", "model": "m", "dialect": "d"}]}).moves
    assert plain.facts is None
    assert edited.facts == {"prompt": "p", "model": "m", "dialect": "d", "options": {}}
