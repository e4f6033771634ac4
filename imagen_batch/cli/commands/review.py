"""`imagen-batch review`: decides about a run's images, and lists or applies decisions."""

from __future__ import annotations

import argparse
import shlex
from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from imagen_batch.cli.options import add_json_option
from imagen_batch.errors import SettingsInvalid
from imagen_batch.system.streams import print_message, print_result
from imagen_batch.text import json_text, plural

if TYPE_CHECKING:
    from imagen_batch.cli.strict_parser import Subparsers
    from imagen_batch.review.decisions.decisions_to_ledger_changes import Changes
    from imagen_batch.review.gallery_items import ReviewDecision

_EXAMPLES = """\
A sample is named by the row's id or number and its own number: cover:2. A row alone means all of its samples;
cover:2@1 means version 1 of a sample that was made again.

examples:
  imagen-batch review approve outputs/book cover:2 7:1
  imagen-batch review reject outputs/book boat
  imagen-batch review redo outputs/book cover:1 --prompt "the same boat at night"
  imagen-batch review apply outputs/book                        what review.csv in that folder says
  imagen-batch resume outputs/book --redo                       make what is marked redo
"""
_ACTIONS: dict[str, tuple[ReviewDecision | None, str]] = {
    "approve": ("approve", "lock these images: nothing makes them again"),
    "reject": ("reject", "these images are not wanted and not made again; their files may be deleted"),
    "redo": ("redo", "make these again with the next run that has --redo"),
    "clear": (None, "withdraw the decisions about these"),
}
_PAST_TENSE = {"approve": "approved", "reject": "rejected", "redo": "marked for a redo", "clear": "cleared"}


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options to the command line."""
    review = commands.add_parser(
        "review",
        help="approve, reject or redo images of a run",
        description="Decide about the images of a run. Decisions are stored with the run.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = review.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, (_, text) in _ACTIONS.items():
        action = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        action.add_argument("folder", metavar="DIR", help="folder or URL of the run")
        action.add_argument("samples", metavar="SAMPLE", nargs="+", help="such as cover:2, 7:1 or boat")
        if name == "redo":
            action.add_argument("--prompt", metavar="TEXT", help="the edited prompt; default: the same prompt")
            action.add_argument("--seed", type=int, metavar="N", help="another seed")
        if name != "clear":
            action.add_argument("--note", metavar="TEXT", help="a note for yourself")
        add_json_option(action)
    listing = actions.add_parser("list", help="list all decisions", description="List all decisions.")
    apply_ = actions.add_parser(
        "apply",
        help="import the decisions in a review.csv",
        description="Import the decisions in a review.csv.",
    )
    for action in (listing, apply_):
        action.add_argument("folder", metavar="DIR", help="folder or URL of the run")
        add_json_option(action)
    apply_.add_argument("file", metavar="FILE", nargs="?", type=Path, help="default: review.csv in DIR")


def run(args: Namespace) -> int:
    """Record decisions, or list them."""
    if args.action == "list":
        return _list(args)
    changes = _apply(args) if args.action == "apply" else _decide(args)
    if args.as_json:
        print_result(_changes_json(args, changes))
    else:
        print_result(_changes_text(args, changes))
    if any(change.decision == "redo" for change in changes.decisions):
        print_message(f"To make them: {_redo_command(args.folder)}")
    return 0


def _decide(args: Namespace) -> Changes:
    from imagen_batch.review.decisions.decisions_to_ledger_changes import Choice, decide  # noqa: PLC0415
    from imagen_batch.review.decisions.named_samples import find_targets  # noqa: PLC0415
    from imagen_batch.review.decisions.record_decisions import change_review  # noqa: PLC0415

    decision, _ = _ACTIONS[args.action]
    seed = getattr(args, "seed", None)
    if seed is not None and not 0 <= seed < 2**32:
        raise SettingsInvalid(f"--seed {seed}: a seed is a whole number from 0 to 4294967295")
    prompt = getattr(args, "prompt", None)
    if prompt is not None and not prompt.strip():
        raise SettingsInvalid("--prompt is empty; leave it out to make the same prompt again")
    choice = Choice(decision, prompt, seed, getattr(args, "note", None))
    find = partial(find_targets, args.samples)
    return change_review(args.folder, lambda plan, history: decide(find(plan, history), choice, history))


def _apply(args: Namespace) -> Changes:
    from imagen_batch.review.decisions.record_decisions import apply_review  # noqa: PLC0415

    return apply_review(args.folder, args.file)


def _list(args: Namespace) -> int:
    from imagen_batch.review.decisions.listing import list_review, review_json, review_text  # noqa: PLC0415
    from imagen_batch.text import printable_lines  # noqa: PLC0415

    listed = list_review(args.folder)
    print_result(review_json(listed) if args.as_json else printable_lines(review_text(listed)))
    return 0


def _redo_command(folder: str) -> str:
    from imagen_batch.reports.next_steps import make_absolute  # noqa: PLC0415

    return shlex.join(["imagen-batch", "resume", make_absolute(folder), "--redo"])


def _counts(changes: Changes) -> dict[str, int]:
    names = [change.decision or "clear" for change in changes.decisions]
    return {name: names.count(name) for name in _ACTIONS if name in names}


def _changes_text(args: Namespace, changes: Changes) -> str:
    parts = [f"{plural(count, 'sample')} {_PAST_TENSE[name]}" for name, count in _counts(changes).items()]
    if changes.known:
        parts.append(f"{changes.known:,} decided so before")
    if changes.outdated:
        parts.append(f"{plural(changes.outdated, 'redo mark')} ignored: a newer version of the image was made since")
    if changes.skipped:
        reason = "without an image" if args.action == "approve" else "that nothing was sent for"
        parts.append(f"{plural(changes.skipped, 'sample')} {reason} left as they are")
    return "; ".join(parts or ["nothing changed"]) + "."


def _changes_json(args: Namespace, changes: Changes) -> str:
    counts = {_PAST_TENSE[name].split()[0]: count for name, count in _counts(changes).items()}
    facts = {"known": changes.known, "outdated": changes.outdated, "skipped": changes.skipped}
    return json_text({"schema_version": 1, "out": args.folder, "changed": counts, **facts})
