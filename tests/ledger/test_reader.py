"""Every line of a ledger is a record of a known form or reported as damage. None causes any other exception."""

import pickle

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagen_batch.audit.expected import read_ledger_totals
from imagen_batch.errors import LedgerDamaged
from imagen_batch.ledger.damage import damaged_lines, skip_record
from imagen_batch.ledger.history import read_history
from imagen_batch.ledger.reader import read_records
from imagen_batch.ledger.records import OtherRecord
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.storage import LEDGER, Folder
from tests.support.factories import ok, request, trace

SAMPLE = {
    "number": 1,
    "status": "ok",
    "file": "images/a.png",
    "sha256": "00" * 32,
    "cost_is": "exact",
    "cost_usd": 0.1,
}
DONE = {
    "t": "done",
    "key": "ab" * 32,
    "base": "cd" * 32,
    "attempt": 1,
    "status": 200,
    "latency": 1.5,
    "sent_at": 1.0,
    "at": 2.0,
    "samples": [SAMPLE],
}
SENT = {
    "t": "sent",
    "key": "ab" * 32,
    "base": "cd" * 32,
    "first": 1,
    "names": ["images/a"],
    "model": "m",
    "attempt": 1,
    "at": 1.0,
    "usd": 0.1,
}
BACK = {
    "t": "back",
    "key": "ab" * 32,
    "attempt": 1,
    "at": 2.0,
    "kind": "x",
    "status": None,
    "charged": "maybe",
    "usd": None,
}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=8,
)


def ledger_of(folder, *lines):
    """Write a ledger of one file with these lines."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "00000000001.000-aaaaaaaa.jsonl"
    path.write_bytes(b"".join(line if isinstance(line, bytes) else orjson.dumps(line) + b"\n" for line in lines))
    return folder


def damage(folder):
    """Return the damage that both readers find; None if there is none."""
    damages = []
    for read in (read_history, read_ledger_totals):
        try:
            read(folder)
        except LedgerDamaged as error:
            damages.append((error.line, error.offset))
        else:
            damages.append(None)
    assert damages[0] == damages[1]
    return damages[0]


def test_sound_records_are_read(tmp_path):
    """These are all types that are written, and types and fields of later versions."""
    later = {"t": "of a later version", "whatever": [1, {}]}
    assert (
        damage(ledger_of(tmp_path / "ledger", SENT, BACK, DONE | {"more": 1}, later, {"t": "claim", "run": "r"}))
        is None
    )


FIELDS = [
    *((record, name) for record in (SENT, BACK, DONE) for name in record if name not in {"t", "model", "at", "kind"}),
]


@pytest.mark.parametrize(
    ("record", "name"), FIELDS, ids=lambda value: value if isinstance(value, str) else value["t"]
)
@pytest.mark.parametrize("value", [{}, [5], "text", True, -1, None, "\0"])
def test_a_field_of_another_type_is_damage_or_harmless(tmp_path, record, name, value):
    """Either the line is reported, or everything that reads the ledger works."""
    folder = ledger_of(tmp_path / "ledger", SENT, record | {name: value})
    if damage(folder) is None:
        history = read_history(folder)
        history.details(DONE["base"], 1)
        history.cost_bounds()
        assert isinstance(history.open, dict)
    else:
        assert damage(folder) == (2, len(orjson.dumps(SENT)) + 1)


@pytest.mark.parametrize("name", [*SAMPLE, "width", "filter_codes", "c2pa", "error"])
@pytest.mark.parametrize("value", [{}, [5], "text", True, -1, 1.5, None])
def test_a_field_of_a_sample_of_another_type_is_damage_or_harmless(tmp_path, name, value):
    """The same holds for nested fields."""
    folder = ledger_of(tmp_path / "ledger", DONE | {"samples": [SAMPLE | {name: value}]})
    if damage(folder) is None:
        read_history(folder).details(DONE["base"], 1)


@pytest.mark.parametrize("file", ["../../outside.png", "/etc/passwd", "images/../../x", ""])
def test_a_path_outside_the_folder_is_damage(tmp_path, file):
    """An edited ledger must not make a run read, move or remove files of others."""
    assert damage(ledger_of(tmp_path / "ledger", DONE | {"samples": [SAMPLE | {"file": file}]})) == (1, 0)
    assert damage(ledger_of(tmp_path / "ledger", SENT | {"names": [file]})) == (1, 0)


@settings(deadline=None)
@given(JSON)
def test_any_json_is_a_record_or_reported(tmp_path_factory, value):
    """No content of a line raises any other exception."""
    folder = ledger_of(tmp_path_factory.mktemp("any") / "ledger", SENT, value, DONE)
    if not isinstance(value, dict):
        assert damage(folder) == (2, len(orjson.dumps(SENT)) + 1)


@settings(deadline=None)
@given(st.binary(max_size=60).filter(lambda data: b"\n" not in data))
def test_any_bytes_are_a_record_or_reported(tmp_path_factory, data):
    """The same holds for data that is not JSON."""
    folder = ledger_of(tmp_path_factory.mktemp("any") / "ledger", SENT, data + b"\n", DONE)
    assert damage(folder) == (2, len(orjson.dumps(SENT)) + 1)


def test_deep_nesting_is_reported(tmp_path):
    """A line may hold 100,000 brackets."""
    assert damage(ledger_of(tmp_path / "ledger", b"[" * 100_000 + b"\n")) == (1, 0)
    assert damage(ledger_of(tmp_path / "ledger", b'{"t":' * 100_000 + b"\n")) == (1, 0)


def test_only_the_damaged_line_that_a_record_names_is_skipped(tmp_path):
    """The line stays in its file; the same bytes elsewhere are still damage."""
    folder = ledger_of(tmp_path / LEDGER, SENT, b"{}\n", DONE)
    ((error, line),) = damaged_lines(folder)
    writer = LedgerWriter(Folder(tmp_path), now=2.0)
    writer.record_skip(skip_record(error, line))
    writer.close()
    assert damage(folder) is None
    assert list(damaged_lines(folder)) == []
    assert any(isinstance(record, OtherRecord) for record in read_records(folder))
    (folder / "00000000001.500-bbbbbbbb.jsonl").write_bytes(orjson.dumps(SENT) + b"\n{}\n")
    assert damage(folder) is not None


def test_an_error_can_be_passed_between_processes(tmp_path):
    """A long ledger is read in another process."""
    with pytest.raises(LedgerDamaged) as caught:
        read_history(ledger_of(tmp_path / ".imagen-batch" / "ledger", b"null\n"))
    error = pickle.loads(pickle.dumps(caught.value))
    assert str(error) == str(caught.value)
    assert f"imagen-batch audit {tmp_path} --repair" in str(error)


def test_every_field_of_a_sample_is_read_back(tmp_path):
    """This covers fields that are added later."""
    folder = Folder(tmp_path)
    folder.put("images/a.png", b"")
    writer = LedgerWriter(folder, now=1.0)
    sample = ok(width=3, c2pa=True, filter_codes=("1", "2"), note="a note", error_kind="mime_mismatch")
    writer.record_result(request(1), (sample,), trace(request(1).key))
    writer.close()
    assert read_history(tmp_path / LEDGER).details(request(1).base, 1) == (sample, trace(request(1).key))
