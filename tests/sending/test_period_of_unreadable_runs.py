"""A run whose charges can't be read stops others that share its budget: it never counts as zero."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from imagen_batch.audit.audit import audit
from imagen_batch.audit.repair import repair
from imagen_batch.errors import SettingsInvalid
from imagen_batch.runs.state_from_folder import run_status
from imagen_batch.sending.period.spending_below_root import Spending
from imagen_batch.simulator import Simulator
from imagen_batch.storage import LEDGER, STATE
from tests.support.runs import prompts, run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a finished run."""
    with Simulator() as sim:
        return Path(run(prompts(tmp_path, "a mole"), sim).folder)


def _refusal(root: Path) -> str:
    with pytest.raises(SettingsInvalid) as caught:
        Spending(root).by_run()
    return str(caught.value)


@pytest.mark.parametrize("counted_before", [False, True])
def test_a_ledger_that_is_a_link_to_nothing_is_named(folder: Path, *, counted_before: bool) -> None:
    """Its disk is not there. This holds with and without sums in the cache."""
    (folder.parent / ".imagen-batch-budget").mkdir()
    if counted_before:
        Spending(folder.parent).by_run()
    shutil.move(folder / LEDGER, folder.parent / "elsewhere")
    (folder / LEDGER).symlink_to(folder.parent / "unmounted")
    message = _refusal(folder.parent)
    assert f"what the run in {folder} charged can't be read: " in message
    assert "ledger is a link to a folder that is not there" in message
    assert message.endswith("Nothing was sent. Restore that, or move the folder out of the root")


def test_a_state_folder_that_is_a_link_to_nothing_is_named(folder: Path) -> None:
    """A run is still known by the name of the link."""
    shutil.move(folder / STATE, folder.parent / "elsewhere")
    (folder / STATE).symlink_to(folder.parent / "unmounted")
    assert f"what the run in {folder} charged can't be read: " in _refusal(folder.parent)


@pytest.mark.parametrize("nested", [False, True])
def test_a_run_behind_a_link_to_nothing_is_named_if_it_was_counted_before(folder: Path, *, nested: bool) -> None:
    """Its disk is not there now. Without the link it counts no more, as any run that was moved away."""
    root = folder.parent / "root"
    (root / ".imagen-batch-budget").mkdir(parents=True)
    link = root / "link"
    link.symlink_to(folder.parent if nested else folder)
    name = "link/out" if nested else "link"
    assert name in Spending(root).by_run()
    shutil.move(folder, folder.parent.parent / "away")
    link.unlink()
    link.symlink_to(root / "unmounted")
    assert f"{link} is a link to a folder that is not there" in _refusal(root)
    link.unlink()
    assert name not in Spending(root).by_run()


def test_a_file_in_place_of_a_ledger_is_named(folder: Path) -> None:
    """It holds no charges that can be added up."""
    shutil.rmtree(folder / LEDGER)
    (folder / LEDGER).touch()
    assert "ledger is not a folder" in _refusal(folder.parent)


def test_a_link_to_nothing_in_a_ledger_is_named(folder: Path) -> None:
    """It may be a file of the ledger on another disk."""
    (folder / LEDGER / "1.000-x.jsonl").symlink_to(folder / "unmounted")
    assert "1.000-x.jsonl: No such file or directory" in _refusal(folder.parent)


def test_a_run_that_has_sent_nothing_counts_as_zero(tmp_path: Path) -> None:
    """It has no ledger yet."""
    (tmp_path / "new" / STATE).mkdir(parents=True)
    assert Spending(tmp_path).by_run() == {"new": {}}


def test_a_damaged_ledger_is_named_once_with_one_remedy(folder: Path) -> None:
    """The message has one command, at its end."""
    [ledger] = (folder / LEDGER).iterdir()
    ledger.write_bytes(b"nonsense\n" + ledger.read_bytes())
    message = _refusal(folder.parent)
    assert message.count("Nothing was sent") == 1
    assert message.lower().count("repair it") == 1
    assert message.endswith(f": imagen-batch audit {folder} --repair")


@pytest.mark.parametrize("read", [run_status, audit, repair])
def test_the_run_itself_is_not_called_new_while_its_ledger_is_a_link_to_nothing(
    folder: Path, read: Callable[[Path], object]
) -> None:
    """Its images would be made and paid for again."""
    shutil.move(folder / LEDGER, folder.parent / "elsewhere")
    (folder / LEDGER).symlink_to(folder.parent / "unmounted")
    with pytest.raises(SettingsInvalid, match="ledger is a link to a folder that is not there"):
        read(folder)
