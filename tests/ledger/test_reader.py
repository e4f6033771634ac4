"""Every line of a ledger is a record of a known form, or a finding: never a traceback, never a guess."""

import pickle

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagen_batch.audit.expected import read_recorded
from imagen_batch.errors import LedgerDamaged
from imagen_batch.ledger.history import read_history
from imagen_batch.ledger.reader import OtherRecord, damaged_lines, read_records, skip_record
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
    """A ledger of one file with these lines."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "00000000001.000-aaaaaaaa.jsonl"
    path.write_bytes(b"".join(line if isinstance(line, bytes) else orjson.dumps(line) + b"\n" for line in lines))
    return folder


def damage(folder):
    """The damage that is found by both folds; None where there is none."""
    found = []
    for read in (read_history, read_recorded):
        try:
            read(folder)
        except LedgerDamaged as error:
            found.append((error.line, error.offset))
        else:
            found.append(None)
    assert found[0] == found[1]
    return found[0]


def test_sound_records_are_read(tmp_path):
    """All types that are written, and types and fields of later versions."""
    later = {"t": "review", "whatever": [1, {}]}
    assert (
        damage(ledger_of(tmp_path / "ledger", SENT, BACK, DONE | {"more": 1}, later, {"t": "claim", "run": "r"}))
        is None
    )


FIELDS = [
    *((record, name) for record in (SENT, BACK, DONE) for name in record if name not in {"t", "model", "at", "kind"}),
]


@pytest.mark.parametrize(("record", "name"), FIELDS, ids=lambda one: one if isinstance(one, str) else one["t"])
@pytest.mark.parametrize("value", [{}, [5], "text", True, -1, None, "\0"])
def test_a_field_of_another_type_is_damage_or_harmless(tmp_path, record, name, value):
    """Either the line is named, or both folds and what is read later do without a traceback."""
    folder = ledger_of(tmp_path / "ledger", SENT, record | {name: value})
    if damage(folder) is None:
        past = read_history(folder)
        past.details(DONE["base"], 1)
        past.cost_bounds()
        assert isinstance(past.open, dict)
    else:
        assert damage(folder) == (2, len(orjson.dumps(SENT)) + 1)


@pytest.mark.parametrize("name", [*SAMPLE, "width", "filter_codes", "c2pa", "error"])
@pytest.mark.parametrize("value", [{}, [5], "text", True, -1, 1.5, None])
def test_a_field_of_a_sample_of_another_type_is_damage_or_harmless(tmp_path, name, value):
    """The same for what is nested."""
    folder = ledger_of(tmp_path / "ledger", DONE | {"samples": [SAMPLE | {name: value}]})
    if damage(folder) is None:
        read_history(folder).details(DONE["base"], 1)


@pytest.mark.parametrize("file", ["../../outside.png", "/etc/passwd", "images/../../x", ""])
def test_a_path_out_of_the_folder_is_damage(tmp_path, file):
    """Whoever edits a ledger can't make a run read, move or remove what is not its own."""
    assert damage(ledger_of(tmp_path / "ledger", DONE | {"samples": [SAMPLE | {"file": file}]})) == (1, 0)
    assert damage(ledger_of(tmp_path / "ledger", SENT | {"names": [file]})) == (1, 0)


@settings(deadline=None)
@given(JSON)
def test_any_json_is_a_record_or_named(tmp_path_factory, value):
    """Nothing that can stand in a line raises anything else."""
    folder = ledger_of(tmp_path_factory.mktemp("any") / "ledger", SENT, value, DONE)
    if not isinstance(value, dict):
        assert damage(folder) == (2, len(orjson.dumps(SENT)) + 1)


@settings(deadline=None)
@given(st.binary(max_size=60).filter(lambda data: b"\n" not in data))
def test_any_bytes_are_a_record_or_named(tmp_path_factory, data):
    """The same for what is no JSON."""
    folder = ledger_of(tmp_path_factory.mktemp("any") / "ledger", SENT, data + b"\n", DONE)
    assert damage(folder) == (2, len(orjson.dumps(SENT)) + 1)


def test_deep_nesting_is_no_crash(tmp_path):
    """A line of 100,000 brackets."""
    assert damage(ledger_of(tmp_path / "ledger", b"[" * 100_000 + b"\n")) == (1, 0)
    assert damage(ledger_of(tmp_path / "ledger", b'{"t":' * 100_000 + b"\n")) == (1, 0)


def test_a_damaged_line_that_is_to_be_skipped_is_skipped_and_no_other(tmp_path):
    """The line stays where it is; the same bytes elsewhere are still damage."""
    folder = ledger_of(tmp_path / LEDGER, SENT, b"{}\n", DONE)
    ((found, line),) = damaged_lines(folder)
    writer = LedgerWriter(Folder(tmp_path), now=2.0)
    writer.skip(skip_record(found, line))
    writer.close()
    assert damage(folder) is None
    assert list(damaged_lines(folder)) == []
    assert any(isinstance(record, OtherRecord) for record in read_records(folder))
    (folder / "00000000001.500-bbbbbbbb.jsonl").write_bytes(orjson.dumps(SENT) + b"\n{}\n")
    assert damage(folder) is not None


def test_an_error_comes_back_from_another_process_as_it_was(tmp_path):
    """A long ledger is read in one."""
    with pytest.raises(LedgerDamaged) as caught:
        read_history(ledger_of(tmp_path / ".imagen-batch" / "ledger", b"null\n"))
    error = pickle.loads(pickle.dumps(caught.value))
    assert str(error) == str(caught.value)
    assert f"imagen-batch audit {tmp_path} --repair" in str(error)


def test_what_is_written_is_read_back_whole(tmp_path):
    """Every field of a sample, also one that is added later."""
    folder = Folder(tmp_path)
    folder.put("images/a.png", b"")
    writer = LedgerWriter(folder, now=1.0)
    sample = ok(width=3, c2pa=True, filter_codes=("1", "2"), note="a note", error_kind="mime_mismatch")
    writer.done(request(1), (sample,), trace(request(1).key))
    writer.close()
    assert read_history(tmp_path / LEDGER).details(request(1).base, 1) == (sample, trace(request(1).key))
