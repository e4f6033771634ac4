"""The book project in prompts/willows: its rows, references and characters fit together, and it can be made."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import imagen_batch
from imagen_batch import read_manifest
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.planning.plan import RunPlan
from imagen_batch.review.decisions.decisions_to_ledger_changes import Choice, decide
from imagen_batch.review.decisions.named_samples import find_targets
from imagen_batch.review.decisions.record_decisions import change_review
from imagen_batch.settings import CONFIG_FILE, load_settings
from imagen_batch.simulator import Simulator
from tests.support.reference_files import prompts_sent
from tests.support.runs import TODAY

WILLOWS = Path(__file__).parents[2] / "prompts" / "willows"
TWO_VARIANTS = ("sheet-mole:1", "sheet-rat:1", "sheet-toad:1", "sheet-badger:1")


@pytest.fixture(autouse=True)
def _in_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(WILLOWS)


def read(name: str) -> list[dict[str, str]]:
    """Return the rows of a table of the project."""
    with (WILLOWS / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


BOOK, CHARACTERS = read("book.csv"), read("characters.csv")
SCENES = [row for row in BOOK if row["shape"] != "sheet"]


def names(row: dict[str, str]) -> list[str]:
    """Return the characters of a row."""
    return [name.strip() for name in row["characters"].split(";") if name.strip()]


def plan(**chosen: object) -> RunPlan:
    """Return the plan of the book as it would be rehearsed."""
    settings = load_settings({"prompts": "book.csv", "provider": "simulator"}, env={}, config=Path(CONFIG_FILE))
    return make_plan(settings.model_copy(update=chosen), today=TODAY)


def test_the_plan_warns_of_nothing_but_drafts() -> None:
    """Each shape gets a size that prints at 300 dpi where the run asks for none."""
    (warning,) = plan().warnings
    assert warning.startswith("image_size: 1K prints below 300 dpi")
    assert not plan(image_size=None).warnings


def test_the_whole_book_is_there() -> None:
    """The sheets come first; each chapter opens with a headpiece and has a large image; pages follow each other."""
    assert [row["shape"] == "sheet" for row in BOOK] == sorted(
        (row["shape"] == "sheet" for row in BOOK), reverse=True
    )
    assert 24 <= len(SCENES) <= 40
    shapes = {chapter: [row["shape"] for row in SCENES if row["chapter"] == chapter] for chapter in chapters()}
    assert len(shapes) == 12
    assert all(of_chapter[0] == "headpiece" for of_chapter in shapes.values())
    assert all({"full-page", "spread"} & set(of_chapter) for of_chapter in shapes.values())
    pages = [int(row["page"]) for row in SCENES]
    assert pages == sorted(set(pages))
    assert max(Counter(row["id"] for row in BOOK).values()) == 1


def chapters() -> list[str]:
    """Return the chapters in their order."""
    return [name for name in dict.fromkeys(row["chapter"] for row in SCENES) if not name.startswith("00")]


def test_every_character_and_reference_resolves() -> None:
    """And none is left over: each character is in a scene, each sheet belongs to a character."""
    references = {row.row.id: row.row.references for row in plan().planned_rows()}
    sheets = {row["name"]: row["references"] for row in CHARACTERS}
    for row in SCENES:
        expected = ["@style-sheet", *filter(None, (sheets[name] for name in names(row)))]
        assert list(references[row["id"]]) == expected, row["id"]
    assert set(sheets) == {name for row in SCENES for name in names(row)}
    listed = {f"@{row['id']}" for row in BOOK if row["shape"] == "sheet"}
    assert listed == {*filter(None, sheets.values()), "@style-sheet"}


def test_prompts_number_their_images_as_they_are_sent() -> None:
    """Style sheet first, then the sheets of the characters that have one."""
    prompts = {row.row.id: row.prompt for row in plan().planned_rows()}
    assert "image 2 is the reference sheet of Mole" in prompts["ch05-carols"]
    assert "image 3 is the reference sheet of Rat" in prompts["ch05-carols"]
    assert "reference sheet of Field-mice" not in prompts["ch05-carols"]
    assert "reference sheet" not in prompts["ch01-mustard"]
    assert all("{" not in prompt and "No lettering" in prompt for prompt in prompts.values())


@dataclass(frozen=True)
class Rehearsal:
    """A finished rehearsal with one variant of each scene: a run, the approval of the sheets, and another run."""

    sim: Simulator
    folder: Path
    book: Path
    summaries: list[imagen_batch.Summary] = field(default_factory=list)

    def run(self, **chosen: object) -> imagen_batch.Summary:
        """Run the book again."""
        known = {"provider": "simulator", "base_url": self.sim.url, "out": str(self.folder)}
        return imagen_batch.run(self.book, **known, **chosen)

    def decide(self, decision: str, *samples: str, prompt: str | None = None) -> None:
        """Decide about samples as `imagen-batch review` does."""
        make = lambda plan, history: decide(find_targets(samples, plan, history), Choice(decision, prompt), history)  # type: ignore[arg-type]  # noqa: E731
        change_review(str(self.folder), make)


@pytest.fixture(scope="module", name="rehearsal")
def _rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    folder = tmp_path_factory.mktemp("willows")
    for path in WILLOWS.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    rows = [{**row, "samples": row["samples"] if row["shape"] == "sheet" else "1"} for row in BOOK]
    with (folder / "book.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with Simulator() as sim, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        rehearsal = Rehearsal(sim, folder / "out", folder / "book.csv")
        rehearsal.summaries.append(rehearsal.run())
        rehearsal.decide("approve", *TWO_VARIANTS)
        rehearsal.summaries.append(rehearsal.run())
        yield rehearsal


@pytest.mark.xdist_group("willows")
def test_a_rehearsal_makes_all_images(rehearsal: Rehearsal) -> None:
    """The first run makes what needs no decision, the second the rest; nothing is sent twice."""
    first, second = rehearsal.summaries
    waiting = sum(1 for row in SCENES if not {"Mole", "Rat", "Toad", "Badger"}.isdisjoint(names(row)))
    waiting += sum(
        1 for row in SCENES if {"Washerwoman", "Sea Rat"} & set(names(row)) and not {"Rat"} & set(names(row))
    )
    assert first.exit_code == 3
    assert first.counts["not_attempted"] == waiting + 2  # and the sheets of the washerwoman and the Sea Rat
    assert (second.exit_code, second.counts["ok"]) == (0, len(SCENES) + 17)
    assert len(rehearsal.sim.requests) == len(SCENES) + 17
    assert second.counts["ok"] == read_manifest(rehearsal.folder)["sha256"].nunique()


@pytest.mark.xdist_group("willows")
def test_another_sheet_makes_exactly_its_scenes_again(rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that show the boat, once the sheet is approved."""
    monkeypatch.chdir(rehearsal.book.parent)
    before = read_manifest(rehearsal.folder).set_index("id")["file"]
    sent = len(rehearsal.sim.requests)
    rehearsal.decide("redo", "sheet-boat", prompt="The boat with its name on the bow.")
    rehearsal.run(redo=True)
    assert (
        len(rehearsal.sim.requests) == sent + 1
    )  # scenes keep the sheet that they were made with until it is approved
    rehearsal.decide("approve", "sheet-boat")
    assert rehearsal.run().exit_code == 0
    with_boat = {row["id"] for row in SCENES if "Blue Boat" in names(row)}
    prompts = prompts_sent(rehearsal.sim)[sent:]
    assert len(prompts) == 1 + len(with_boat)
    assert sum("reference sheet of Blue Boat" in prompt for prompt in prompts) == len(with_boat)
    after = read_manifest(rehearsal.folder).set_index("id")["file"]
    changed = {id_ for id_ in after.index.unique() if not after.loc[[id_]].equals(before.loc[[id_]])}
    assert changed == {*with_boat, "sheet-boat"}


def files_of(rehearsal: Rehearsal) -> dict[str, list[tuple[str, str | None]]]:
    """Return the files and decisions of each row."""
    manifest = read_manifest(rehearsal.folder)
    files: dict[str, list[tuple[str, str | None]]] = {}
    for id_, file, review in zip(manifest["id"], manifest["file"], manifest["review"], strict=True):
        files.setdefault(id_, []).append((file, review if isinstance(review, str) else None))
    return files


def edit(path: Path, text: str, other: str) -> None:
    """Replace a text that is in a file of the project."""
    content = path.read_text(encoding="utf-8")
    assert text in content
    path.write_text(content.replace(text, other), encoding="utf-8")


@pytest.mark.xdist_group("willows")
def test_an_approved_scene_stays_whatever_is_made_anew(rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another sheet, other words in its row, another description: only scenes that nobody approved are made again."""
    book = rehearsal.book.parent
    monkeypatch.chdir(book)
    approved = ["cover", "ch01-mustard", "ch10-pond"]
    rehearsal.decide("approve", *(f"{id_}:1" for id_ in approved))
    before, sent = files_of(rehearsal), len(rehearsal.sim.requests)
    rehearsal.decide("redo", "sheet-boat", prompt="The boat alone, from the side.")
    rehearsal.run(redo=True)
    rehearsal.decide("approve", "sheet-boat")
    edit(rehearsal.book, "A ladybird climbs the spoon.", "Two ants climb the spoon.")
    edit(rehearsal.book, "no larger than a grain of rice", "no larger than a caraway seed")
    rehearsal.run()
    edit(book / "characters.csv", "large open touring car of 1907, bright red", "large open touring car, dark red")
    assert rehearsal.run().exit_code == 0
    after = files_of(rehearsal)
    assert [after[id_] for id_ in approved] == [before[id_] for id_ in approved]
    again = {id_ for id_ in after if after[id_] != before[id_]}
    assert again == {"sheet-boat", "ch01-boat", "ch07-moonrise", "endpapers", "sheet-car", "ch06-steps"}
    assert len(rehearsal.sim.requests) == sent + len(again)
