"""Run folders with ledgers of every kind: retries, refusals, lost replies, reviews, edited rows, damaged files."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imagen_batch.ledger.records import OrderedVersion, ReviewedVersion
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.planning.plan import RunPlan
from imagen_batch.planning.requests_and_shards import requests_for
from imagen_batch.records import ImageRequest
from imagen_batch.storage import LEDGER, Folder
from tests.support.images import sound
from tests.support.plans import small_plan

TEXTS = ("a fox", "=SUM(A1)", 'zwei Füchse, "rot"\nund grün', "狐 🦊", "-1+2", " 'quoted' ")
SETTINGS = (
    {},
    {"group_by": "chapter"},
    {"model": "gemini-2.5-flash-image", "aspect_ratio": "16:9"},
    {"samples": 3},
    {"accept": 2},
    {"limit": 2},
    {"trim": "8x8in"},
    {"model": "gemini-2.5-flash-image", "price": 0.5, "group_by": "Chapter"},
)


def random_run(folder: Path, seed: int, *, ordinary: float = 0.6) -> RunPlan:
    """Make a prompt file and a run folder; about this part of the requests have ordinary images."""
    dice = random.Random(seed)
    left_out = dice.choice([(), ("shape",), ("shape", "style"), ("shape", "style", "id", "samples", "seed")])
    rows = [_row(dice, at) for at in range(dice.randint(1, 9))]
    rows = [{name: cell for name, cell in row.items() if name not in left_out} for row in rows]
    plan = small_plan(folder, rows, **dice.choice(SETTINGS))
    storage = Folder(folder / "out")
    for ledger in range(dice.randint(1, 2)):
        writer = LedgerWriter(storage, now=ledger + 1.0)
        for planned in plan.planned_rows():
            base = plan.index.row_key(planned.row.row)
            for request in requests_for(planned, base, range(1, planned.samples + 1)):
                if not ledger or dice.random() < 0.15:
                    _send(dice, storage, writer, request, ordinary=ordinary)
        if dice.random() < 0.1:
            _decide(dice, plan, writer)
        if dice.random() < 0.1:
            _edit_rows(dice, plan, writer)
        writer.close()
    _repeat_with_oddities(dice, folder / "out" / LEDGER)
    return plan


def _row(dice: random.Random, at: int) -> dict[str, object]:
    return {
        "id": dice.choice(["", f"r{at}"]),
        "prompt": dice.choice(TEXTS) + f" {dice.randrange(4)}",
        "samples": dice.choice(["", "1", "2", "5"]),
        "aspect_ratio": dice.choice(["", "1:1", "16:9"]),
        "seed": dice.choice(["", "7"]),
        "style": dice.choice(["", "", "ink"]),
        "chapter": dice.choice(["", "one", "=two"]),
        "shape": dice.choice(["", "", "", "spread"]),
    }


def _send(
    dice: random.Random, storage: Folder, writer: LedgerWriter, request: ImageRequest, *, ordinary: float
) -> None:
    """Record some attempts for a request, and what came of them."""
    if dice.random() < ordinary:
        ends = ["done"]
    else:
        ends = dice.choice([[], ["open"], ["no"], ["no", "done"], ["maybe", "done"], ["maybe"], ["done", "done"]])
    for attempt, end in enumerate(ends, 1):
        writer.record_sent(request, attempt=attempt, at=100.0 + attempt, provider=dice.choice([None, "simulator"]))
        if end in {"no", "maybe"}:
            facts = {"kind": "overloaded", "status": 503, "charged": end, "usd": dice.choice([None, 0.01])}
            writer.record_ended(request, attempt=attempt, at=101.0, facts=facts)
        elif end == "done":
            samples = [_sample(dice, storage, request, number, ordinary=ordinary) for number in request.numbers]
            _append(writer, _done(dice, request, attempt, samples))


def _done(dice: random.Random, request: ImageRequest, attempt: int, samples: list[dict[str, Any]]) -> dict[str, Any]:
    optional = {
        "model_version": dice.choice([None, "gemini-x", "=1"]),
        "response_id": dice.choice([None, "r-ü"]),
        "prompt_tokens": dice.choice([None, 12]),
        "output_tokens": dice.choice([None, 1290]),
        "run_id": dice.choice([None, "run"]),
        "a_later_field": {"x": [1, "y"]},
    }
    return {
        "t": "done",
        "key": request.key,
        "base": request.base,
        "attempt": attempt,
        "status": dice.choice([200, None]),
        "latency": dice.choice([None, 1, 1.2345]),
        "sent_at": dice.choice([None, 1_764_000_000, 1_764_000_000.1235]),
        "at": dice.choice([None, 1_764_000_001.9996]),
        "samples": samples,
        **{name: value for name, value in optional.items() if value is not None or dice.random() < 0.3},
    }


def _sample(
    dice: random.Random, storage: Folder, request: ImageRequest, number: int, *, ordinary: float
) -> dict[str, Any]:
    """Return the record of a sample, and write, damage, edit or forget its file."""
    is_ordinary = dice.random() < ordinary
    status = "ok" if is_ordinary else dice.choice(["ok", "ok", "filtered", "failed"])
    width, height = (1024, 1024) if request.options.aspect_ratio != "16:9" else (1376, 768)
    if dice.random() < 0.1:  # a shape that was not requested
        width = 300
    sample: dict[str, Any] = {
        "number": number,
        "status": status,
        "cost_usd": dice.choice([0.1, 0.0336, 0, None]),
        "cost_is": dice.choice(["exact", "estimate", "unknown", None]),
        "finish_reason": dice.choice(["STOP", "@x", None]),
        "safety": dice.choice([None, '{"a":[1]}']),
        "note": dice.choice([None, "a remark"]),
    }
    if status != "ok":
        sample |= {"reason": 'no, "never"', "filter_stage": "output", "filter_codes": ["1", "2"], "error": "=no"}
        return sample
    name = f"{request.name(number)}.png"
    data = sound()["png rgb"] if dice.random() < 0.1 else f"{name} {dice.random()}".encode()
    digest = f"{dice.randrange(2 if dice.random() < 0.1 else 2**60):064x}"
    sample |= {"file": name, "mime_type": "image/png", "width": width, "height": height, "bytes": len(data)}
    sample |= {"sha256": digest, "c2pa": dice.choice([True, False, None])}
    if is_ordinary:
        storage.put(name, data)
        return sample
    sample |= dice.choice(
        [
            {"warnings": ["flat_color"]},
            {"warnings": ["flat_color", "flat_color"]},
            {"warnings": [], "filter_codes": []},
            {"width": 10},
            {"width": None},
            {"error_kind": "mime_mismatch", "error": "a JPEG"},
            {"filter_codes": ["3"]},
            {"bytes": None},
        ]
    )
    if dice.random() < 0.7:
        storage.put(name, dice.choice([data, sound()["png flat"], b"not an image"]))
    return sample


def _decide(dice: random.Random, plan: RunPlan, writer: LedgerWriter) -> None:
    """Record decisions, and sometimes the version that one of them orders."""
    for base, samples in plan.index:
        number = dice.randint(1, samples)
        decision = dice.choice(["approve", "reject", "redo", None])
        if decision is None:
            continue
        writer.record_review([ReviewedVersion(base, number, 1, decision)], at=150.0)
        if decision == "redo":
            order = OrderedVersion(base, number, 2, base[::-1], "images/v2", "v2", "m", "predict", {"seed": 3})
            writer.record_versions([order], at=151.0)


def _edit_rows(dice: random.Random, plan: RunPlan, writer: LedgerWriter) -> None:
    """Record that images of one row now belong to another."""
    rows = list(plan.index)
    (source, samples), (target, _) = dice.choice(rows), dice.choice(rows)
    facts = {"prompt": "earlier text", "model": "m", "dialect": "predict", "options": {"seed": 5}}
    move = {"base": target, "from": source, "numbers": list(range(1, samples + 1))}
    writer.record_moves([move | (facts if dice.random() < 0.7 else {})], at=160.0)


def _repeat_with_oddities(dice: random.Random, ledger: Path) -> None:
    """Sometimes write a record as no version of this program writes it, though its reader takes it."""
    for path in ledger.glob("*.jsonl"):
        lines = list(_with_oddities(dice, path.read_bytes().splitlines()))
        path.write_bytes(b"".join(line + b"\n" for line in lines))


def _with_oddities(dice: random.Random, lines: list[bytes]) -> Iterator[bytes]:
    for line in lines:
        if b'"t":"done"' not in line or dice.random() < 0.95:
            yield line
            continue
        yield dice.choice(
            [
                line.replace(b'"attempt":', b'"attempt":9,"attempt":', 1),
                line.replace(b'"samples":[', b'"samples" : [ ', 1),
                line.replace(b"fox", b"\\u0066ox"),
            ]
        )


def _append(writer: LedgerWriter, record: dict[str, Any]) -> None:
    writer._append(record)  # also records that this version would not write
