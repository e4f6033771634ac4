"""The manifest names the model's version, the reply's id, its tokens and the run, from the ledger's records."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from imagen_batch.audit.audit import audit
from imagen_batch.providers.wire import DIALECTS
from imagen_batch.records import Reply, TokenUsage
from imagen_batch.reports.tables.manifest import LATER_COLUMNS, manifest_columns
from imagen_batch.sending.attempts.check_reply import reply_facts
from imagen_batch.simulator import Simulator
from tests.support.runs import IMAGEN, prompts, run


def test_a_run_records_the_facts_of_each_reply(tmp_path: Path) -> None:
    """Refused samples have them, too: a question to the service needs them."""
    with Simulator() as sim:
        first = run(prompts(tmp_path, "a mole", "a rat [[sim:finish_IMAGE_SAFETY]]"), sim)
        rows = first.rows
        assert all(row["response_id"] and row["model_version"] and row["prompt_tokens"] > 0 for row in rows)
        assert rows[0]["output_tokens"] > 1000
        (run_id,) = {row["run_id"] for row in rows}
        assert (first.folder / ".imagen-batch" / "ledger" / f"{run_id}.jsonl").is_file()
        again = run(prompts(tmp_path, "a mole", "a rat [[sim:finish_IMAGE_SAFETY]]", "a toad"), sim)
    runs = [row["run_id"] for row in again.rows]
    assert runs[0] == runs[1] == run_id != runs[2]
    assert audit(again.folder).clean


def test_imagen_states_none_of_it(tmp_path: Path) -> None:
    """`:predict` counts no tokens and has no id; the columns are empty and keep their types."""
    with Simulator() as sim:
        done = run(prompts(tmp_path, "a mole"), sim, model=IMAGEN)
    (row,) = done.rows
    assert [row[name] for name in ("model_version", "response_id", "prompt_tokens", "output_tokens")] == [None] * 4
    assert row["run_id"]
    assert str(pq.read_schema(done.folder / "manifest.parquet").field("prompt_tokens").type) == "int64"


def test_a_table_of_an_earlier_version_without_the_columns_is_in_order(tmp_path: Path) -> None:
    """An audit of an old folder does not call it damaged; it still reports a column that was always there."""
    with Simulator() as sim:
        folder = run(prompts(tmp_path, "a mole"), sim).folder
    path = folder / "manifest.parquet"
    table = pq.read_table(path)
    pq.write_table(table.drop_columns([name for name in table.column_names if name in LATER_COLUMNS]), path)
    assert audit(folder).clean
    pq.write_table(table.drop_columns(["sha256"]), path)
    assert [finding.detail for finding in audit(folder).findings] == ["columns are missing: sha256"]


def test_records_of_an_earlier_version_have_none_of_the_fields(tmp_path: Path) -> None:
    """Their rows are the same as before, with empty cells."""
    with Simulator() as sim:
        done = run(prompts(tmp_path, "a mole"), sim)
        (ledger,) = (done.folder / ".imagen-batch" / "ledger").glob("*.jsonl")
        text = ledger.read_text()
        old = re.sub(r',"(?:model_version|response_id|run_id)":"[^"]*"|,"(?:prompt|output)_tokens":\d+', "", text)
        assert old != text
        ledger.write_text(old)
        again = run(prompts(tmp_path, "a mole"), sim)
        assert len(sim.requests) == 1
    assert again.rows[0]["sha256"] == done.rows[0]["sha256"]
    assert again.rows[0]["run_id"] is None


@pytest.mark.parametrize("version", ['"x"' * 1, "7", "[]", "null", '"' + "x" * 5000 + '"', '"\\u001b[31m"'])
def test_a_hostile_reply_names_nothing_long(version: str) -> None:
    """Texts have at most 200 characters, other values are none."""
    body = b'{"candidates":[],"modelVersion":%b,"responseId":%b}' % (version.encode(), version.encode())
    reply = DIALECTS["generate_content"].decode(body, requested=1)
    for text in (reply.model_version, reply.response_id):
        assert text is None or (isinstance(text, str) and len(text) <= 200)


def test_a_count_that_fits_into_no_table_is_none() -> None:
    """A gateway may send any number; the manifest is written all the same."""
    facts = reply_facts(Reply((), 200, usage=TokenUsage(prompt=10**30, image=5)))
    assert (facts["prompt_tokens"], facts["output_tokens"]) == (None, 5)


def test_the_columns_precede_the_users_own() -> None:
    """The order is fixed."""
    names = [column.name for column in manifest_columns(["run_id", "chapter"])]
    assert names[-8:] == [
        *("model_version", "response_id", "prompt_tokens", "output_tokens", "run_id"),
        *("safety_ratings", "input_run_id", "chapter"),
    ]
