"""A book as a deployable flow: style sheet, character sheets, a review of these, then the scenes of all chapters.

Run it (`python flows/illustrate_book.py` rehearses with the simulator), or deploy it
(`prefect deploy flows/illustrate_book.py:illustrate_book`). The book is a folder such as prompts/willows.
"""

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from imagen_batch import read_manifest
from imagen_batch.choices import ProviderName
from imagen_batch.orchestration import generate_images
from imagen_batch.prompts import open_prompts
from imagen_batch.records import PromptRow
from imagen_batch.review.decisions.decisions_to_ledger_changes import Choice, decide
from imagen_batch.review.decisions.named_samples import find_targets
from imagen_batch.review.decisions.record_decisions import change_review
from imagen_batch.settings import CONFIG_FILE, load_settings
from imagen_batch.system.streams import print_result

WILLOWS = str(Path(__file__).resolve().parents[1] / "prompts" / "willows")
_BESIDE = ("template", "styles", "characters")


@flow(name="illustrate-book", flow_run_name="{book}", persist_result=False)
def illustrate_book(
    book: str = WILLOWS,
    out: str = "outputs/willows",
    provider: ProviderName = "simulator",
    max_cost: float | None = None,
    approve_sheets: bool = False,  # noqa: FBT001, FBT002 - a field of Prefect's form
) -> State[Any]:
    """Make the images of a book: style sheet and character sheets first, then, once these are approved, the scenes.

    Each run pays only for what is missing or marked to be made again.

    Args:
        book: Folder with book.csv and imagen-batch.toml. The first rows of book.csv are those with the shape "sheet".
        out: Folder or URL for the images, the gallery and the tables.
        provider: "gemini" or "vertex" make images and cost money; "simulator" draws placeholders.
        max_cost: USD that all runs into the folder may cost together. Empty: no limit.
        approve_sheets: Approve the first image of each sheet without a review. Off: stop for the review.
    """
    job = job_settings(Path(book), out=out, provider=provider, max_cost=max_cost)
    sheets = sheet_rows(Path(book))
    only_sheets = {**job, "limit": max(sheets.values(), default=1)}
    state: State[Any] = generate_images(only_sheets, return_state=True)
    while approve_sheets and not state.is_failed() and approve_first_images(out, list(sheets)):
        state = generate_images(only_sheets, return_state=True)  # those that were waiting for the approved ones
    if state.is_failed():
        return end_like(state)
    if undecided := sheets_without_approval(out, list(sheets)):
        return Completed(name="SheetsToReview", message=review_message(out, undecided))
    return end_like(generate_images(job, return_state=True))


def end_like(state: State[Any]) -> State[Any]:
    """Return a state of this flow with the name and message of a run: Completed, PartlyMade or Failed."""
    return State(type=state.type, name=state.name, message=state.message)


def job_settings(book: Path, **chosen: Any) -> dict[str, Any]:
    """Return the settings of the book's own file, with paths that hold in any current folder.

    What the review marks is made again, and new lines of the folder's review.csv are taken over first.
    """
    typed = {name: value for name, value in chosen.items() if value is not None}
    typed |= {"prompts": str(book / "book.csv"), "redo": True}
    settings = load_settings(typed, env=os.environ, config=book / CONFIG_FILE)
    paths = {name: str(book / value) for name in _BESIDE if (value := getattr(settings, name)) is not None}
    return {**settings.model_dump(exclude_unset=True), **paths}


def sheet_rows(book: Path) -> dict[str, int]:
    """Return the row number of each sheet by its id."""
    rows = (row for row in open_prompts(book / "book.csv").rows() if isinstance(row, PromptRow))
    return {row.id: row.row for row in rows if row.id and row.cells.get("shape") == "sheet"}


def approve_first_images(out: str, sheets: list[str]) -> bool:
    """Approve the first image of each sheet that has images and none approved. Returns whether there was one."""
    made = read_manifest(out).query("status == 'ok' and id in @sheets").drop_duplicates("id")
    waiting = set(sheets_without_approval(out, sheets))
    names = [f"{id_}:{sample}" for id_, sample in zip(made["id"], made["sample"], strict=True) if id_ in waiting]
    if names:
        find = partial(find_targets, names)
        change_review(out, lambda plan, history: decide(find(plan, history), Choice("approve"), history))
    return bool(names)


def sheets_without_approval(out: str, sheets: list[str]) -> list[str]:
    """Return the ids of sheets of which no image is approved."""
    approved = set(read_manifest(out).query("review == 'approved'")["id"])
    return [sheet for sheet in sheets if sheet not in approved]


def review_message(out: str, undecided: list[str]) -> str:
    """Return what a person does before the flow goes on."""
    named = ", ".join(undecided[:20])
    return (
        f"Approve one image of each sheet, then run this flow again. Not approved: {named}. Either open "
        f"{out}/gallery.html, mark images with the key a, and export review.csv into {out}; or type: "
        f"imagen-batch review approve {out} {undecided[0]}:1"
    )


def main(argv: list[str]) -> int:
    """Run the flow once."""
    parser = argparse.ArgumentParser(description="Make the images of a book: sheets, review, chapters.")
    parser.add_argument("book", nargs="?", default=WILLOWS, help="folder with book.csv (prompts/willows)")
    parser.add_argument("--out", default="outputs/willows")
    parser.add_argument("--provider", default="simulator", help="gemini or vertex cost money")
    parser.add_argument("--max-cost", type=float, metavar="USD")
    parser.add_argument("--approve-sheets", action="store_true", help="do not stop for the review of the sheets")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")  # for the server that Prefect starts
    state = illustrate_book(**vars(parser.parse_args(argv)), return_state=True)
    print_result(f"{state.name}: {state.message}")
    return 0 if state.name == "Completed" else 1 if state.is_failed() else 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
