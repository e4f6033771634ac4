"""Lists the decisions of a run, and the state of each redo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from imagen_batch.inputs.stored_input_and_settings import reload_plan
from imagen_batch.ledger.history import History, read_history
from imagen_batch.planning.plan import RunPlan
from imagen_batch.review.decisions.list_versions import version_keys
from imagen_batch.review.decisions.named_samples import read_rows
from imagen_batch.storage import LEDGER, explain_storage_errors, open_storage
from imagen_batch.text import json_text, one_line

_WORDS = {"approve": "approved", "reject": "rejected", "redo": "redo"}


@dataclass(frozen=True, slots=True)
class ListedDecision:
    """A decision about one version of a sample. `state` describes a redo: pending, made, refused or failed."""

    row: int
    id: str | None
    sample: int
    version: int
    decision: str
    state: str | None = None
    file: str | None = None
    prompt: str | None = None
    seed: int | None = None
    note: str | None = None


def list_review(location: str) -> list[ListedDecision]:
    """Return all decisions of a run, in the order of its rows."""
    plan = reload_plan(location)
    with explain_storage_errors(location, to="be read"):
        history = read_history(open_storage(location).logs(LEDGER))
    plan.follow(history)
    return list(_list_decisions(plan, history))


def review_text(listed: Sequence[ListedDecision]) -> str:
    """Format the decisions for people, one a line."""
    if not listed:
        return "No decisions yet."
    counts = Counter(each.decision for each in listed)
    return "\n".join([", ".join(f"{count:,} {word}" for word, count in counts.items()), *map(_line, listed)])


def review_json(listed: Sequence[ListedDecision]) -> str:
    """Format the decisions for programs."""
    return json_text({"schema_version": 1, "decisions": [asdict(each) for each in listed]})


def _line(decision: ListedDecision) -> str:
    name = f"{decision.id or decision.row}:{decision.sample}" + (
        f"@{decision.version}" if decision.version > 1 else ""
    )
    facts = [decision.state, decision.file, decision.prompt and f'prompt "{one_line(decision.prompt, 60)}"']
    facts += [
        None if decision.seed is None else f"seed {decision.seed}",
        decision.note and f"note: {one_line(decision.note, 60)}",
    ]
    return f"  {decision.decision:<9} {one_line(name, 60):<20} " + "; ".join(fact for fact in facts if fact)


def _list_decisions(plan: RunPlan, history: History) -> Iterator[ListedDecision]:
    reviews = history.reviews
    if not reviews:
        return
    ids = read_rows(plan).id_of
    for row, (base, samples) in enumerate(plan.index, 1):
        for number in range(1, samples + 1):
            for version, key in version_keys(base, number, history):
                decided = reviews.decision(base, number, version)
                if decided is None:
                    continue
                details = history.recorded_details(key, number)
                yield ListedDecision(
                    row=row,
                    id=ids.get(row),
                    sample=number,
                    version=version,
                    decision=_WORDS[decided.decision or ""],
                    state=_redo_state(base, number, version, history) if decided.decision == "redo" else None,
                    file=details[0].file if details else None,
                    prompt=decided.prompt,
                    seed=decided.seed,
                    note=decided.note,
                )


def _redo_state(base: str, number: int, version: int, history: History) -> str:
    """Return the state of a redo of this version, which is that of the version ordered next."""
    if history.reviews.mark(base, number) is not None:
        return "to be made with --redo"
    later = [each for each in history.reviews.versions(base, number) if each.version > version]
    statuses = [history.recorded_status(each.key, number) for each in later]
    if "ok" in statuses:
        return f"made as version {later[statuses.index('ok')].version}"
    if not later:
        return "withdrawn"
    words = {"filtered": "was refused", "failed": "failed", "unknown": "has no reply; it may have been charged"}
    return f"version {later[-1].version} {words.get(statuses[-1] or '', 'is not made yet')}"
